#!/usr/bin/python3
"""A shop whose database is two PostgreSQL shards, with and without a cache in front of it.

    shop.py CACHE_PORT SHARD_PORT SHARD_PORT [SECONDS]         `run`, beside this file, starts all of that and then this

Many readers and some writers work for a few seconds, three times: with no cache, with a plain one (GET, SET, DEL), and with FETCH, SET VER TOKEN
and INVALIDATE VER. Each time it is counted what the databases were asked, how many reads the cache answered, and how many reads were
stale: they returned less than what had been acknowledged to its writer before the read began.

Now and then a writer dies between its commit and its invalidation. So that nobody depends on it, the transaction that changes a row also notes in
the table `outbox` what is to be invalidated, and a replayer does what was left undone. INVALIDATE VER may be repeated, and come
late or in any order: a version says by itself what is older than it.
"""
import json
import random
import sys
import threading
import time

import psycopg2
import redis

USERS = 500
READERS = 12
WRITERS = 2
WRITER_DIES = 0.02  # a share of the writes, between commit and invalidation
REPLAY_AFTER_S = 0.2

SCHEMA = """
    CREATE TABLE users (id int PRIMARY KEY, name text, visits int NOT NULL DEFAULT 0, version bigint NOT NULL DEFAULT 1);
    CREATE TABLE outbox (key text, version bigint, noted timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (key, version));
"""


class Shards:
    """A connection to each shard, for one thread. Users are spread by their number."""

    def __init__(self, ports):
        self.connections = [psycopg2.connect(host="127.0.0.1", port=port, user="shop", dbname="postgres") for port in ports]
        self.queries = 0

    def of(self, user_id):
        return self.connections[user_id % len(self.connections)]

    def load(self, user_id):
        """The row as it is now. To make a page of it takes another moment."""
        self.queries += 1
        with self.of(user_id) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name, visits, version FROM users WHERE id = %s", (user_id,))
            name, visits, version = cursor.fetchone()
        time.sleep(0.002)
        return {"id": user_id, "name": name, "visits": visits, "version": version}

    def visit(self, user_id):
        """Changes a row; its version and the note in the outbox are of the same transaction."""
        self.queries += 2
        with self.of(user_id) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE users SET visits = visits + 1, version = version + 1 WHERE id = %s RETURNING version", (user_id,))
            version = cursor.fetchone()[0]
            cursor.execute("INSERT INTO outbox (key, version) VALUES (%s, %s)", (key_of(user_id), version))
        return version

    def settle(self, user_id, version):
        """The invalidation is done: its note can go."""
        self.queries += 1
        with self.of(user_id) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM outbox WHERE key = %s AND version = %s", (key_of(user_id), version))


def key_of(user_id):
    return f"user:{user_id}"


# --- Three ways to read and to invalidate ---


class NoCache:
    name = "no cache"

    def __init__(self, cache, shards):
        self.cache, self.shards, self.hits = cache, shards, 0

    def read(self, user_id):
        return self.shards.load(user_id)

    def invalidate(self, key, version):
        pass


class PlainCache(NoCache):
    name = "GET, SET, DEL"

    def read(self, user_id):
        value = self.cache.get(key_of(user_id))
        if value is None:
            row = self.shards.load(user_id)
            self.cache.set(key_of(user_id), json.dumps(row), ex=3600)
            return row
        self.hits += 1
        return json.loads(value)

    def invalidate(self, key, version):
        self.cache.delete(key)


class VersionedCache(NoCache):
    name = "FETCH, SET VER TOKEN, INVALIDATE VER"

    def read(self, user_id):
        key = key_of(user_id)
        state, value, version, token = self.cache.execute_command("FETCH", key, "LEASE", 2000, "WAIT", 500)
        if value is None or token:
            row = self.shards.load(user_id)
            if token:
                self.cache.execute_command("SET", key, json.dumps(row), "EX", 3600, "VER", row["version"], "TOKEN", token)
            return row
        self.hits += 1
        return json.loads(value)

    def invalidate(self, key, version):
        self.cache.execute_command("INVALIDATE", key, "VER", version)


# --- The work ---


