# What strangers try against root's daemon, part three: rights that they had, and work without end for the
# threads that serve everybody. (attacks2.sh: each other's secrets. leases.sh: files that keep who opens them.)
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
chmod 1777 "$D"
start -o allow_other
a() { as "$USER_A" "$@"; }

# An unfinished line waits while a shell has its file open; not all of a million descriptors are looked at for it.
a mkdir "$M/copies"
a "$python" - "$M/copies" "$URL/f" <<'PY' || fail "unfinished lines"
import os, sys
job, url = sys.argv[1:]
def write_to_copy(text):
    fd = os.open(job + "/add", os.O_WRONLY)
    copy = os.dup(fd)
    os.write(copy, text.encode())
    os.close(copy)
    return fd
few = write_to_copy(url + " few")
assert os.listdir(job + "/files") == [], "a line that goes on"
os.write(few, b"er\n")
os.close(few)
others = [os.open("/dev/null", os.O_RDONLY) for i in range(200)]
many = write_to_copy(url + " many")
assert sorted(os.listdir(job + "/files")) == ["fewer", "many"]
PY
rmdir "$M/copies"

# Who may not read a job any more is not shown the names that come to a directory that he has open, told of
# changes, or read the log to.
a mkdir -m 755 "$M/closed"
a sh -c "echo '$URL/f before' >'$M/closed/add'"
cat >"$T/closed.py" <<'PY'
import os, select, sys
job, uid = sys.argv[1], int(sys.argv[2])
READ = {"x86_64": "0", "aarch64": "63"}.get(os.uname().machine)
def put(name, text):
    with open(job + "/" + name, "w") as f:
        f.write(text)
def watch():
    fd = os.open(job + "/events", os.O_RDONLY)
    os.pread(fd, 4096, 0)
    e = select.epoll()
    e.register(fd, select.EPOLLPRI | select.EPOLLET)
    return fd, e
def tried(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.strerror
ours, our_news = watch() # told behind theirs: those that were opened last are told first
os.setresuid(uid, uid, 0)
theirs, their_news = watch()
dirs = [os.open(job + d, os.O_RDONLY | os.O_DIRECTORY) for d in ("", "/files", "/sources")]
assert os.listdir(dirs[1]) == os.listdir(dirs[2]) == ["before"]
log = os.open(job + "/log", os.O_RDONLY)
reader = os.fork()
if reader == 0:
    os._exit(tried(os.read, log, 4096) != "Permission denied")
os.setresuid(0, 0, 0)
word = None
while word != READ and READ: # until he reads
    with open("/proc/%d/syscall" % reader) as f:
        word = f.read().split()[0]
os.chmod(job, 0o700)
their_news.poll()
put("add", os.readlink(job + "/sources/before") + " after\n")
assert sorted(os.listdir(job + "/files")) == ["after", "before"]
refused = [tried(os.listdir, fd) for fd in dirs] + [tried(os.pread, theirs, 4096, 0)]
assert refused == ["Permission denied"] * 4, refused
assert os.waitpid(reader, 0)[1] == 0, "a log that is read to him"
for priority in "low", "high", "low": # the first that we hear of may still be the mode
    os.pread(ours, 4096, 0)
    put("priority", priority)
    our_news.poll()
assert their_news.poll(0) == [], "he is told of a change"
# The right is given back.
os.chmod(job, 0o755)
assert sorted(os.listdir(dirs[1])) == ["after", "before"]
assert os.pread(theirs, 4096, 0)
PY
"$python" "$T/closed.py" "$M/closed" "$(id -u "$USER_B")" || fail "a job that was closed to others"
rmdir "$M/closed"
stop
