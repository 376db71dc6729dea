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
stop
