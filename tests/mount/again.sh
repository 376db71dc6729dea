# A name is free at once when its job has ended: the next job of that name is another directory, which
# what is told of the first (inotify, a descriptor that is still open) does not touch.
. "$(dirname "$0")/lib.sh"
start
"$python" - "$M/again" <<'PY' || fail "a new job is not there"
import errno, os, sys
job = sys.argv[1]
for i in range(1000):
    os.mkdir(job)
    for word in b"high\n", b"low\n":
        fd = os.open(job + "/priority", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.write(fd, word)
        os.close(fd)
    fd = os.open(job + "/state", os.O_RDONLY)
    os.rmdir(job)
    try: # the descriptor is the old job's
        os.mkdir(job)
        os.pread(fd, 100, 0)
        sys.exit("read the state of a job that has ended")
    except OSError as e:
        if e.errno != errno.ENODEV:
            raise
    os.close(fd)
    os.rmdir(job)
PY
missing "$M/again"
stop
