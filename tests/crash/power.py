"""power.py [-s SEED] [-k] [CUTS]: cuts the power at CUTS (1000) points of a daemon's life.

A real daemon works for several users, is killed now and then and started again, while interpose.c logs
what it does to the tree; the log also has a mark wherever a client was answered, and promises.py knows what
was promised by then. Then, for each of many points of the log, a tree is made as a power cut at that
moment may have left it (replay.h says what may be lost), and recovered (recover.c): every acknowledged
command must be there, nothing claimed that is not on disk, nothing of the user's lost.

Half of the cuts with placing by rename and link, half by copying, as onto another filesystem; for each
LIFE of them a daemon lives anew.

-s SEED  of the commands, the moments and the losses; printed. Threads are scheduled as they are, so a seed
         does not repeat a life: keep it
-k       keep the folders of lives that had a complaint; "at CUT SEED" of it is what recover reads

XFERFS is the binary; BUILD has tests/crash/recover and libinterpose.so. The last line is "N cuts, 0
broken promises"."""
import bisect, copy, json, os, random, shutil, struct, subprocess, sys, tempfile, threading

import campaign, kill, promises
from campaign import Broken

SIZES = [0, 1, 4095, 4097, 65537, 200000]
ROUNDS = 6 # kills in a recording
MARK = struct.Struct("=4I2HI4Qq") # struct op of oplog.h, of kind OP_MARK
LIFE = 500 # cuts of one recording
LOST = 6   # cuts that are shown of one recording, and complaints of each


class Recording(kill.Campaign):
    """A campaign whose daemon is logged. `marks` says what each client was promised, and from when on."""

    def __init__(self, seed, build, way):
        scene = campaign.Scene(SIZES)
        self.log = os.path.join(scene.folder, "oplog")
        self.fd = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.lock = threading.Lock()
        self.marks = [[] for _ in range(kill.CLIENTS)]
        self.marked = 0
        env = {"LD_PRELOAD": os.path.join(build, "tests/crash/libinterpose.so"), "XFERFS_OPLOG": self.log,
               "XFERFS_TREE": scene.dest}
        env["XFERFS_OPLOG_KILL"] = os.path.join(scene.folder, "kill")
        os.mkfifo(env["XFERFS_OPLOG_KILL"])
        if way == "copy":
            env["XFERFS_OPLOG_COPY"] = "1"
        super().__init__(scene, seed, self.mark, env)
        self.root = os.stat(scene.dest).st_ino
        self.way = way
        for client in self.clients:
            self.mark(client)

    def mark(self, client):
        with self.lock:
            self.marks[client.number].append((self.marked, copy.deepcopy(client.worlds)))
            os.write(self.fd, MARK.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, self.marked, 0))
            self.marked += 1

    def forget_ended(self, world, dest):
        pass  # what was placed is to stay there for ever

    def record(self):
        while self.kills < ROUNDS:
            self.round()
        daemon = campaign.Daemon(self.scene, self.env)
        self.verify()
        daemon.stop()

    def promised(self, number, marks):
        """What may be true for a client once MARKS marks were written."""
        at = bisect.bisect_left(self.marks[number], marks, key=lambda mark: mark[0])
        return self.marks[number][at - 1][1] if at else [{"jobs": {}, "ended": {}}]


class Recover:
    """A process that cuts and recovers."""

    def __init__(self, recording, build, folder):
        self.process = subprocess.Popen(
            [os.path.join(build, "tests/crash/recover"), recording.log, str(recording.root), recording.scene.www, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, **{k: v for k, v in recording.env.items() if k != "LD_PRELOAD"}))
        self.length = int(self.process.stdout.readline())

    def cut(self, cut, seed):
        self.process.stdin.write("%d %s\n" % (cut, seed))
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Broken("recover has ended at %d %s" % (cut, seed))
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def judge(recording, seen):
    """Complaints about one cut."""
    if "failed" in seen:
        return [seen["failed"]]
    said = seen["wrong"].splitlines()
    dest = {}
    for path, uid in seen["dest"].items():
        match = campaign.PLACED.fullmatch(path)
        if match:
            dest.setdefault(match[1], {})[path] = uid
        else:
            said.append("%s: nobody asked for this" % path)
    for client in recording.clients:
        mine = campaign.of_client(client.number, seen["jobs"], dest, seen["ended"])
        worlds = recording.promised(client.number, seen["marks"])
        said += [line for world_said in promises.resolve(worlds, mine)[1] for line in world_said]
    return said


