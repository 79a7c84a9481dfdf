"""What pylibmc (Debian's python3-pylibmc, on libmemcached) does on our server: python3 pylibmc-client.py <port>."""
import sys
import pylibmc

client = pylibmc.Client([f"127.0.0.1:{sys.argv[1]}"], binary=False, behaviors={"tcp_nodelay": True, "cas": True})


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


same(client.set("a", "1", time=60), True)
same(client.get("a"), "1")
same(client.get("missing"), None)
same(client.set_multi({"b": 2, "c": [1, "x"], "d": None}), [])
same(client.get_multi(["b", "c", "d", "e"]), {"b": 2, "c": [1, "x"], "d": None})
same(client.add("a", "x"), False)
same(client.replace("nope", "x"), False)
same(client.set("n", 41), True)
same(client.incr("n"), 42)
same(client.decr("n", 2), 40)
same(client.append("a", "0"), True)
same(client.prepend("a", "2"), True)
same(client.get("a"), "210")
value, cas = client.gets("a")
same(client.cas("a", "swapped", cas), True)
same(client.cas("a", "again", cas), False)
same(client.touch("a", 100), True)
same(client.delete("a"), True)
same(client.delete("a"), False)
text = "compressible " * 50_000
same(client.set("big", text, min_compress_len=1000), True)
same(client.get("big"), text)
raw = bytes(range(256)) * 3500
same(client.set("raw", raw), True)
same(client.get("raw"), raw)
same(client.get_stats()[0][1]["version"], b"1.6.45")
same(client.flush_all(), True)
same(client.get("big"), None)
print("ok")
