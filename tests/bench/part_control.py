"""The control files: beside sysfs and a passthrough FUSE, under load; and how soon `wait` returns."""
import http.server, os, shutil, signal, subprocess, threading, time

from bench import WITH_US, Daemon, Part, median


class Passthrough:
    """The least FUSE filesystem (passthrough.c), on the same disk."""

    def __init__(self, bench):
        self.folder, self.mnt = os.path.join(bench.disk, "pass"), os.path.join(bench.disk, "pass-mnt")
        for path in (self.folder, self.mnt):
            os.makedirs(path)
        for name in ("plain", "durable"):
            with open(os.path.join(self.folder, name), "w") as f:
                f.write("normal\n")
        self.process = subprocess.Popen(WITH_US + [bench.tool("passthrough"), self.folder, self.mnt])
        bench.stack.callback(self.stop)
        while not os.path.exists(os.path.join(self.mnt, "plain")):
            if self.process.poll() is not None:
                raise RuntimeError("passthrough did not mount")
            time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def rates(bench, cases, rounds):
    """{name: arguments of loops}: medians of [operations per second, median µs, 99th percentile µs]."""
    results = {name: [] for name in cases}
    for _ in range(rounds):
        for name, args in cases.items():
            results[name].append(bench.loops(*args))
    return {name: [median(column) for column in zip(*rows)] for name, rows in results.items()}


def add_table(part, title, results, note=None):
    part.table(title, ["file", "per second", "median, µs", "99th percentile, µs"],
               [[name, "%.0f" % r[0], "%.1f" % r[1], "%.1f" % r[2]] for name, r in results.items()], note)


def control_files(bench, part, daemon, job):
    bench.say("  control files")
    passthrough = Passthrough(bench)
    n, few = (20000, 1000) if bench.quick else (50000, 3000)
    reads = rates(bench, {
        "a sysfs attribute (/sys/class/net/lo/mtu)": ("read", n, "/sys/class/net/lo/mtu"),
        "passthrough FUSE": ("read", n, passthrough.mnt + "/plain"),
        "xferfs: state": ("read", n, daemon.path(job, "state")),
        "xferfs: progress": ("read", n, daemon.path(job, "progress")),
    }, bench.rounds)
    add_table(part, "open, read, close", reads)
    writes = rates(bench, {
        "passthrough FUSE": ("write", n, "normal", passthrough.mnt + "/plain"),
        "passthrough FUSE with fdatasync": ("write", few, "normal", passthrough.mnt + "/durable"),
        "xferfs: priority": ("write", few, "normal", daemon.path(job, "priority")),
    }, bench.rounds)
    add_table(part, "open, write, close", writes, "What xferfs answers is durable; the passthrough's `fdatasync` is the same promise for one value.")
    part.verdict("cat state: per second against passthrough FUSE", reads["xferfs: state"][0] / reads["passthrough FUSE"][0], 0.5, most=False)
    part.verdict("echo > priority: per second against passthrough FUSE with fdatasync",
                 writes["xferfs: priority"][0] / writes["passthrough FUSE with fdatasync"][0], 0.33, most=False)
    passthrough.stop()
    return reads["xferfs: state"]


def while_saving(bench, part, daemon, job):
    bench.say("  state while 100 jobs are being saved")
    others = [daemon.path(daemon.new_job(["http://127.0.0.1:9/x"]), "priority") for _ in range(100)]
    n = 5000 if bench.quick else 20000
    alone = rates(bench, {"alone": ("read", n, daemon.path(job, "state"))}, bench.rounds)
    writers = [subprocess.Popen(WITH_US + [bench.tool("loops"), "write", "0", "normal", *others[i::4]],
                                stdout=subprocess.PIPE) for i in range(4)]
    saving = rates(bench, {"while 100 jobs are being saved": ("read", n, daemon.path(job, "state"))}, bench.rounds)
    for w in writers:
        w.send_signal(signal.SIGTERM)
    saves = sum(float(w.communicate()[0].split()[0]) for w in writers)
    add_table(part, "cat state", {**alone, **saving}, "%.0f saves per second meanwhile, by four writers, on %d cores." % (saves, os.cpu_count()))
    part.verdict("cat state, 99th percentile in µs while 100 jobs are being saved", saving["while 100 jobs are being saved"][2], 1000, most=True)


class Origin(http.server.BaseHTTPRequestHandler):
    """Notes when the last byte was given to the kernel, which sends it at once."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1 # head and body in one
    last = 0.0

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4096")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(b"x" * 4096)
        self.wfile.flush()
        Origin.last = time.monotonic()

    def log_message(self, *args):
        pass


def latency(bench, part, daemon):
    bench.say("  from the last byte to wait")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    took, whole = [], []
    for i in range(50 if bench.quick else 200):
        job = daemon.new_job(["http://127.0.0.1:%d/f%d" % (server.server_port, i)])
        begun = time.monotonic()
        daemon.put(job, "resume", "1")
        assert daemon.get(job, "wait") == "transferred"
        now = time.monotonic()
        took.append(1000 * (now - Origin.last))
        whole.append(1000 * (now - begun))
        os.rmdir(daemon.path(job))
    server.shutdown()
    took.sort()
    p99 = took[len(took) * 99 // 100]
    part.table("A file of 4 KiB, durable", ["", "median, ms", "99th percentile, ms"],
               [["last byte sent until `wait` has returned", "%.2f" % median(took), "%.2f" % p99],
                ["resume until `wait` has returned", "%.2f" % median(whole), "%.2f" % sorted(whole)[len(whole) * 99 // 100]]])
    part.verdict("last byte to wait, ms", median(took), 20, most=True)


def run(bench):
    part = Part(bench, "control", "Control files")
    daemon = Daemon(bench, os.path.join(bench.disk, "control"))
    job = daemon.new_job(["http://127.0.0.1:9/x"])
    control_files(bench, part, daemon, job)
    while_saving(bench, part, daemon, job)
    latency(bench, part, daemon)
    daemon.stop()
    shutil.rmtree(os.path.dirname(daemon.dest))
    return part
