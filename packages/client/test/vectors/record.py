#!/usr/bin/python3
"""Writes which server libmemcached takes for keys: ketama-weighted.json, ketama-spy.json, modula.json, and for 3,000 keys
each, with prefixes and unix sockets, placements.json.

The library is the one that Debian's python3-pylibmc loads; nothing is connected to. Run it from anywhere:
    /usr/bin/python3 packages/client/test/vectors/record.py
"""
import ctypes
import hashlib
import json
import os
import sys

import _pylibmc  # brings libmemcached into the process

HERE = os.path.dirname(os.path.abspath(__file__))
KETAMA_WEIGHTED = 16  # MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED
HASH = 2  # MEMCACHED_BEHAVIOR_HASH
MD5 = 1  # MEMCACHED_HASH_MD5
MODULA, KETAMA_SPY = 0, 4  # memcached_server_distribution_t
HASH_WITH_PREFIX = 25  # MEMCACHED_BEHAVIOR_HASH_WITH_PREFIX_KEY
PREFIX = 0  # MEMCACHED_CALLBACK_PREFIX_KEY

SERVERS = [
    ("10.0.1.1", 11211, 600),
    ("10.0.1.2", 11211, 300),
    ("10.0.1.3", 11211, 200),
    ("10.0.1.4", 11211, 350),
    ("10.0.1.5", 11211, 1000),
    ("10.0.1.6", 11211, 800),
    ("10.0.1.7", 11211, 950),
    ("10.0.1.8", 11211, 100),
]
OTHER_PORTS = [("cache-a", 11211, 1), ("cache-b", 11212, 1), ("cache-c.example.org", 22122, 3), ("10.0.0.9", 11211, 2)]

lib = ctypes.CDLL(None)
try:
    lib.memcached_create
except AttributeError:
    lib = ctypes.CDLL("libmemcached.so.11")
lib.memcached_create.restype = ctypes.c_void_p
lib.memcached_create.argtypes = [ctypes.c_void_p]
lib.memcached_server_add_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
lib.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
lib.memcached_behavior_set_distribution.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.memcached_server_add_unix_socket_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
lib.memcached_callback_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
lib.memcached_generate_hash.restype = ctypes.c_uint32
lib.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.memcached_free.argtypes = [ctypes.c_void_p]


def must(status):
    assert status == 0, "libmemcached answered %d" % status


def keys(seed):
    """99 keys that look like keys: short and long ones, some not ASCII."""
    for index in range(99):
        digest = hashlib.sha256(("%s-%d" % (seed, index)).encode()).hexdigest()
        if index % 9 == 8:
            yield "käse:%d:%s☂" % (index, digest[: index % 40])
        else:
            yield "%s:%d:%s" % (("user", "session", "page", "city")[index % 4], index, digest[: 1 + index % 60])


def record(name, servers, prepare):
    handle = lib.memcached_create(None)
    prepare(handle)
    for host, port, weight in servers:
        must(lib.memcached_server_add_with_weight(handle, host.encode(), port, weight))
    cases = {}
    for key in keys(name):
        encoded = key.encode()
        cases[key] = lib.memcached_generate_hash(handle, encoded, len(encoded))
    lib.memcached_free(handle)
    return {"servers": ["%s:%d:%d" % server for server in servers], "cases": cases}


def weighted(handle):
    must(lib.memcached_behavior_set(handle, KETAMA_WEIGHTED, 1))


def spy(handle):
    must(lib.memcached_behavior_set(handle, KETAMA_WEIGHTED, 1))
    must(lib.memcached_behavior_set_distribution(handle, KETAMA_SPY))


def modula(handle):
    must(lib.memcached_behavior_set_distribution(handle, MODULA))


PREPARE = {"ketama": weighted, "ketama-spy": spy, "modula": modula}
HOSTS = ["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11212"]
WITH_SOCKETS = ["/run/a.sock", "/run/b.sock:3", "10.0.0.1:11211", "cache-b:11212:2"]
SOCKETS = ["/run/memcached/a.sock", "/run/memcached/b.sock"]


def parse(server):
    """The path or host, the port or None, and the weight of a server, as memcache-ts-client reads them."""
    name, *rest = server.split(":")
    if name.startswith("/"):
        return name, None, int(rest[0]) if rest else 1
    return name, int(rest[0]), int(rest[1]) if len(rest) > 1 else 1


def place(strategy, servers, prefix, with_prefix):
    """The servers' indexes, a digit each, of the keys user:0, user:7919, user:15838 and so on."""
    handle = lib.memcached_create(None)
    PREPARE[strategy](handle)
    if prefix:
        must(lib.memcached_callback_set(handle, PREFIX, (prefix + ":").encode()))
    if with_prefix:
        must(lib.memcached_behavior_set(handle, HASH_WITH_PREFIX, 1))
    for name, port, weight in map(parse, servers):
        if port is None:
            must(lib.memcached_server_add_unix_socket_with_weight(handle, name.encode(), weight))
        else:
            must(lib.memcached_server_add_with_weight(handle, name.encode(), port, weight))
    digits = ""
    for index in range(3000):
        key = b"user:%d" % (index * 7919)
        digits += str(lib.memcached_generate_hash(handle, key, len(key)))
    lib.memcached_free(handle)
    return {"hash": strategy, "servers": servers, "prefix": prefix, "hashWithPrefix": with_prefix, "digits": digits}


def placements():
    for strategy in PREPARE:
        for servers in (HOSTS, WITH_SOCKETS, SOCKETS):
            yield place(strategy, servers, "", False)
        for servers in (HOSTS, WITH_SOCKETS):
            for prefix in ("app", "shop:v2"):
                yield place(strategy, servers, prefix, False)
                yield place(strategy, servers, prefix, True)


def write(name, recorded):
    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(recorded, file, ensure_ascii=False, indent=2)
        file.write("\n")


if len(sys.argv) > 1 and sys.argv[1] == "--print-placements":
    json.dump(list(placements()), sys.stdout)
else:
    for name, prepare in (("ketama-weighted", weighted), ("ketama-spy", spy), ("modula", modula)):
        write(name, [record(name, SERVERS, prepare), record(name + "-ports", OTHER_PORTS, prepare)])
    write("placements", list(placements()))
