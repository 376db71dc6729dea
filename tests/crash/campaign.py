"""What the crash tests share: servers of known content, a daemon that can be killed, clients that use it
in every way at once and remember what they were promised, and a look at what is there."""
import ctypes, errno, getopt, hashlib, os, random, re, select, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import promises

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [0, 1, 100, 4095, 4096, 4097, 65537, 300000, 1 << 20, 3 << 20]
USERS = [0, 65534, 0, 1] if os.getuid() == 0 else [os.getuid()] * 4
# PATH in the destination: LABEL-N.CONTENT
PLACED = re.compile(r"(?:.*/)?(c\d+-\d+)-\d+\.(k\d+)")
TEMPORARY = re.compile(r"\..*\.xferfs-\d+(-\d+)?")
UNDEAD = 60 # seconds that nothing in the kernel takes, not even a sync to a slow disk
# Information, and libfuse's own line when a request is taken in the instant of an unmount (mount/lib.sh).
SAID = re.compile("<[567]>|fuse: reading device: Software caused connection abort$")
DEAD = {errno.ENOTCONN, errno.ECONNABORTED}
libc = ctypes.CDLL(None, use_errno=True)


def begin(count):
    """(seed, how many, whether to keep) of the command line [-s SEED] [-k] [COUNT]; prints the seed.
    From here on the process has no supplementary groups, which become() would leave to every user, and
    what it makes can be read by all."""
    options, args = getopt.getopt(sys.argv[1:], "s:k")
    options = dict(options)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("skipped: /dev/fuse cannot be opened")
        sys.exit(77)
    seed = options.get("-s") or str(random.SystemRandom().randrange(1 << 32))
    print("seed", seed, flush=True)
    if os.getuid() == 0:
        os.setgroups([])
    os.umask(0o022)
    return seed, int(args[0]) if args else count, "-k" in options


def become(uid):
    """The calling thread alone acts as UID; its group is of the same number."""
    if os.getuid() == 0:
        libc.setfsgid(uid)
        libc.setfsuid(uid)


class Scene:
    """A folder with content, servers, a destination and a mount point."""

    def __init__(self, sizes=SIZES):
        self.folder = tempfile.mkdtemp(prefix="xferfs-crash.")
        os.chmod(self.folder, 0o755)
        self.www, self.dest, self.mount = (os.path.join(self.folder, d) for d in ("www", "dest", "mnt"))
        for d in (self.www, self.dest, self.mount):
            os.mkdir(d)
        os.chmod(self.dest, 0o1777)
        self.sums = {}
        for i, size in enumerate(sizes):
            data = random.Random(i).randbytes(size)
            self.sums["k%d" % i] = hashlib.sha256(data).hexdigest()
            with open(os.path.join(self.www, "k%d" % i), "wb") as f:
                f.write(data)
        self.servers = []
        self.url = self.serve("nginx.py")
        self.flaky = self.serve("origin.py")
        self.unique = 0

    def serve(self, script):
        with open(os.path.join(self.folder, script + ".stderr"), "wb") as err:
            server = subprocess.Popen([sys.executable, os.path.join(HERE, "../mount", script), self.folder, self.www],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        self.servers.append(server)
        return "http://127.0.0.1:%d" % int(server.stdout.readline())

    def close(self, keep=False):
        for server in self.servers:
            server.terminate()
            server.wait()
        if keep:
            print("kept:", self.folder)
        else:
            shutil.rmtree(self.folder)

    def line(self, rng, path, key):
        """A line of `add` for PATH, its URL, and whether its checksum is wrong."""
        self.unique += 1
        url = rng.choices([
            "%s/%s" % (self.url, key),
            "%s/slow/%s" % (self.url, key),
            "%s/%s?status=503&first=1&u=%d" % (self.flaky, key, self.unique),
            "%s/%s?cut=70000&first=2&u=%d" % (self.flaky, key, self.unique),
        ], [12, 4, 2, 2])[0]
        bad = rng.random() < 0.05
        sum = ""
        if bad:
            sum = " sha256=" + "0" * 64
        elif rng.random() < 0.3:
            sum = " sha256=" + self.sums[key]
        return "%s %s%s\n" % (url, path, sum), url, bad


class Daemon:
    """xferfs in the foreground; says itself when it serves."""

    def __init__(self, scene, env={}):
        self.scene = scene
        self.stderr = os.path.join(scene.folder, "stderr")
        self.fifo = env.get("XFERFS_OPLOG_KILL")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind("")  # a name of its own, by the kernel
            name = "@" + notify.getsockname()[1:].decode()
            with open(self.stderr, "ab") as err:
                st = os.fstat(err.fileno())
                self.process = subprocess.Popen(
                    [os.environ["XFERFS"], "-f"] + (["-o", "allow_other"] if os.getuid() == 0 else []) +
                    [scene.dest, scene.mount], stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                    env=dict(os.environ, NOTIFY_SOCKET=name, JOURNAL_STREAM="%d:%d" % (st.st_dev, st.st_ino), **env))
            self.wait_ready(notify)

    def wait_ready(self, notify):
        pidfd = os.pidfd_open(self.process.pid)
        poll = select.poll()
        poll.register(notify, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll(60000)}
                if notify.fileno() in ready:
                    if b"READY=1" in notify.recv(4096):
                        return
                else:
                    self.process.kill()
                    self.process.wait()
                    raise Broken("the daemon did not start again:\n" + self.tail())
        finally:
            os.close(pidfd)

    def tail(self):
        with open(self.stderr) as f:
            return "".join(f.readlines()[-20:])

    def kill(self):
        """SIGKILL; None, or what it died of instead. It may not die of it in time, as when a thread of it waits
        in the kernel for a lock whose holder waits for the daemon's answer: then the connection is aborted."""
        if self.fifo:
            fifo = os.open(self.fifo, os.O_RDWR)  # waits for nobody
        else:
            self.process.kill()
        try:
            status = self.process.wait(UNDEAD)
            return None if status == -signal.SIGKILL else "the daemon had ended with %d:\n%s" % (status, self.tail())
        except subprocess.TimeoutExpired:
            libc.umount2(os.fsencode(self.scene.mount), 1)  # MNT_FORCE
            self.process.wait(UNDEAD)
            return "the daemon did not die of SIGKILL"
        finally:
            if self.fifo:
                os.close(fifo)

    def unmount(self):
        """The daemon itself is inside for a moment whenever it touches what has changed, and then the
        kernel says that the mount is busy."""
        command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
        until = time.monotonic() + UNDEAD
        while True:
            done = subprocess.run(command + [self.scene.mount], stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, LC_ALL="C"))
            if done.returncode == 0:
                return
            if "busy" not in done.stderr or time.monotonic() > until:
                raise Broken("cannot be unmounted: " + done.stderr)

    def stop(self):
        self.unmount()
        status = self.process.wait()
        if status:
            raise Broken("the daemon ended with %d:\n%s" % (status, self.tail()))

    def check_stderr(self):
        """Only information may be there."""
        with open(self.stderr) as f:
            odd = [line for line in f if not SAID.match(line)]
        if odd:
            raise Broken("the daemon said:\n" + "".join(odd))