class Trial:
    """One of the three rounds: what its threads share."""

    def __init__(self, way, cache_port, shard_ports):
        self.way, self.cache_port, self.shard_ports = way, cache_port, shard_ports
        self.lock = threading.Lock()
        self.acknowledged = [1] * USERS
        self.reads = self.writes = self.hits = self.stale = self.queries = 0
        self.died = self.replayed = 0
        self.ends = self.writers_ended = False
        self.error = None

    def client(self):
        cache = redis.Redis(port=self.cache_port, decode_responses=True)
        return self.way(cache, Shards(self.shard_ports))

    def acknowledge(self, user_id, version):
        with self.lock:
            self.acknowledged[user_id] = max(self.acknowledged[user_id], version)

    def reader(self):
        client, reads, stale = self.client(), 0, 0
        while not self.ends:
            user_id = draw_user()
            acknowledged = self.acknowledged[user_id]
            reads += 1
            stale += client.read(user_id)["version"] < acknowledged
        with self.lock:
            self.reads += reads
            self.stale += stale
            self.hits += client.hits
            self.queries += client.shards.queries

    def writer(self):
        client = self.client()
        while not self.ends:
            user_id = draw_user()
            version = client.shards.visit(user_id)
            self.writes += 1
            if random.random() < WRITER_DIES:
                self.died += 1  # nobody was told that it went well; the replayer finds the note
            else:
                client.invalidate(key_of(user_id), version)
                client.shards.settle(user_id, version)
                self.acknowledge(user_id, version)
            time.sleep(0.004)
        with self.lock:
            self.queries += client.shards.queries

    def replayer(self):
        """Invalidates what has been in an outbox for too long, until nothing is left there."""
        client = self.client()
        finished = False
        while not finished:
            finished = self.writers_ended
            for connection in client.shards.connections:
                with connection, connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT key, version FROM outbox WHERE noted < clock_timestamp() - make_interval(secs => %s)", (REPLAY_AFTER_S,)
                    )
                    notes = cursor.fetchall()
                    cursor.execute("SELECT count(*) FROM outbox")
                    finished = finished and cursor.fetchone()[0] == len(notes)
                for key, version in notes:
                    user_id = int(key.removeprefix("user:"))
                    client.invalidate(key, version)
                    client.shards.settle(user_id, version)
                    self.acknowledge(user_id, version)
                    self.replayed += 1
            time.sleep(0.05)

    def run(self, seconds):
        work = [self.reader] * READERS + [self.writer] * WRITERS
        threads = [threading.Thread(target=self.until_error, args=(each,)) for each in work]
        replayer = threading.Thread(target=self.until_error, args=(self.replayer,))
        began = time.monotonic()
        for thread in threads + [replayer]:
            thread.start()
        time.sleep(seconds)
        self.ends = True
        for thread in threads:
            thread.join()
        self.seconds = time.monotonic() - began
        self.writers_ended = True
        replayer.join()
        if self.error:
            raise SystemExit(f"{self.way.name}: {self.error}")

    def until_error(self, work):
        try:
            work()
        except Exception as error:
            self.error = error
            self.ends = True

    def report(self):
        print(
            f"{self.way.name:38} {self.reads / self.seconds:8.0f} {self.queries / self.seconds:12.0f} "
            f"{100 * self.hits / self.reads:8.1f} % {self.stale:7} {self.writes:8} {self.died:6} {self.replayed:10}",
            flush=True,
        )


def draw_user():
    """A few users are read most of the time."""
    return int(USERS * random.random() ** 3)


def make_tables(ports):
    for shard, port in enumerate(ports):
        connection = psycopg2.connect(host="127.0.0.1", port=port, user="shop", dbname="postgres")
        with connection, connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS users, outbox")
            cursor.execute(SCHEMA)
            for user_id in range(shard, USERS, len(ports)):
                cursor.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (user_id, f"user number {user_id}"))
        connection.close()


def main():
    cache_port, *shard_ports = [int(port) for port in sys.argv[1:4]]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 5
    print(f"{'':38} {'reads/s':>8} {'db queries/s':>12} {'hits':>10} {'stale':>7} {'writes':>8} {'died':>6} {'replayed':>10}")
    trials = []
    for way in (NoCache, PlainCache, VersionedCache):
        make_tables(shard_ports)
        redis.Redis(port=cache_port).flushall()
        trial = Trial(way, cache_port, shard_ports)
        trial.run(seconds)
        trial.report()
        trials.append(trial)
    without, _, versioned = trials

    def per_read(trial):
        return trial.queries / trial.reads

    print(f"\nFor each read the databases were asked {per_read(without):.2f} times without the cache, {per_read(versioned):.2f} times with it.")
    # What must hold wherever this runs.
    assert versioned.stale == 0, "a read was stale"
    assert versioned.hits > 0 and per_read(versioned) < per_read(without)
    assert versioned.replayed >= versioned.died, "an invalidation was lost for good"


if __name__ == "__main__":
    main()