def check_replay(recording, recover):
    """With nothing lost, the log must give what is there: else it has missed something. A job that ends by
    itself may have been about to when the daemon was stopped, and ends in the recovery."""
    seen = recover.cut(recover.length, "all")
    differs = "the replay of the whole log differs from what is there: %r"
    said = judge(recording, seen)
    if said:
        raise Broken(differs % said)
    by_itself = {job["label"] for client in recording.clients for world in client.worlds
                 for job in world["jobs"].values() if job["auto"]}
    dest, _ = campaign.look_dest(recording.scene)
    there = {path: uid for label, paths in dest.items() if label not in by_itself for path, uid in paths.items()}
    again = {path: uid for path, uid in seen["dest"].items() if campaign.PLACED.fullmatch(path)[1] not in by_itself}
    if again != there:
        raise Broken(differs % ["%s: %s" % (p, there.get(p)) for p in set(there) ^ set(again)])


def cut_all(recording, build, folder, cuts, rng):
    """(cuts made, complaints)"""
    recover = Recover(recording, build, folder)
    check_replay(recording, recover)
    broken = 0
    lock = threading.Lock()
    recovers = [recover, Recover(recording, build, folder)]
    todo = [(rng.randrange(1, recover.length + 1), rng.randrange(1 << 62)) for _ in range(cuts)]

    def work(recover):
        nonlocal broken
        while True:
            with lock:
                if not todo:
                    return
                cut, seed = todo.pop()
            try:
                said = judge(recording, recover.cut(cut, seed))
            except Exception as e:
                with lock:
                    broken += 1
                    print("BROKEN (%s): %r" % (recording.way, e), flush=True)
                    return
            with lock:
                broken += bool(said)
                for line in said[:LOST] if broken <= LOST else []:
                    print("BROKEN (%s) at %d %d: %s" % (recording.way, cut, seed, line), flush=True)

    threads = [threading.Thread(target=work, args=(r,)) for r in recovers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for r in recovers:
        r.close()
    return recover.length, broken


def live_and_cut(seed, way, build, folder, cuts, keep):
    """How many promises were broken."""
    recording = Recording(seed, build, way)
    broken = 0
    try:
        recording.record()
        length, broken = cut_all(recording, build, folder, cuts, random.Random(seed))
        print("%s: %d operations, %d commands acknowledged" % (way, length, sum(
            sum(client.tally.values()) for client in recording.clients)), flush=True)
        broken += recording.broken
    except Broken as e:
        print("BROKEN:", e)
        broken += 1
    finally:
        campaign.unmount(recording.scene)
        os.close(recording.fd)
        recording.scene.close(keep and broken)
    return broken


def main():
    seed, cuts, keep = campaign.begin(1000)
    # trees are many and small: made in memory
    folder = tempfile.mkdtemp(prefix="xferfs-power.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.chmod(folder, 0o755)
    made = lives = broken = 0
    while made < cuts:
        way = ("link", "copy")[lives % 2]
        life = min(LIFE, max(1, cuts // 2), cuts - made)
        broken += live_and_cut("%s/%d" % (seed, made), way, os.environ["BUILD"], folder, life, keep)
        made += life
        lives += 1
    shutil.rmtree(folder)
    print("%d cuts, %d broken promises" % (made, broken))
    sys.exit(1 if broken else 0)


main()
