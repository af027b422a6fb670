"""spread_reads.py: redis-py reads one hot key, as it would any other.

    spread_reads.py redis-py PORT KEY SECONDS READS CLIENTS

As many clients, each on a thread, read until the seconds are over and each has had its reads; one in two hundred commands writes, or reads a neighbour of the key. Prints
"reads N commands N errors N stale N", the first error before.
"""

import sys
import threading
import time

from redis.cluster import RedisCluster

_, port, key, seconds, reads, clients = sys.argv[1:7]
other = "{" + key + "}:other"
lock = threading.Lock()
total = {"reads": 0, "commands": 0, "errors": 0, "stale": 0}
acknowledged = 0
first = []


def work(number):
    global acknowledged
    client = RedisCluster(host="127.0.0.1", port=int(port))
    until = time.monotonic() + float(seconds)
    mine = {"reads": 0, "commands": 0, "errors": 0, "stale": 0}
    while time.monotonic() < until or mine["reads"] < int(reads):
        mine["commands"] += 1
        try:
            if mine["commands"] % 400 == 0:
                client.get(other)
            elif mine["commands"] % 200 == 0 and number == 0:
                value = acknowledged + 1
                client.set(key, value)
                acknowledged = value
            else:
                least = acknowledged
                mine["reads"] += 1
                if int(client.get(key)) < least:
                    mine["stale"] += 1
        except Exception as error:  # whatever it is, a user would have seen it
            mine["errors"] += 1
            first.append(f"{type(error).__name__} {error}")
            if mine["errors"] > 1000:
                break
    with lock:
        for name, count in mine.items():
            total[name] += count


threads = [threading.Thread(target=work, args=(number,)) for number in range(int(clients))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if first:
    print(first[0])
print(" ".join(f"{name} {count}" for name, count in total.items()))
