"""Many small files, beside what the peers can do at once."""
import os, shutil, tempfile

from bench import MIB, Daemon, Nginx, Part, noise, settle, wall


def peers(bench, urls):
    """{name: function of the output folder that gives the command}."""
    def write(name, lines):
        path = os.path.join(bench.memory, name)
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        return path
    plain = write("list", urls)
    for_curl = write("list.curl", ['url="%s"\nremote-name' % u for u in urls])
    for_lftp = write("list.lftp", ["get %s &" % " ".join(urls[i::16]) for i in range(16)])
    cases = {
        "aria2c -j16": lambda out: ["aria2c", "-q", "--no-conf", "-j16", "--file-allocation=none",
                                    "-d", out, "-i", plain],
        "wget2": lambda out: ["wget2", "--no-config", "-q", "--max-threads=16", "-P", out, "-i", plain],
        "lftp": lambda out: ["lftp", "--norc", "-c", "lcd %s; source %s; wait all" % (out, for_lftp)],
    }
    for n in (16, 50) if bench.quick else (8, 16, 50):
        cases["curl --parallel-max %d" % n] = lambda out, n=n: [
            "curl", "-q", "-sS", "--no-progress-meter", "-Z", "--parallel-max", str(n), "--output-dir", out, "-K", for_curl]
    return cases


def check(folder, n, size):
    names = [e for e in os.scandir(folder) if e.is_file()]
    if len(names) != n or any(e.stat().st_size != size for e in names):
        raise RuntimeError("%s has %d of %d files" % (folder, len(names), n))


# Nothing is deleted between the rounds: see Bench.fresh_ext4.

def one_peer(bench, make_argv, out, n, size):
    def run():
        folder = tempfile.mkdtemp(dir=out)
        settle(n * size)
        sample = bench.measure(make_argv(folder), folder, sync_fs=folder)
        check(folder, n, size)
        return sample
    return run


def one_xferfs(daemon, urls, size):
    def run():
        folder = tempfile.mkdtemp(dir=daemon.dest)
        job = daemon.new_job(urls, destination=os.path.basename(folder))
        settle(len(urls) * size)
        sample = daemon.fetch(job)
        check(folder, len(urls), size)
        return sample
    return run


def judge(part, what, samples):
    rate = lambda name: 1 / wall(samples[name])
    curl = max((n for n in samples if n.startswith("curl")), key=rate)
    if "aria2c -j16" in samples: # of large files the bytes are the limit, not the program
        part.verdict("%s: files per second against aria2c -j16" % what, rate("xferfs") / rate("aria2c -j16"),
                     10 if what.startswith("10,000") else 1, most=False)
    part.verdict("%s: files per second against the best of curl --parallel" % what,
                 rate("xferfs") / rate(curl), 1, most=False)


def run(bench):
    part = Part(bench, "small", "Many files")
    root = os.path.join(bench.memory, "www")
    nginx = Nginx(bench, root)
    disk = bench.fresh_ext4()
    for count, size, what in ((10000, 4096, "10,000 × 4 KiB"), (1000, MIB, "1,000 × 1 MiB")):
        for i in range(count):
            noise(os.path.join(root, "%d" % size, "f%05d" % i), size)
        urls = ["%s/%d/f%05d" % (nginx.url, size, i) for i in range(count)]
        for place, folder in (("ext4", disk), ("tmpfs", bench.memory)):
            bench.say("  %s, %s" % (what, place))
            daemon = Daemon(bench, os.path.join(folder, "xferfs"))
            out = os.path.join(folder, "out")
            os.makedirs(out)
            cases = {"xferfs": one_xferfs(daemon, urls, size)}
            for name, make_argv in peers(bench, urls).items():
                cases[name] = one_peer(bench, make_argv, out, count, size)
            samples = bench.rounds_of(cases, 2 if place == "ext4" else None)
            part.comparison("%s, to %s, durable" % (what, place), samples, size=count * size, files=count)
            judge(part, "%s, %s" % (what, place), samples)
            if place == "ext4":
                best = min((n for n in samples if n.startswith("curl")), key=lambda n: wall(samples[n]))
                part.bars("%s files, durable on ext4" % what, "files/s",
                          {("curl --parallel" if n == best else n): count / wall(s) for n, s in samples.items()
                           if n == best or not n.startswith("curl")}, "more")
            daemon.stop()
            shutil.rmtree(out)
            shutil.rmtree(os.path.dirname(daemon.dest))
        shutil.rmtree(os.path.join(root, "%d" % size))
    nginx.stop()
    return part
