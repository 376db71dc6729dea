# poll and epoll by the kernfs protocol.
. "$(dirname "$0")/lib.sh"
origin_start
noise f 400000
start -o transfer.idle_timeout=1h
mkdir "$M/j"
echo "$ORIGIN/f?hold=200000" >"$M/j/add"
"$python" - "$M/j" "$T/hold" <<'PY'
import os, select, sys
job, hold = sys.argv[1:]
READY = select.POLLPRI | select.POLLERR

def put(name, text):
    with open(job + "/" + name, "w") as f:
        f.write(text)

def read(fd):
    return os.pread(fd, 4096, 0).decode()

fd = os.open(job + "/state", os.O_RDONLY)
p = select.poll()
p.register(fd, select.POLLPRI | select.POLLERR | select.POLLIN)
assert read(fd) == "suspended\n"
events = dict(p.poll(0))
assert events.get(fd, 0) & select.POLLIN and not events.get(fd, 0) & select.POLLPRI, events
put("resume", "1")
p.modify(fd, select.POLLPRI)
seen = []
while not seen or seen[-1] != "transferring\n":
    (got, bits), = p.poll()
    assert bits & READY == READY, bits
    again = dict(p.poll(0))
    assert again[fd] & select.POLLPRI, "level: until it is read"
    seen.append(read(fd))
assert set(seen) <= {"queued\n", "connecting\n", "transferring\n"}, seen

# epoll, edge and level, several watchers at once; each descriptor has its own memory
watchers = []
for flags in (select.EPOLLPRI, select.EPOLLPRI | select.EPOLLET):
    for name in ("state", "events"):
        w = os.open(job + "/" + name, os.O_RDONLY)
        before = read(w)
        e = select.epoll()
        e.register(w, flags)
        watchers.append((e, w, name, before))
open(hold, "w").close()
for e, w, name, before in watchers:
    while True:
        (got, bits), = e.poll()
        assert bits & select.EPOLLPRI
        text = read(w)
        if name == "state" and text == "transferred\n" or name == "events" and read(fd) == "transferred\n":
            break
# the events file counts: it changed, and rests now
e, w, name, before = watchers[1]
assert name == "events" and read(w) != before
# the end of a job wakes those who poll it
p.poll(0)
read(fd)
with open(job + "/cancel", "w") as f:
    f.write("1")
(got, bits), = p.poll()
assert bits & (select.POLLERR | select.POLLHUP), bits
try:
    read(fd)
    sys.exit("state of a job that is gone")
except OSError as error:
    assert error.errno == 19, error
PY
stop
