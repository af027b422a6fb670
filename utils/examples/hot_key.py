#!/usr/bin/python3
"""A key that everybody reads, read on every node, with redis-py as it is.

    hot_key.py [PORT]              a node of a cluster on 127.0.0.1 (7000)

The key has several names, which are in slots of several nodes. Who reads takes one of them at random; whatever is written is there under all of
them, at the latest when the write is acknowledged.
"""
import logging
import random
import sys
import time

from redis.cluster import RedisCluster

NAMES_GOOD_FOR = 60  # seconds; a name that is given up leads to the key for an hour

# A name that has no copy just now leads to the key with a redirect, which is followed. redis-py 4 says so with a traceback each time.
logging.getLogger("redis.cluster").setLevel(logging.CRITICAL)

names_of = {}  # key -> (its names, until when they are not asked for again)


def names(cache, key):
    known, until = names_of.get(key, (None, 0))
    if time.monotonic() >= until:
        known = cache.execute_command("SALT", key)  # of a key without names: [key]
        names_of[key] = known, time.monotonic() + NAMES_GOOD_FOR
    return known


def read(cache, key):
    return cache.get(random.choice(names(cache, key)))


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7000
    cache = RedisCluster(host="127.0.0.1", port=port, decode_responses=True)
    cache.set("star", "bright")
    # Once, by an operator, or by the node itself: POLICY SET star salt 6
    cache.execute_command("SALT", "star", 6)

    print("names:", *names(cache, "star"))
    assert len(names(cache, "star")) == 6
    for _ in range(2000):
        assert read(cache, "star") == "bright"

    # Acknowledged is acknowledged: no name has the former value.
    cache.set("star", "dim")
    for name in names(cache, "star"):
        assert cache.get(name) == "dim"
    print("after a write each of them has the new value")

    # All of them are one key.
    assert cache.delete(random.choice(names(cache, "star"))) == 1
    assert read(cache, "star") is None
    print("ok")


if __name__ == "__main__":
    main()
