#!/usr/bin/python3
"""Cache-aside in three lines, with redis-py as it is.

    cache_aside.py [PORT]          a node on 127.0.0.1 (6379)

A row is read through the cache, changed, and read again. Then comes the race that plain caches lose: somebody who read the row
before the change stores it after the change. Here the node refuses it.
"""
import json
import sys
import time

import redis

USER = int(time.time() * 1000)  # another one each time, for this table begins anew and the node knows the last versions of the former one
database = {USER: {"name": "Ada", "version": 1}}  # what would be a table with a version column
loads = 0


def load(user_id):
    """One query: the row as it is now."""
    global loads
    loads += 1
    return dict(database[user_id])


def read(cache, user_id):
    key = f"user:{user_id}"
    # Who gets a token loads the row and stores it; the others wait up to half a second for that.
    state, value, version, token = cache.execute_command("FETCH", key, "LEASE", 2000, "WAIT", 500)
    if value is None or token:
        row = load(user_id)
        value = json.dumps(row)
        if token:
            cache.execute_command("SET", key, value, "EX", 3600, "VER", row["version"], "TOKEN", token)
    return json.loads(value)


def write(cache, user_id, name):
    row = database[user_id]
    row["name"], row["version"] = name, row["version"] + 1  # UPDATE ... SET version = version + 1; COMMIT
    cache.execute_command("INVALIDATE", f"user:{user_id}", "VER", row["version"])


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 6379
    cache = redis.Redis(port=port, decode_responses=True)
    print("read:", read(cache, USER), "- loads so far:", loads)
    print("read:", read(cache, USER), "- loads so far:", loads)
    assert loads == 1

    write(cache, USER, "Grace")
    print("read after the write:", read(cache, USER), "- loads so far:", loads)
    assert loads == 2

    # The race: a slow reader has missed, and loaded version 2 ...
    cache.delete(f"user:{USER}")
    token = cache.execute_command("FETCH", f"user:{USER}", "LEASE", 2000)[3]
    old = load(USER)
    # ... a writer is quicker ...
    write(cache, USER, "Barbara")
    # ... and what the reader has is not stored any more.
    stored = cache.execute_command("SET", f"user:{USER}", json.dumps(old), "EX", 3600, "TOKEN", token)
    print("the old row is", "stored" if stored else "refused")
    assert not stored
    assert read(cache, USER)["name"] == "Barbara"
    print("ok")


if __name__ == "__main__":
    main()
