#!/usr/bin/env node
// Cache-aside in three lines, with ioredis as it is.
//
//     npm install ioredis
//     node cache_aside.js [PORT]     a node on 127.0.0.1 (6379)
//
// A row is read through the cache, changed, and read again. Then comes the race that plain caches lose: somebody who read the row before the
// change stores it after the change. Here the node refuses it.
const assert = require('node:assert');
const { Redis } = require('ioredis');

const USER = Date.now(); // another one each time, for this table begins anew and the node knows the last versions of the former one
const database = new Map([[USER, { name: 'Ada', version: 1 }]]); // what would be a table with a version column
let loads = 0;

// One query: the row as it is now.
async function load(id) {
    loads++;
    return { ...database.get(id) };
}

async function read(cache, id) {
    const key = `user:${id}`;
    // Who gets a token loads the row and stores it; the others are told that somebody does. (No WAIT: the requests of this program
    // share one connection, and those behind one that waits would wait with it.)
    let [, value, , token] = await cache.call('FETCH', key, 'LEASE', 2000);
    if (value === null || token) {
        const row = await load(id);
        value = JSON.stringify(row);
        if (token) await cache.call('SET', key, value, 'EX', 3600, 'VER', row.version, 'TOKEN', token);
    }
    return JSON.parse(value);
}

async function write(cache, id, name) {
    const row = database.get(id);
    row.name = name; // UPDATE ... SET version = version + 1; COMMIT
    row.version++;
    await cache.call('INVALIDATE', `user:${id}`, 'VER', row.version);
}

async function main() {
    const cache = new Redis(Number(process.argv[2] ?? 6379), '127.0.0.1');

    console.log('read:', await read(cache, USER), '- loads so far:', loads);
    console.log('read:', await read(cache, USER), '- loads so far:', loads);
    assert.equal(loads, 1);

    await write(cache, USER, 'Grace');
    console.log('read after the write:', await read(cache, USER), '- loads so far:', loads);
    assert.equal(loads, 2);

    // The race: a slow reader has missed, and loaded version 2 ...
    await cache.del(`user:${USER}`);
    const token = (await cache.call('FETCH', `user:${USER}`, 'LEASE', 2000))[3];
    const old = await load(USER);
    // ... a writer is quicker ...
    await write(cache, USER, 'Barbara');
    // ... and what the reader has is not stored any more.
    const stored = await cache.call('SET', `user:${USER}`, JSON.stringify(old), 'EX', 3600, 'TOKEN', token);
    console.log('the old row is', stored === null ? 'refused' : 'stored');
    assert.equal(stored, null);
    assert.equal((await read(cache, USER)).name, 'Barbara');
    console.log('ok');
    cache.disconnect();
}

main();
