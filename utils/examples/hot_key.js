#!/usr/bin/env node
// A key that everybody reads, read on every node, with ioredis as it is.
//
//     npm install ioredis
//     node hot_key.js [PORT]         a node of a cluster on 127.0.0.1 (7000)
//
// The key has several names, which are in slots of several nodes. Who reads takes one of them at random; whatever is written is there under all of
// them, at the latest when the write is acknowledged.
const assert = require('node:assert');
const { Cluster } = require('ioredis');

const NAMES_GOOD_FOR = 60000; // milliseconds; a name that is given up leads to the key for an hour
const namesOf = new Map(); // key -> its names, as they are asked for at the moment, and until when they are not asked for again

function names(cache, key) {
    let known = namesOf.get(key);
    if (!known || performance.now() >= known.until) {
        known = { names: cache.call('SALT', key), until: performance.now() + NAMES_GOOD_FOR }; // of a key without names: [key]
        namesOf.set(key, known);
        known.names.catch(() => namesOf.delete(key));
    }
    return known.names;
}

async function read(cache, key) {
    const choice = await names(cache, key);
    return cache.get(choice[Math.floor(Math.random() * choice.length)]);
}

async function main() {
    const cache = new Cluster([{ host: '127.0.0.1', port: Number(process.argv[2] ?? 7000) }]);
    await cache.set('star', 'bright');
    // Once, by an operator, or by the node itself: POLICY SET star salt 6
    await cache.call('SALT', 'star', 6);

    console.log('names:', ...(await names(cache, 'star')));
    assert.equal((await names(cache, 'star')).length, 6);
    for (let i = 0; i < 2000; i++) assert.equal(await read(cache, 'star'), 'bright');

    // Acknowledged is acknowledged: no name has the former value.
    await cache.set('star', 'dim');
    for (const name of await names(cache, 'star')) assert.equal(await cache.get(name), 'dim');
    console.log('after a write each of them has the new value');

    // All of them are one key.
    assert.equal(await cache.del((await names(cache, 'star'))[5]), 1);
    assert.equal(await read(cache, 'star'), null);
    console.log('ok');
    cache.disconnect();
}

main();
