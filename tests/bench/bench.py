"""What the parts of the benchmark share: servers, daemons, programs, and numbers.

A case is a function that does the same work once and gives a Sample; `rounds` runs the cases in turn,
each round beginning with another one, so that what the machine does meanwhile meets all of them alike.
Seconds are this machine's; only ratios within one run mean anything."""
import contextlib, json, os, select, shutil, socket, statistics, subprocess, time

MIB = 1 << 20
GIB = 1 << 30


class Sample:
    """wall: seconds; cpu: seconds, None where it is not one process's; rss: peak bytes."""

    def __init__(self, wall, cpu=None, rss=None):
        self.wall, self.cpu, self.rss = wall, cpu, rss


class Bench:
    """One run: where things are, how long it may take."""

    def __init__(self, build, quick, rounds, xferfs):
        self.build, self.quick, self.xferfs = build, quick, xferfs
        self.rounds = rounds or (2 if quick else 3)
        self.here = os.path.dirname(os.path.abspath(__file__))
        self.stack = contextlib.ExitStack()
        self.disk = self.folder(os.environ.get("XFERFS_BENCH_DISK", "/var/tmp"))
        self.memory = self.folder("/dev/shm")
        self.patience = 60 if quick else 120  # seconds for one case
        self.errors = open(os.path.join(build, "stderr"), "ab")

    def folder(self, parent):
        path = os.path.join(parent, "xferfs-bench.%d" % os.getpid())
        os.makedirs(path)
        os.chmod(path, 0o755)
        self.stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def fresh_ext4(self):
        """A folder on an ext4 of its own, in an image on the disk: after many files were deleted, ext4 goes
        for minutes over their inodes one by one at each create, and everybody would be measured doing that.
        Without root or mkfs.ext4: the disk's folder."""
        if os.getuid() or not shutil.which("mkfs.ext4"):
            return self.disk
        image, folder = os.path.join(self.disk, "ext4.img"), os.path.join(self.disk, "ext4")
        os.makedirs(folder, exist_ok=True)
        with open(image, "wb") as f:
            f.truncate(16 * GIB)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, folder], check=True)
        self.stack.callback(subprocess.run, ["umount", folder])
        return folder

    def tool(self, name):
        return os.path.join(self.build, "tools", name)

    def say(self, text):
        print(text, flush=True)

    # --- programs ---

    def measure(self, argv, cwd, sync_file=None, sync_fs=None):
        """Runs a program, syncs what it wrote, gives the Sample; a failure ends the benchmark."""
        command = [self.tool("measure")]
        command += ["-f", sync_file] if sync_file else []
        command += ["-d", sync_fs] if sync_fs else []
        done = subprocess.run(command + argv, cwd=cwd, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=self.errors, timeout=self.patience)
        wall, cpu, rss, status = done.stdout.split()
        if int(status):
            raise RuntimeError("%s: status %s (see %s)" % (" ".join(argv)[:200], int(status), self.errors.name))
        return Sample(float(wall), float(cpu), int(rss))

    def loops(self, *args):
        """Operations per second, median and 99th percentile in microseconds."""
        done = subprocess.run([self.tool("loops"), *map(str, args)], stdout=subprocess.PIPE, check=True, timeout=300)
        return [float(word) for word in done.stdout.split()]

    # --- rounds ---

    def rounds_of(self, cases, rounds=None):
        """cases: {name: function}; gives {name: [Sample]}. A case that cannot run is left out."""
        samples = {name: [] for name in cases}
        names = list(cases)
        for r in range(rounds or self.rounds):
            for name in names[r % len(names):] + names[:r % len(names)]:
                try:
                    samples[name].append(cases[name]())
                except subprocess.TimeoutExpired:
                    self.say("    %-28s hung: stopped" % name)
                    continue
                except RuntimeError as e:
                    self.say("    %s failed: %s" % (name, e))
                    continue
                self.say("    %-28s %8.3f s" % (name, samples[name][-1].wall))
        return {name: s for name, s in samples.items() if s}