class Broken(Exception):
    pass


def unmount(scene):
    """Whatever is left of a mount."""
    lazily = ["umount", "-l"] if os.getuid() == 0 else ["fusermount3", "-uz"]
    subprocess.run(lazily + [scene.mount], stderr=subprocess.DEVNULL)


# --- clients ------------------------------------------------------------------------------------------


class Client:
    """Does random things to jobs of its own, one at a time. `worlds` is what may be true (promises.py)."""

    def __init__(self, scene, number, seed, told=lambda client: None, jobs=4):
        self.scene, self.number, self.jobs = scene, number, jobs
        self.rng = random.Random("%s/%d" % (seed, number))
        self.uid = USERS[number % len(USERS)]
        self.worlds = [{"jobs": {}, "ended": {}}]
        self.told = told  # called when `worlds` has changed
        self.made = 0
        self.failures = []
        self.tally = {}

    def run(self, count, stop):
        """Until STOP() or the daemon is gone; COUNT() after each command."""
        try:
            become(self.uid)
            while not stop():
                self.step()
                count()
        except OSError as e:
            if e.errno not in DEAD:
                self.failures.append("c%d: %s" % (self.number, e))
        except Exception as e:
            self.failures.append("c%d: %r" % (self.number, e))

    def path(self, *names):
        return os.path.join(self.scene.mount, *names)

    def write(self, text, *names):
        fd = os.open(self.path(*names), os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def read(self, *names):
        with open(self.path(*names)) as f:
            return f.read().rstrip("\n")

    def do(self, op, call, *args):
        before = self.worlds[0]
        after = promises.apply(before, op, self.uid)
        self.worlds = [before, after]
        self.told(self)
        try:
            call(*args)
        except OSError as e:
            if e.errno in DEAD:
                raise
            self.worlds = [before]  # refused: it has not happened
            self.told(self)
            if e.errno in promises.refusals(before, op):
                self.tally["refused"] = self.tally.get("refused", 0) + 1
                return
            self.failures.append("c%d: %r: %s; %r" % (self.number, op, e, before["jobs"].get(op[1])))
            raise
        self.worlds = [after]
        self.told(self)
        self.tally[op[0]] = self.tally.get(op[0], 0) + 1

    def look(self, name, file):
        """Reads `state` or `wait`."""
        word = self.read(name, file)
        job = self.worlds[0]["jobs"][name]
        if word not in job["states"]:
            self.failures.append("%s: %s is %s, possible: %s" % (name, file, word, " ".join(sorted(job["states"]))))
            if word == "error":
                self.failures.append(self.read(name, "error"))
        promises.seen_state(self.worlds[0], name, word)
        self.told(self)

    def step(self):
        for name, job in self.worlds[0]["jobs"].items():
            if job["auto"] and job["states"] == {"suspended"}:  # a kill came within leave()
                return self.resume(name, job)
        jobs = [(name, job) for name, job in self.worlds[0]["jobs"].items() if not job["auto"]]
        if not jobs or (len(jobs) < self.jobs and self.rng.random() < 0.3):
            name = "c%d-%d" % (self.number, self.made)
            self.made += 1
            return self.do(("mkdir", name), os.mkdir, self.path(name))
        name, job = self.rng.choice(jobs)
        steps, weights = zip(*[(step, weight) for step, weight, allowed in self.steps(job) if allowed])
        self.rng.choices(steps, weights)[0](name, job)

    def steps(self, job):
        at_rest = job["states"] == {"suspended"}
        return [
            (self.add, 6, len(job["files"]) < 6),
            (self.set, 4, True),
            (self.chmod, 1, True),
            (self.rename, 1, True),
            (self.rm, 1, len(job["files"]) > 1),
            (self.resume, 6 if at_rest else 1, bool(job["files"])),
            (self.suspend, 2, not at_rest),
            (self.state, 2, True),
            (self.wait, 4, bool(job["files"]) and not at_rest),
            (self.complete, 8 if job["states"] == {"transferred"} else 1, True),
            (self.cancel, 1, True),
            (self.in_the_way, 2, job["states"] == {"transferred"} and bool(promises.placed(self.worlds[0]))),
            # a moment that nobody knows must not matter to other jobs
            (self.leave, 1, bool(job["files"]) and at_rest and self.has_its_own_place(job) and
             not any(bad for _, bad in job["files"].values())),
        ]

    def add(self, name, job):
        lines, files = "", []
        for i in range(self.rng.choice([1, 1, 1, 2, 3])):
            key = self.rng.choice(sorted(self.scene.sums))
            # directories are a client's own: what another user has made is not for him to write in
            folder = self.rng.choice(["", "", "sub%d/" % self.number, "sub%d/dir/" % self.number])
            path = "%s%s-%d.%s" % (folder, job["label"], self.made, key)
            self.made += 1
            line, url, bad = self.scene.line(self.rng, path, key)
            lines += line
            files.append((path, url, bad))
        self.do(("add", name, files), self.write, lines, name, "add")

    def set(self, name, job):
        prop, value = self.rng.choice([
            ("priority", self.rng.choice(["foreground", "high", "normal", "low"])),
            ("description", "%s %d" % (name, self.rng.randrange(1000))),
            ("destination", "to%d/%s%s" % (self.number, self.rng.choice(["", "deep/"]), job["label"])),
            ("destination", self.shared()),
            ("retry_delay", str(self.rng.randrange(5, 100))),
            ("connections", str(self.rng.randrange(1, 5))),
            ("rate_limit", self.rng.choice(["max", "400000", "1000000"])),
        ])
        if job["props"]["destination"] in promises.placed(self.worlds[0]):
            prop, value = "destination", self.shared()
        elif job["props"]["destination"] != "." and self.rng.random() < 0.3:
            prop, value = "commit", self.rng.choice(["files", "tree"])
        self.do(("set", name, prop, value), self.write, value + "\n", name, prop)

    def chmod(self, name, job):
        mode = self.rng.choice([0o700, 0o750, 0o755])
        self.do(("chmod", name, mode), os.chmod, self.path(name), mode)

    def rename(self, name, job):
        to = "c%d-%d" % (self.number, self.made)
        self.made += 1
        self.do(("rename", name, to), os.rename, self.path(name), self.path(to))

    def rm(self, name, job):
        path = self.rng.choice(sorted(job["files"]))
        self.do(("rm", name, path), os.unlink, self.path(name, "files", path))

    def shared(self):
        """A directory that a client's jobs share: a tree replaces what others have placed there."""
        return "to%d/shared" % self.number

    def has_its_own_place(self, job):
        """Nothing of other jobs is where it goes: not in shared(), nor where in_the_way() has led it."""
        where = job["props"]["destination"]
        return where == "." or where.endswith("/" + job["label"])

    def in_the_way(self, name, job):
        """A tree cannot take the place of a file: all is undone. In this order a kill between leaves a job
        that can be completed."""
        path = self.rng.choice(promises.placed(self.worlds[0]))
        for prop, value in ("destination", self.shared()), ("commit", "tree"), ("destination", path):
            self.do(("set", name, prop, value), self.write, value + "\n", name, prop)
        self.complete(name, self.worlds[0]["jobs"][name])

    def verb(self, verb, name):
        self.do((verb, name), self.write, "1\n", name, verb)

    def resume(self, name, job):
        self.verb("resume", name)

    def suspend(self, name, job):
        self.verb("suspend", name)
        self.look(name, "state")

    def complete(self, name, job):
        self.verb("complete", name)

    def cancel(self, name, job):
        if self.rng.random() < 0.5:
            self.verb("cancel", name)
        else:
            self.do(("cancel", name), os.rmdir, self.path(name))

    def state(self, name, job):
        self.look(name, "state")

    def wait(self, name, job):
        self.look(name, "wait")

    def leave(self, name, job):
        """The job is to end by itself, and is not touched any more."""
        self.do(("set", name, "on_transferred", "complete"), self.write, "complete\n", name, "on_transferred")
        self.do(("resume", name), self.write, "1\n", name, "resume")


# --- looking ------------------------------------------------------------------------------------------


def read(*names):
    with open(os.path.join(*names)) as f:
        return f.read().rstrip("\n")


def reraise(error):
    raise error


def look_job(path):
    st = os.stat(path)
    files = {}
    for folder, _, names in os.walk(path + "/sources", onerror=reraise):
        for name in names:
            link = os.path.join(folder, name)
            files[os.path.relpath(link, path + "/sources")] = os.readlink(link)
    info = dict(line.split(" ", 1) for line in read(path, "info").splitlines())
    return {"id": info["id"], "mode": st.st_mode & 0o777, "uid": st.st_uid, "files": files,
            "props": {prop: read(path, prop) for prop in promises.DEFAULTS}, "state": read(path, "state")}


def look_jobs(mount):
    """All jobs; a commit that a crash has interrupted goes on by itself and is waited for."""
    jobs = {}
    for name in os.listdir(mount):
        try:
            if name != ".xferfs":
                if read(mount, name, "state") == "completing":
                    read(mount, name, "wait")
                jobs[name] = look_job(os.path.join(mount, name))
        except OSError as e:  # it has ended meanwhile
            if e.errno not in (errno.ENOENT, errno.ENODEV):
                raise
    return jobs


def look_ended(mount):
    ended = {}
    for name in os.listdir(mount + "/.xferfs/ended"):
        try:
            lines = read(mount, ".xferfs/ended", name).splitlines()
        except OSError as e:  # the oldest of a user's, forgotten for one that has ended meanwhile
            if e.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            continue
        for line in lines:
            if line.startswith("state "):
                ended[name] = line[6:]
    return ended


def look_dest(scene):
    """({label: {path: uid}}, complaints): every file there must be whole, whoever asks and when."""
    placed, said = {}, []
    for folder, dirs, names in os.walk(scene.dest):
        if folder == scene.dest:
            dirs.remove(".xferfs")
        dirs[:] = [d for d in dirs if not TEMPORARY.fullmatch(d)]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), scene.dest)
            if TEMPORARY.fullmatch(name):
                continue
            match = PLACED.fullmatch(path)
            if not match:
                said.append("%s: nobody asked for this" % path)
                continue
            with open(os.path.join(folder, name), "rb") as f:
                if hashlib.sha256(f.read()).hexdigest() != scene.sums[match[2]]:
                    said.append("%s: its content is wrong (%d bytes)" % (path, os.fstat(f.fileno()).st_size))
                uid = os.fstat(f.fileno()).st_uid
            placed.setdefault(match[1], {})[path] = uid
    return placed, said


