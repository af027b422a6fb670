"""checks.py: what redis-py must be able to do.

    checks.py redis-py cluster|solo PORT

Prints a line for each promise, "ok NAME" or "failed NAME: why"; clients_cases.tcl knows which promises there must be.
"""

import os
import subprocess
import sys
import time

import redis
from redis.cluster import RedisCluster

KEYS = 600
name, mode, port = sys.argv[1:4]
prefix = f"{name}:{mode}"


def check(promise, body):
    try:
        body()
        print(f"ok {promise}")
    except Exception as error:  # whatever it is, it is the reason
        print(f"failed {promise}: {type(error).__name__} {' '.join(str(error).split())}")


def equal(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def open_client():
    if mode == "cluster":
        return RedisCluster(host="127.0.0.1", port=int(port))
    return redis.Redis(host="127.0.0.1", port=int(port))


client = open_client()


def moved():
    key = f"{prefix}:moved"
    client.get(key)  # now it knows where the slot is
    subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "move_slot"), port, key], check=True)
    equal(client.set(key, "v"), True)
    equal(client.get(key), b"v")


def keys_of_all_slots():
    for i in range(KEYS):
        equal(client.set(f"{prefix}:{i}", f"value of {i}"), True)
    for i in range(KEYS):
        equal(client.get(f"{prefix}:{i}"), f"value of {i}".encode())
    equal(client.get(f"{prefix}:absent"), None)


def pipelined():
    # A cluster's pipeline is split by node and put together again.
    with client.pipeline() as pipe:
        for i in range(KEYS):
            pipe.get(f"{prefix}:{i}")
        equal(pipe.execute(), [f"value of {i}".encode() for i in range(KEYS)])


def any_bytes():
    value = bytes(range(256)) + b"\r\n"
    client.set(f"{prefix}:bytes", value)
    equal(client.get(f"{prefix}:bytes"), value)


def deadline():
    # Long enough for a machine that is slow; what is brief may be gone before it is asked for.
    client.set(f"{prefix}:brief", "v", px=100000)
    equal(client.get(f"{prefix}:brief"), b"v")
    left = client.pttl(f"{prefix}:brief")
    if not 0 < left <= 100000:
        raise AssertionError(f"pttl {left}")
    client.set(f"{prefix}:brief", "v", px=150)
    until = time.monotonic() + 60
    while client.get(f"{prefix}:brief") is not None and time.monotonic() < until:
        time.sleep(0.1)
    equal(client.get(f"{prefix}:brief"), None)


def counts():
    for i in range(1, 6):
        equal(client.incr(f"{prefix}:count"), i)


def one_tag():
    keys = [f"{{{prefix}}}:{i}" for i in range(5)]
    for key in keys:
        client.set(key, key)
    equal(client.mget(keys + [f"{{{prefix}}}:absent"]), [key.encode() for key in keys] + [None])


def transaction():
    # This version's RedisCluster offers no MULTI of its own: it goes to the slot's node over one plain connection.
    key, counter = f"{{{prefix}}}:a", f"{{{prefix}}}:n"
    node = client
    if mode == "cluster":
        node = client.get_redis_connection(client.get_node_from_key(key))
    with node.pipeline(transaction=True) as pipe:
        equal(pipe.set(key, "v").incr(counter).get(counter).execute(), [True, 1, b"1"])


def salted():
    key = f"{prefix}:star"
    equal(client.execute_command("SALT", key), [key.encode()])
    names = client.execute_command("SALT", key, 6)
    equal([len(names), names[0]], [6, key.encode()])
    equal(client.execute_command("SALT", key), names)
    for number, name in enumerate(names):
        client.set(name, number)
        equal([client.get(other) for other in names], [str(number).encode()] * 6)
        equal(client.incr(name), number + 1)
    fewer = client.execute_command("SALT", key, 2)
    client.set(key, "v")
    equal([client.get(name) for name in names + fewer], [b"v"] * 8)
    equal(client.delete(names[5]), 1)
    equal(client.get(key), None)
    client.execute_command("SALT", key, 1)


def told():
    client.set(f"{prefix}:text", "text")
    try:
        client.incr(f"{prefix}:text")
    except redis.ResponseError as error:
        # redis-py takes the word ERR away.
        equal(str(error), "value is not an integer or out of range")
    else:
        raise AssertionError("no error")
    equal(client.get(f"{prefix}:text"), b"text")


def hears():
    listener = client.pubsub()
    channel, pattern = f"{prefix}:channel", f"{prefix}:chan*"
    listener.subscribe(channel)
    listener.psubscribe(pattern)
    speaker = open_client()
    heard, until = [], time.monotonic() + 60
    # Another node's message needs the link between the two, which may have to be opened.
    while len({kind for kind, _ in heard if kind.endswith("message")}) < 2 and time.monotonic() < until:
        if {"subscribe", "psubscribe"} <= {kind for kind, _ in heard}:
            speaker.publish(channel, b"a\r\nb\x00\xff")
        message = listener.get_message(timeout=0.2)
        if message is not None:
            heard.append((message["type"], message["data"]))
    equal({kind for kind, _ in heard}, {"subscribe", "psubscribe", "message", "pmessage"})
    equal({data for kind, data in heard if kind.endswith("message")}, {b"a\r\nb\x00\xff"})
    listener.unsubscribe()
    listener.punsubscribe()
    listener.close()


if mode == "cluster":
    check("follows a slot that moved", moved)
check("writes and reads back keys of all slots", keys_of_all_slots)
check("puts a pipeline of all slots together", pipelined)
check("keeps any bytes", any_bytes)
check("loses a key at its deadline", deadline)
check("counts", counts)
check("reads many keys of one tag at once", one_tag)
check("runs a transaction on one slot", transaction)
check("reads and writes a key under any of its names", salted)
check("is told what was wrong", told)
check("hears what others publish", hears)
