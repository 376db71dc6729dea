# A hundred waiting readers: all are answered when the job rests, and Ctrl-C frees each.
. "$(dirname "$0")/lib.sh"
origin_start
noise f 500000
start -o transfer.idle_timeout=1h
job j "$ORIGIN/f?hold=400000"
head -c 300000 "$M/j/files/f" >/dev/null
cat >"$T/waiters.py" <<'PY'
"""waiters.py FILE COUNT SIGNAL: COUNT cats of FILE; when all are reading, SIGNAL to each or, with 0, a line
on stdout and then they are to end by themselves."""
import signal, subprocess, sys
file, count, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def default():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# strace-free proof that a cat waits in the daemon: its /proc/PID/syscall is read(2)
cats = [subprocess.Popen(["cat", file], stdout=subprocess.PIPE, preexec_fn=default) for _ in range(count)]
READ = {"x86_64": "0", "aarch64": "63"}.get(__import__("os").uname().machine)
for cat in cats:
    while True:
        with open("/proc/%d/syscall" % cat.pid) as f:
            word = f.read().split()
        with open("/proc/%d/wchan" % cat.pid) as f:
            place = f.read()
        if word and (READ is None or word[0] == READ) or "fuse" in place:
            break
        if cat.poll() is not None:
            sys.exit("a cat ended by itself")
if number:
    for cat in cats:
        cat.send_signal(number)
    for cat in cats:
        cat.wait()
    bad = [c.returncode for c in cats if c.returncode != -number]
    sys.exit("not ended by the signal: %s" % bad if bad else 0)
print("reading", flush=True)
words = {cat.communicate()[0] for cat in cats}
sys.exit(0 if words == {b"transferred\n"} else "answers: %s" % words)
PY
"$python" "$T/waiters.py" "$M/j/wait" 100 2
"$python" "$T/waiters.py" "$M/j/wait" 100 9
mkfifo "$T/ready"
"$python" "$T/waiters.py" "$M/j/wait" 100 0 >"$T/ready" &
waiters=$!
read -r _ <"$T/ready"
release
wait "$waiters" || fail "not every reader was answered"
is "$(cat "$M/j/wait")" transferred "a reader who comes later"
stop
