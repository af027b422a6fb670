// adapters.js: the Node clients under one set of names, so that checks.js says each promise once.
'use strict';
const ioredis5 = require('ioredis5');
const ioredis6 = require('ioredis');
const nodeRedis = require('redis');

function ioredisAdapter(library, options, resp, findsShards) {
    return {
        resp,
        async open(mode, port) {
            const failed = (error) => console.error(`connection: ${error.message}`);
            const client =
                mode === 'cluster'
                    ? new library.Cluster([{ host: '127.0.0.1', port }], { ...options, redisOptions: options })
                    : new library.Redis({ host: '127.0.0.1', port, ...options });
            client.on('error', failed);
            return {
                get: (key) => client.get(key),
                set: (key, value) => client.set(key, value),
                setPx: (key, value, ms) => client.set(key, value, 'PX', ms),
                pttl: (key) => client.pttl(key),
                incr: (key) => client.incr(key),
                mget: (keys) => client.mget(keys),
                async transaction(key, counter) {
                    const replies = await client.multi().set(key, 'v').incr(counter).get(counter).exec();
                    return replies.map(([error, reply]) => error ?? reply);
                },
                async clientInfo() {
                    if (mode !== 'cluster') return String(await client.call('CLIENT', 'INFO'));
                    await client.get('wait until the cluster is known');
                    return String(await client.nodes('master')[0].call('CLIENT', 'INFO'));
                },
                publish: (channel, message) => client.publish(channel, message),
                sPublish: (channel, message) => client.call('SPUBLISH', channel, message),
                // A connection of its own. Shard channels: where the library finds their node.
                async listener(heard) {
                    const other =
                        mode === 'cluster'
                            ? new library.Cluster([{ host: '127.0.0.1', port }], { ...options, redisOptions: options, shardedSubscribers: true })
                            : new library.Redis({ host: '127.0.0.1', port, ...options });
                    other.on('error', failed);
                    other.on('message', (channel, message) => heard('message', message));
                    other.on('pmessage', (pattern, channel, message) => heard('pmessage', message));
                    other.on('smessage', (channel, message) => heard('smessage', message));
                    return {
                        subscribe: (channel) => other.subscribe(channel),
                        pSubscribe: (pattern) => other.psubscribe(pattern),
                        sSubscribe: mode === 'cluster' && !findsShards ? undefined : (channel) => other.ssubscribe(channel),
                        close: () => other.disconnect(),
                    };
                },
                close: () => client.quit(),
            };
        },
    };
}

function nodeRedisAdapter(resp) {
    return {
        resp,
        async open(mode, port) {
            const url = `redis://127.0.0.1:${port}`;
            const client =
                mode === 'cluster'
                    ? nodeRedis.createCluster({ rootNodes: [{ url }], RESP: resp })
                    : nodeRedis.createClient({ url, RESP: resp });
            client.on('error', (error) => console.error(`connection: ${error.message}`));
            await client.connect();
            return {
                get: (key) => client.get(key),
                set: (key, value) => client.set(key, value),
                setPx: (key, value, ms) => client.set(key, value, { expiration: { type: 'PX', value: ms } }),
                pttl: (key) => client.pTTL(key),
                incr: (key) => client.incr(key),
                mget: (keys) => client.mGet(keys),
                transaction: (key, counter) => client.multi().set(key, 'v').incr(counter).get(counter).exec(),
                async clientInfo() {
                    const command = ['CLIENT', 'INFO'];
                    return String(mode === 'cluster' ? await client.sendCommand('key', true, command) : await client.sendCommand(command));
                },
                publish: (channel, message) => client.publish(channel, message),
                sPublish: (channel, message) => client.sPublish(channel, message),
                async listener(heard) {
                    const other = mode === 'cluster' ? client : client.duplicate();

                    if (mode !== 'cluster') {
                        other.on('error', (error) => console.error(`connection: ${error.message}`));
                        await other.connect();
                    }
                    return {
                        subscribe: (channel) => other.subscribe(channel, (message) => heard('message', message)),
                        pSubscribe: (pattern) => other.pSubscribe(pattern, (message) => heard('pmessage', message)),
                        sSubscribe: (channel) => other.sSubscribe(channel, (message) => heard('smessage', message)),
                        close: async () => {
                            await other.unsubscribe();
                            await other.pUnsubscribe();
                            if (mode !== 'cluster') await other.close();
                        },
                    };
                },
                close: () => client.close(),
            };
        },
    };
}

module.exports = {
    ioredis5: ioredisAdapter(ioredis5, {}, 2, false),
    ioredis6: ioredisAdapter(ioredis6, {}, 3, true),
    'node-redis-resp2': nodeRedisAdapter(2),
    'node-redis-resp3': nodeRedisAdapter(3),
};
