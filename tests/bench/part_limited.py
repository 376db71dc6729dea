"""Servers that limit a connection, and one that does not: what more connections gain and cost."""
import os

from bench import GIB, MIB, Daemon, Nginx, Part, noise, wall
from part_large import one_peer, one_xferfs


def limited(bench, part, nginx, daemon, size):
    bench.say("  20 MiB/s per connection, 16 allowed")
    url = nginx.url + "/limited/big"
    out = os.path.join(bench.memory, "out", "file")
    aria2 = ["aria2c", "-q", "--no-conf", "-x16", "-s16", "--file-allocation=falloc",
             "-d", os.path.dirname(out), "-o", "file", url]
    samples = bench.rounds_of({
        "xferfs": one_xferfs(daemon, url, size),
        "aria2c -x16 -s16": one_peer(bench, aria2, out, size),
        "axel -n16": one_peer(bench, ["axel", "-q", "-n16", "-o", out, url], out, size),
    })
    part.comparison("%d MiB, 20 MiB/s per connection, 16 connections allowed, to tmpfs" % (size / MIB), samples, size=size)
    part.verdict("20 MiB/s per connection: rate against aria2c -x16 -s16",
                 wall(samples["aria2c -x16 -s16"]) / wall(samples["xferfs"]), 0.95, most=False)
    part.bars("%d MiB, server gives 20 MiB/s per connection" % (size / MIB), "s",
              {n: wall(s) for n, s in samples.items()}, "less")


def unlimited(bench, part, nginx, daemon, size):
    bench.say("  no limit")
    url = nginx.url + "/big"
    samples = bench.rounds_of({
        "xferfs": one_xferfs(daemon, url, size),
        "xferfs, connections=1": one_xferfs(daemon, url, size, connections=1),
        "xferfs, connections=4": one_xferfs(daemon, url, size, connections=4),
    }, bench.rounds + 2)
    part.comparison("%d MiB, no limit, to tmpfs: connections by itself against a fixed number" % (size / MIB),
                    samples, size=size)
    part.verdict("no limit: time against connections=1",
                 wall(samples["xferfs"]) / wall(samples["xferfs, connections=1"]), 1.05, most=True)


def run(bench):
    part = Part(bench, "limited", "Servers with and without a limit per connection")
    root = os.path.join(bench.memory, "www")
    nginx = Nginx(bench, root)
    size = GIB // 2 if bench.quick else 2 * GIB
    noise(os.path.join(root, "big"), size)
    daemon = Daemon(bench, os.path.join(bench.memory, "xferfs"))
    limited(bench, part, nginx, daemon, size)
    unlimited(bench, part, nginx, daemon, size)
    daemon.stop()
    nginx.stop()
    return part