# What is started ends with us, however we end.
WITH_US = ["setpriv", "--pdeathsig", "TERM"]


def median(values):
    return statistics.median(values)


def wall(samples):
    return median([s.wall for s in samples])


def settle(size=0):
    """What one case left dirty is not to be written during the next. And there is memory for SIZE bytes: the
    host of a virtual machine takes back what is free, and who touches it first again waits for the host, up
    to five times as long as the work itself takes; which case that is, is chance."""
    os.sync()
    with open("/dev/shm/xferfs-bench-settle.%d" % os.getpid(), "wb", buffering=0) as f:
        os.unlink(f.name)
        with contextlib.suppress(OSError): # what there is is enough
            for _ in range((size + size // 4) // MIB + (512 if size else 0)):
                f.write(NOISE)


@contextlib.contextmanager
def awake():
    """For what is a million waits for another process: without it an idle machine, above all a virtual
    one, measures how long a sleeping processor takes to wake up, which can be five times the work."""
    command = WITH_US + ["chrt", "--idle", "0", "sh", "-c", "while :; do :; done"]
    spinners = [subprocess.Popen(command) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for s in spinners:
            s.terminate()
            s.wait()


NOISE = os.urandom(MIB)


def noise(path, size):
    """A file of SIZE bytes that do not compress; no two blocks of it are the same."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        for at in range(0, size, MIB):
            f.write(at.to_bytes(8, "little") + NOISE[8:min(MIB, size - at)])
    return path


# --- the web server ---------------------------------------------------------------------------------

CONF = """
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/nginx.error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
	{temp}
	default_type application/octet-stream;
	access_log off;
	sendfile on;
	keepalive_requests 100000000;
	keepalive_timeout 300;
	ssl_certificate {folder}/server.pem;
	ssl_certificate_key {folder}/server.key;
	limit_conn_zone $server_port zone=connections:1m;
	limit_conn_status 503;
	server {{
		listen {address}:{port};
		{tls_listen}
		root {root};
		location /limited/ {{ alias {root}/; limit_rate 20m; limit_conn connections 16; }}
		location /trickle/ {{ alias {root}/; limit_rate 1k; }}
	}}
}}
"""


class Nginx:
    """On free ports of the address: `url` and, with TLS by a CA of our own (`ca`), `tls_url`.

    The sockets are made here and handed over as nginx does to its own successor (NGINX=fd:), so no port
    can be taken by another in between. In a network namespace it listens by itself."""

    def __init__(self, bench, root, address="127.0.0.1", namespace=None):
        self.folder = os.path.join(bench.disk, "nginx-%s" % address)
        os.makedirs(self.folder)
        self.port, self.tls_port = (8080, None) if namespace else (0, 0)
        environment = dict(os.environ)
        sockets = []
        if not namespace:
            self.make_ca(address)
            sockets = [self.listen(address), self.listen(address)]
            self.port, self.tls_port = (s.getsockname()[1] for s in sockets)
            environment["NGINX"] = "".join("%d:" % s.fileno() for s in sockets)
        else:
            self.make_ca(address)
        conf = os.path.join(self.folder, "nginx.conf")
        with open(conf, "w") as f:
            f.write(CONF.format(
                user="user root;" if os.getuid() == 0 else "", workers=os.cpu_count(), folder=self.folder,
                temp=" ".join("%s_temp_path %s/%s;" % (p, self.folder, p)
                              for p in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
                address=address, port=self.port, root=root,
                tls_listen="listen %s:%d ssl;" % (address, self.tls_port) if self.tls_port else ""))
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self.process = subprocess.Popen(
            WITH_US + prefix + ["nginx", "-p", self.folder, "-e", self.folder + "/nginx.error", "-c", conf, "-g", "daemon off;"],
            env=environment, pass_fds=[s.fileno() for s in sockets], stdout=bench.errors, stderr=bench.errors)
        bench.stack.callback(self.stop)
        for s in sockets:
            s.close()
        self.url = "http://%s:%d" % (address, self.port)
        self.tls_url = "https://%s:%d" % (address, self.tls_port or 0)
        self.wait_for(address)

    @staticmethod
    def listen(address):
        s = socket.socket()
        s.bind((address, 0))
        s.listen(512)
        # nginx takes an inherited socket as it is: a worker that loses the race for a connection would
        # wait in accept(2) for the next one, and with it all that it serves.
        s.setblocking(False)
        return s

    def make_ca(self, address):
        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=self.folder, check=True, stderr=subprocess.DEVNULL)
        self.ca = os.path.join(self.folder, "ca.pem")
        with open(os.path.join(self.folder, "names"), "w") as f:
            f.write("subjectAltName=IP:%s\n" % address)
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=xferfs benchmark",
                "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + address,
                "-keyout", "server.key", "-out", "server.csr")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "names", "-out", "server.pem")

    def wait_for(self, address):
        for _ in range(200):
            if self.process.poll() is not None:
                raise RuntimeError("nginx did not start: see %s/nginx.error" % self.folder)
            try:
                socket.create_connection((address, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("nginx does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait()


# --- xferfs -----------------------------------------------------------------------------------------

class Daemon:
    """xferfs in the foreground on FOLDER/dest, mounted at FOLDER/mnt, until `stop`."""

    def __init__(self, bench, folder, *options):
        self.bench, self.options = bench, options
        self.dest, self.mnt = os.path.join(folder, "dest"), os.path.join(folder, "mnt")
        for path in (self.dest, self.mnt):
            os.makedirs(path, exist_ok=True)
        self.process = None
        self.jobs = 0
        bench.stack.callback(self.stop)
        self.start()

    def start(self):
        """Returns the seconds until the mount has answered."""
        begun = time.monotonic()
        args = WITH_US + [self.bench.xferfs, "-f"]
        for option in self.options:
            args += ["-o", option]
        self.process = subprocess.Popen(args + [self.dest, self.mnt], stdin=subprocess.DEVNULL,
                                        stdout=self.bench.errors, stderr=self.bench.errors)
        with open("/proc/self/mountinfo") as table:
            poll = select.poll()
            poll.register(table, select.POLLPRI)
            poll.register(os.pidfd_open(self.process.pid), select.POLLIN)
            while True:
                table.seek(0)
                if " %s " % self.mnt in table.read():
                    os.stat(self.mnt + "/.xferfs/version")
                    return time.monotonic() - begun
                if any(event & select.POLLIN for _, event in poll.poll()):
                    raise RuntimeError("xferfs did not mount")

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            subprocess.run(["umount", "-l", self.mnt])
        self.process = None

    # --- what it uses ---

    def cpu(self):
        """CPU seconds of all its threads, by the process's own clock (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def status(self, key):
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
        raise KeyError(key)

    def switches(self):
        """Voluntary context switches of all threads."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            with open("/proc/%d/task/%s/status" % (self.process.pid, task)) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
        return total

    def forget_peak(self):
        with open("/proc/%d/clear_refs" % self.process.pid, "w") as f:
            f.write("5")

    # --- jobs ---

    def path(self, job, name=""):
        return os.path.join(self.mnt, job, name)

    def put(self, job, name, text):
        fd = os.open(self.path(job, name), os.O_WRONLY)
        try:
            os.write(fd, text.encode() + b"\n")
        finally:
            os.close(fd)

    def get(self, job, name):
        with open(self.path(job, name)) as f:
            return f.read().strip()

    def keys(self, job, name):
        return dict(line.split(" ", 1) for line in self.get(job, name).splitlines())

    def new_job(self, lines=None, name=None, **properties):
        """A suspended job with those lines added, as `cat list > add` does."""
        self.jobs += 1
        name = name or "job%d" % self.jobs
        os.mkdir(self.path(name))
        for key, value in properties.items():
            self.put(name, key, str(value))
        if lines:
            self.add(name, lines)
        return name

    def add(self, job, lines):
        data = ("\n".join(lines) + "\n").encode()
        fd = os.open(self.path(job, "add"), os.O_WRONLY)
        try:
            for at in range(0, len(data), 65536):
                os.write(fd, data[at:at + 65536])
        finally:
            os.close(fd)

    def fetch(self, job):
        """From `echo 1 > resume` until `echo 1 > complete` has returned: durable by then."""
        self.forget_peak()
        cpu, begun = self.cpu(), time.monotonic()
        self.put(job, "resume", "1")
        rests = self.get(job, "wait")
        waited = time.monotonic()
        if rests != "transferred":
            raise RuntimeError("the job rests in %s: %s" % (rests, self.get(job, "error")[:300]))
        self.put(job, "complete", "1")
        ended = time.monotonic()
        sample = Sample(ended - begun, self.cpu() - cpu, self.status("VmHWM"))
        sample.complete = ended - waited
        return sample


# --- results ----------------------------------------------------------------------------------------

class Part:
    """What one part found, as tables and verdicts; kept as JSON so that parts can be run alone."""

    def __init__(self, bench, name, title):
        self.bench = bench
        self.data = {"name": name, "title": title, "date": time.strftime("%Y-%m-%d"), "quick": bench.quick,
                     "rounds": bench.rounds, "machine": machine(), "tables": [], "verdicts": [], "bars": []}

    def table(self, title, columns, rows, note=None):
        self.data["tables"].append({"title": title, "columns": columns, "note": note,
                                    "rows": [[str(cell) for cell in row] for row in rows]})

    def verdict(self, text, value, wanted, most):
        """value is to be at most (or at least) what is wanted."""
        met = value <= wanted if most else value >= wanted
        self.data["verdicts"].append({"text": text, "value": value, "wanted": wanted, "most": most, "met": met})
        self.bench.say("  %s %s: %.2f (%s %.2f)" % ("ok  " if met else "MISS", text, value,
                                                     "at most" if most else "at least", wanted))

    def bars(self, title, unit, values, better):
        """For the picture; values: {name: number}."""
        self.data["bars"].append({"title": title, "unit": unit, "values": values, "better": better})

    def comparison(self, title, samples, size=None, files=None, note=None):
        """The usual table: every program, its median, range, rate, CPU, memory, and ratio to xferfs."""
        base = wall(samples["xferfs"]) if "xferfs" in samples else None
        columns = ["program", "wall s, median (min–max)", "xferfs is"]
        columns += ["MiB/s"] if size else []
        columns += ["CPU s/GiB"] if size and not files else []
        columns += ["files/s", "CPU s"] if files else []
        columns += ["peak memory, MiB"]
        rows = []
        for name, s in sorted(samples.items(), key=lambda item: wall(item[1])):
            walls = [one.wall for one in s]
            m = median(walls)
            row = [name, "%.2f (%.2f–%.2f)" % (m, min(walls), max(walls)),
                   "–" if not base or name == "xferfs" else "%.2f ×" % (m / base)]
            cpu = [one.cpu for one in s if one.cpu is not None]
            if size:
                row.append("%.0f" % (size / MIB / m))
            if size and not files:
                row.append("%.2f" % (median(cpu) * GIB / size) if cpu else "–")
            if files:
                row += ["%.0f" % (files / m), "%.2f" % median(cpu) if cpu else "–"]
            rss = [one.rss for one in s if one.rss is not None]
            row.append("%.0f" % (median(rss) / MIB) if rss else "–")
            rows.append(row)
        self.table(title, columns, rows, note)

    def save(self):
        folder = os.path.join(self.bench.build, "results")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, self.data["name"] + ".json"), "w") as f:
            json.dump(self.data, f, indent=1)


def machine():
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return "%d cores, %.0f GiB, Linux %s" % (os.cpu_count(), memory / GIB, os.uname().release.split("-")[0])
