# A thousand readers parked at once and killed at random: none hangs, the daemon has no more threads.
. "$(dirname "$0")/lib.sh"
origin_start
noise f 500000
start -o transfer.idle_timeout=1h
job j "$ORIGIN/f?hold=300000"
head -c 300000 "$M/j/files/f" >/dev/null
"$python" - "$M" "$DAEMON" "$XFERFS_MANY" "$T/hold" <<'PY'
import os, random, signal, subprocess, sys
mount, daemon, many, hold = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
def threads():
    return len(os.listdir("/proc/%s/task" % daemon))
files = ["j/wait", "j/log", ".xferfs/log", "j/files/f", "j/follow"]
before = threads()
def reader(i):
    """One process: opens, reads what is there, is parked. Says so by closing its pipe."""
    r, w = os.pipe()
    pid = os.fork()
    if pid:
        os.close(w)
        return pid, r
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.close(r)
    fd = os.open(mount + "/" + files[i % len(files)], os.O_RDONLY)
    if files[i % len(files)] == "j/files/f":
        os.lseek(fd, 300000 + i, 0)
    os.close(w)
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass
    os._exit(0)
readers = [reader(i) for i in range(many)]
for _, r in readers:
    os.read(r, 1)
    os.close(r)
pids = [pid for pid, _ in readers]
random.seed(1)
random.shuffle(pids)
killed, rest = pids[:many * 3 // 4], pids[many * 3 // 4:]
for pid in killed:
    os.kill(pid, random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]))
for pid in killed:
    os.waitpid(pid, 0)
assert threads() <= before + 10, "threads: %d, before: %d" % (threads(), before)
# the mount answers as ever, and the others when there is something to say
assert open(mount + "/j/state").read() == "transferring\n"
open(hold, "w").close()
assert open(mount + "/j/wait").read() == "transferred\n"
with open(mount + "/j/cancel", "w") as f:
    f.write("1")
# the streams of the service do not end with a job
for pid in rest:
    done, _ = os.waitpid(pid, os.WNOHANG)
    if not done:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
PY
stop
