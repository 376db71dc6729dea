"""One huge file over http and https, to the disk and to memory, beside every peer."""
import os, shutil

from bench import GIB, Daemon, Nginx, Part, median, noise, settle, wall


def peers(bench, url, ca, out):
    """Everything with its defaults; aria2 with the faster ways it offers."""
    name = os.path.basename(out)
    aria2 = ["aria2c", "-q", "--no-conf", "--ca-certificate=" + ca, "--file-allocation=falloc",
             "-d", os.path.dirname(out), "-o", name]
    return {
        "curl": ["curl", "-q", "-sS", "--cacert", ca, "-o", out, url],
        "wget": ["wget", "--no-config", "-q", "--ca-certificate=" + ca, "-O", out, url],
        "wget2": ["wget2", "--no-config", "-q", "--ca-certificate=" + ca, "-O", out, url],
        "lftp": ["lftp", "--norc", "-c", "set ssl:ca-file %s; get -c %s -o %s" % (ca, url, out)],
        "aria2c": aria2 + [url],
        "aria2c -x16 -s16": aria2 + ["-x16", "-s16", url],
        "axel": ["axel", "-q", "-k", "-n4", "-o", out, url],
    }


def check(out, size):
    if os.path.getsize(out) != size:
        raise RuntimeError("%s has %d bytes" % (out, os.path.getsize(out)))


def one_peer(bench, argv, out, size):
    def run():
        shutil.rmtree(os.path.dirname(out), ignore_errors=True)
        os.makedirs(os.path.dirname(out))
        settle(size)
        sample = bench.measure(argv, os.path.dirname(out), sync_file=out)
        check(out, size)
        shutil.rmtree(os.path.dirname(out))
        return sample
    return run


def one_xferfs(daemon, url, size, **properties):
    def run():
        out = os.path.join(daemon.dest, "file")
        settle(size)
        sample = daemon.fetch(daemon.new_job([url + " file"], **properties))
        check(out, size)
        os.unlink(out)
        return sample
    return run


def one_limit(bench, nginx, name, out, size, *options):
    def run():
        os.makedirs(os.path.dirname(out), exist_ok=True)
        settle(size)
        sample = bench.measure([bench.tool("limit"), *options, str(nginx.port), "/" + name, out],
                               os.path.dirname(out))
        check(out, size)
        os.unlink(out)
        return sample
    return run


THROWN_AWAY = "curl -o /dev/null"


def is_limit(name):
    """What no download can do without: not a peer."""
    return name.startswith("recv") or name == THROWN_AWAY


def one_thrown_away(bench, ca, url, size):
    def run():
        settle(size)
        return bench.measure(["curl", "-q", "-sS", "--cacert", ca, "-o", "/dev/null", url], "/")
    return run


def kinds(bench, gib):
    """Which programs take part: of the largest size, those that matter (the others take minutes)."""
    if bench.quick:
        return ["curl", "wget2", "lftp", "aria2c"]
    if gib >= 4:
        return ["curl", "wget2", "lftp", "aria2c -x16 -s16"]
    return ["curl", "wget", "wget2", "lftp", "aria2c", "aria2c -x16 -s16", "axel"]


def sizes(bench):
    return [1] if bench.quick else [1, 4]


def judge(part, gib, scheme, place, samples):
    names = [n for n in samples if n != "xferfs" and not is_limit(n)]
    fastest = min(names, key=lambda n: wall(samples[n]))
    ratio = wall(samples["xferfs"]) / wall(samples[fastest])
    where = "%d GiB, %s, %s" % (gib, scheme, place)
    part.verdict("%s: time against the fastest peer (%s)" % (where, fastest), ratio,
                 1 / 3 if place == "ext4" else 1.0, most=True)
    if "recv + pwrite" in samples and place == "tmpfs":
        cpu = median([s.cpu for s in samples["xferfs"]]) / median([s.cpu for s in samples["recv + pwrite"]])
        part.verdict("%s: CPU against recv + pwrite" % where, cpu, 1.15, most=True)


def run(bench):
    part = Part(bench, "large", "One huge file")
    root = os.path.join(bench.memory, "www")
    nginx = Nginx(bench, root)
    for gib in sizes(bench):
        size, name = gib * GIB, "%dg" % gib
        noise(os.path.join(root, name), size)
        for place, folder in (("ext4", bench.disk), ("tmpfs", bench.memory)):
            daemon = Daemon(bench, os.path.join(folder, "xferfs"), "security.ca_file=" + nginx.ca)
            out = os.path.join(folder, "out", "file")
            for scheme, base in (("http", nginx.url), ("https", nginx.tls_url)):
                bench.say("  %d GiB, %s, %s" % (gib, scheme, place))
                url = "%s/%s" % (base, name)
                cases = {"xferfs": one_xferfs(daemon, url, size)}
                for peer, argv in peers(bench, url, nginx.ca, out).items():
                    if peer in kinds(bench, gib):
                        cases[peer] = one_peer(bench, argv, out, size)
                cases[THROWN_AWAY] = one_thrown_away(bench, nginx.ca, url, size)
                if scheme == "http":
                    cases["recv + pwrite"] = one_limit(bench, nginx, name, out, size)
                    if place == "ext4":
                        cases["recv + pwrite, uncached"] = one_limit(bench, nginx, name, out, size, "-c")
                samples = bench.rounds_of(cases, 2 if gib >= 4 and place == "ext4" else None)
                part.comparison("%d GiB, %s, to %s, durable" % (gib, scheme, place), samples, size=size)
                judge(part, gib, scheme, place, samples)
                if scheme == "http" and gib == sizes(bench)[-1]:
                    part.bars("%d GiB to %s, durable" % (gib, "a disk (ext4)" if place == "ext4" else "memory (tmpfs)"),
                              "s", {n: wall(s) for n, s in samples.items() if not is_limit(n)}, "less")
            daemon.stop()
        os.unlink(os.path.join(root, name))
    nginx.stop()
    return part