def temporaries(scene):
    """Temporary names in the destination, and blobs, without those of jobs."""
    found = []
    for folder, dirs, names in os.walk(scene.dest):
        if folder == scene.dest:
            dirs.remove(".xferfs")
        found += [os.path.join(folder, n) for n in dirs + names if TEMPORARY.fullmatch(n)]
    for folder, _, names in os.walk(scene.dest + "/.xferfs/blobs"):
        found += [os.path.join(folder, n) for n in names]
    return found


def look(scene):
    """(jobs, dest, ended, complaints) of one moment: jobs that end by themselves meanwhile, or are about
    to, are looked for again."""
    while True:
        jobs = look_jobs(scene.mount)
        dest, said = look_dest(scene)
        ended = look_ended(scene.mount)
        after = look_jobs(scene.mount)
        if set(after) == set(jobs) and not any(job["state"] == "completing" for job in jobs.values()):
            return jobs, dest, ended, said


def of_client(number, jobs, dest, ended):
    """What concerns one client: all its names begin alike."""
    mine = "c%d-" % number
    return {"jobs": {k: v for k, v in jobs.items() if k.startswith(mine)},
            "dest": {k: v for k, v in dest.items() if k.startswith(mine)},
            "ended": {k: v for k, v in ended.items() if k.startswith(mine)}}
