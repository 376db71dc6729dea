"""A line of 200 Mbit/s, in network namespaces of our own, that several jobs share."""
import os, shutil, subprocess, time

from bench import GIB, MIB, Daemon, Nginx, Part, noise


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Line:
    """A namespace whose one way out gives 200 Mbit/s; `address` is the server's in it."""

    def __init__(self, bench):
        self.name = "xferfs-bench-%d" % os.getpid()
        here, there = "xfb%dh" % (os.getpid() % 100000), "xfb%dt" % (os.getpid() % 100000)
        net = "198.18.%d." % (os.getpid() % 250) # 198.18.0.0/15: for benchmarks (RFC 2544)
        self.address = net + "2"
        ip("netns", "add", self.name)
        bench.stack.callback(subprocess.run, ["ip", "netns", "del", self.name])
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        ip("addr", "add", net + "1/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", self.name, "addr", "add", net + "2/30", "dev", there)
        ip("-n", self.name, "link", "set", there, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        subprocess.run(["tc", "-n", self.name, "qdisc", "add", "dev", there, "root",
                        "tbf", "rate", "200mbit", "burst", "256kb", "latency", "50ms"], check=True)


def curl_alone(bench, url, mib):
    """Bytes per second that one connection of another program gets, with the line for itself."""
    sample = bench.measure(["curl", "-q", "-sS", "-o", "/dev/null", "%s/%dm" % (url, mib)], bench.memory)
    return mib * MIB / sample.wall


def came(daemon, job):
    return int(daemon.keys(job, "progress")["bytes_transferred"])


def shares(bench, part, daemon, url, seconds, line):
    bench.say("  four jobs")
    jobs = [daemon.new_job(["%s/huge file%d" % (url, i)]) for i in range(4)]
    for job in jobs:
        daemon.put(job, "resume", "1")
    while min(came(daemon, job) for job in jobs) < 4 * MIB:
        time.sleep(0.1)
    time.sleep(3) # connections are begun and tried; the shares are of what follows
    before, begun = [came(daemon, job) for job in jobs], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    bytes_of = [came(daemon, job) - b for job, b in zip(jobs, before)]
    for job in jobs:
        os.rmdir(daemon.path(job))
    total = sum(bytes_of)
    part.table("Four jobs on a line of 200 Mbit/s, over %d s" % seconds, ["job", "MiB/s", "share"],
               [[job, "%.2f" % (b / took / MIB), "%.1f %%" % (100 * b / total)] for job, b in zip(jobs, bytes_of)],
               "Together %.2f MiB/s; curl alone gets %.2f." % (total / took / MIB, line / MIB))
    part.verdict("four jobs: the smallest share against a quarter", min(bytes_of) / (total / 4), 0.9, most=False)
    part.verdict("four jobs: together against curl alone on the line", total / took / line, 0.9, most=False)


def beside(bench, part, daemon, url, sizes, line):
    bench.say("  small jobs beside a huge one")
    huge = daemon.new_job([url + "/huge"])
    daemon.put(huge, "resume", "1")
    while came(daemon, huge) < 16 * MIB:
        time.sleep(0.1)
    rows, ratios = [], []
    for mib in sizes:
        job = daemon.new_job(["%s/%dm" % (url, mib)])
        begun = time.monotonic()
        daemon.put(job, "resume", "1")
        assert daemon.get(job, "wait") == "transferred"
        took = time.monotonic() - begun
        half = mib * MIB / (line / 2)
        ratios.append(took / half)
        rows.append(["%d MiB" % mib, "%.2f" % took, "%.2f" % half, "%.2f" % ratios[-1]])
        os.rmdir(daemon.path(job))
    os.rmdir(daemon.path(huge))
    part.table("A small job beside a huge one, on that line",
               ["size of the job", "s", "s with half of the line", "ratio"], rows)
    part.verdict("small beside huge: the slowest against half of the line", max(ratios), 1.5, most=True)


def run(bench):
    if os.getuid() != 0 or not shutil.which("tc"):
        bench.say("  left out: needs root and tc")
        return None
    part = Part(bench, "shared", "A shared line")
    root = os.path.join(bench.memory, "www")
    noise(os.path.join(root, "huge"), GIB)
    sizes = [2, 8, 32] if bench.quick else [1, 4, 16, 32]
    for mib in sizes:
        noise(os.path.join(root, "%dm" % mib), mib * MIB)
    line = Line(bench)
    nginx = Nginx(bench, root, line.address, line.name)
    daemon = Daemon(bench, os.path.join(bench.memory, "xferfs"))
    line_rate = curl_alone(bench, nginx.url, sizes[-1])
    shares(bench, part, daemon, nginx.url, 8 if bench.quick else 15, line_rate)
    beside(bench, part, daemon, nginx.url, sizes, line_rate)
    daemon.stop()
    nginx.stop()
    return part
