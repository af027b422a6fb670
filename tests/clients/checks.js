// checks.js: what a Node client must be able to do. The clients differ in how a thing is said, so each brings an adapter (adapters.js).
//
//     node checks.js CLIENT cluster|solo PORT
//
// Prints a line for each promise, "ok NAME" or "failed NAME: why"; clients_cases.tcl knows which promises there must be.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const path = require('node:path');
const adapters = require('./adapters.js');

const KEYS = 600;
const [name, mode, port] = process.argv.slice(2);
const prefix = `${name}:${mode}`;

async function check(promise, body) {
    try {
        await body();
        console.log(`ok ${promise}`);
    } catch (error) {
        console.log(`failed ${promise}: ${String(error.message).replace(/\s+/g, ' ')}`);
    }
}

async function errorOf(promise) {
    try {
        await promise;
    } catch (error) {
        return error.message;
    }
    return 'no error';
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run() {
    const adapter = adapters[name];
    const client = await adapter.open(mode, Number(port));

    await check('speaks the protocol version it was asked for', async () => {
        assert.match(await client.clientInfo(), new RegExp(`resp=${adapter.resp}\\b`));
    });
    if (mode === 'cluster') {
        await check('follows a slot that moved', async () => {
            const key = `${prefix}:moved`;
            await client.get(key); // now it knows where the slot is
            execFileSync(path.join(__dirname, 'move_slot'), [port, key]);
            assert.equal(await client.set(key, 'v'), 'OK');
            assert.equal(await client.get(key), 'v');
        });
    }
    await check('writes and reads back keys of all slots', async () => {
        const keys = Array.from({ length: KEYS }, (_, i) => `${prefix}:${i}`);
        const replies = await Promise.all(keys.map((key, i) => client.set(key, `value of ${i}`)));
        assert.deepEqual(replies, keys.map(() => 'OK'));
        assert.deepEqual(await Promise.all(keys.map((key) => client.get(key))), keys.map((_, i) => `value of ${i}`));
        assert.equal(await client.get(`${prefix}:absent`), null);
    });
    await check('keeps any bytes', async () => {
        const value = 'a\r\nb\0c \u00e9\u4e16';
        await client.set(`${prefix}:bytes`, value);
        assert.equal(await client.get(`${prefix}:bytes`), value);
    });
    await check('loses a key at its deadline', async () => {
        // Long enough for a machine that is slow; what is brief may be gone before it is asked for.
        await client.setPx(`${prefix}:brief`, 'v', 100000);
        assert.equal(await client.get(`${prefix}:brief`), 'v');
        const left = await client.pttl(`${prefix}:brief`);
        assert.ok(left > 0 && left <= 100000, `pttl ${left}`);
        await client.setPx(`${prefix}:brief`, 'v', 150);
        for (let i = 0; i < 600 && (await client.get(`${prefix}:brief`)) !== null; i++) await pause(100);
        assert.equal(await client.get(`${prefix}:brief`), null);
    });
    await check('counts', async () => {
        for (let i = 1; i <= 5; i++) assert.equal(await client.incr(`${prefix}:count`), i);
    });
    await check('reads many keys of one tag at once', async () => {
        const keys = Array.from({ length: 5 }, (_, i) => `{${prefix}}:${i}`);
        for (const key of keys) await client.set(key, key);
        assert.deepEqual(await client.mget([...keys, `{${prefix}}:absent`]), [...keys, null]);
    });
    await check('runs a transaction on one slot', async () => {
        assert.deepEqual(await client.transaction(`{${prefix}}:a`, `{${prefix}}:n`), ['OK', 1, '1']);
    });
    await check('is told what was wrong', async () => {
        await client.set(`${prefix}:text`, 'text');
        assert.equal(await errorOf(client.incr(`${prefix}:text`)), 'ERR value is not an integer or out of range');
        assert.equal(await client.get(`${prefix}:text`), 'text');
    });
    await check('hears what others publish', async () => {
        const heard = new Set();
        const channel = `${prefix}:channel`;
        const listener = await client.listener((kind, message) => heard.add(`${kind} ${message}`));
        await listener.subscribe(channel);
        await listener.pSubscribe(`${prefix}:chan*`);
        if (listener.sSubscribe) await listener.sSubscribe(channel);
        const wanted = ['message hello', 'pmessage hello'];
        if (listener.sSubscribe) wanted.push('smessage hello');
        // Another node's message needs the link between the two, which may have to be opened.
        for (let i = 0; i < 600 && heard.size < wanted.length; i++) {
            await client.publish(channel, 'hello');
            if (listener.sSubscribe) await client.sPublish(channel, 'hello');
            await pause(100);
        }
        assert.deepEqual([...heard].sort(), wanted);
        await listener.close();
    });
    await client.close();
}

run().catch((error) => {
    console.log(`failed to run: ${error.stack}`);
    process.exitCode = 1;
}).finally(() => setTimeout(() => process.exit(), 500).unref());
