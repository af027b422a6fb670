// spread_reads.js: what spread_reads.py does, through ioredis or node-redis (adapters.js).
'use strict';
const adapters = require('./adapters');
const [name, port, key, seconds, reads, clients] = process.argv.slice(2);
const total = { reads: 0, commands: 0, errors: 0, stale: 0 };
let acknowledged = 0;
let first;

async function work(number) {
    const client = await adapters[name].open('cluster', Number(port));
    const until = Date.now() + 1000 * Number(seconds);
    let commands = 0;
    let mine = 0;
    while (Date.now() < until || mine < Number(reads)) {
        commands++;
        total.commands++;
        try {
            if (commands % 400 === 0) {
                await client.get(`{${key}}:other`);
            } else if (commands % 200 === 0 && number === 0) {
                const value = acknowledged + 1;
                await client.set(key, String(value));
                acknowledged = value;
            } else {
                const least = acknowledged;
                mine++;
                total.reads++;
                if (Number(await client.get(key)) < least) total.stale++;
            }
        } catch (error) {
            total.errors++;
            first ??= error.message;
            if (total.errors > 1000) break;
        }
    }
    await client.close();
}

async function main() {
    await Promise.all(Array.from({ length: Number(clients) }, (_, number) => work(number)));
    if (first !== undefined) console.log(first);
    console.log(Object.entries(total).flat().join(' '));
    process.exit(0);
}

main();
