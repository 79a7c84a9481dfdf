"""What pymemcache (Debian's python3-pymemcache) does on our server: python3 pymemcache-client.py <port>."""
import sys
from pymemcache.client.base import Client

client = Client(("127.0.0.1", int(sys.argv[1])), timeout=10)


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


same(client.version(), b"1.6.45")
same(client.set("a", "1", expire=60, noreply=False), True)
same(client.get("a"), b"1")
same(client.get("missing", "default"), "default")
same(client.set_many({"b": "2", "c": "3"}, noreply=False), [])
same(client.get_many(["a", "b", "c", "d"]), {"a": b"1", "b": b"2", "c": b"3"})
same(client.add("a", "x", noreply=False), False)
same(client.replace("nope", "x", noreply=False), False)
same(client.append("a", "0", noreply=False), True)
same(client.prepend("a", "2", noreply=False), True)
same(client.get("a"), b"210")
same(client.incr("a", 5), 215)
same(client.decr("a", 15), 200)
same(client.incr("nope", 1), None)
value, cas = client.gets("a")
same(client.cas("a", "swapped", cas, noreply=False), True)
same(client.cas("a", "again", cas, noreply=False), False)
same(client.cas("nope", "again", cas, noreply=False), None)
same(client.touch("a", 100, noreply=False), True)
same(client.delete("a", noreply=False), True)
same(client.delete("a", noreply=False), False)
big = b"x" * 900_000
same(client.set("big", big, noreply=False), True)
same(client.get("big"), big)
for index in range(5000):
    client.set(f"quiet{index}", str(index), noreply=True)
same(len(client.get_many([f"quiet{index}" for index in range(5000)])), 5000)
try:
    client.set("k" * 251, "x")
    raise AssertionError("a key of 251 bytes was accepted")
except Exception as error:
    same(type(error).__name__, "MemcacheIllegalInputError")
same(client.stats()[b"version"], b"1.6.45")
same(client.stats("slabs")[b"active_slabs"] > 0, True)
same(client.stats("settings")[b"evictions"], b"on")
same(client.cache_memlimit(64), True)
same(client.flush_all(noreply=False), True)
same(client.get("big"), None)
client.quit()
print("ok")
