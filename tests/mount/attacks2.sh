# What strangers try against root's daemon, part two: each other's secrets, rights and names, and the
# daemon's own directory. (attacks.sh: paths.)
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 50000
ALLOWED="temporary files could not be deleted"
chmod 1777 "$D"
start -o allow_other
a() { as "$USER_A" "$@"; }
b() { as "$USER_B" "$@"; }
gid_b=$(id -g "$USER_B")
# refused COMMAND...
refused() { ! "$@" 2>/dev/null || fail "allowed: $*"; }
# shared NAME: a job of A that B may command
shared() {
	a mkdir "$M/$1"
	chgrp "$gid_b" "$M/$1"
	a chmod 770 "$M/$1"
}
write() { printf '%s\n' "$1" >"$2"; }

# Whoever may command a job does not get its owner's rights by it.
shared group
refused b sh -c "echo complete >'$M/group/on_transferred'"
is "$(cat "$M/group/on_transferred")" hold "set by another than the owner"
b sh -c "echo '$URL/f' >'$M/group/add'" || fail "a group member may add"
a sh -c "echo complete >'$M/group/on_transferred'"
for command in "echo '$URL/f .profile' >'$M/group/add'" "echo sub >'$M/group/destination'" \
	"rm '$M/group/files/f'" "mkdir '$M/group/files/d'" "ln -s '$URL/f' '$M/group/sources/g'"; do
	refused b sh -c "$command"
done
has "$(cat "$M/group/refused")" "only the owner" refused
b sh -c "echo 1 >'$M/group/suspend'" || fail "a group member may give commands"
rmdir "$M/group"
# ... nor his secrets, by having them sent to a server of his own
for secret in 'headers Authorization: x' 'credentials user:secret' 'client_certificate /c.pem'; do
	shared secret
	a sh -c "echo '${secret#* }' >'$M/secret/${secret%% *}'"
	refused b sh -c "echo '$URL/f' >'$M/secret/add'"
	refused b sh -c "echo 127.0.0.1:9 >'$M/secret/proxy'"
	rmdir "$M/secret"
done
# TakeOwnership: what the last owner chose is not placed with the new one's rights.
a mkdir "$M/given"
a sh -c "echo complete >'$M/given/on_transferred'"
chown "$USER_B" "$M/given"
is "$(cat "$M/given/on_transferred")" hold "on_transferred after chown"
rmdir "$M/given"
# An owner who has shut himself out lets himself in again.
a mkdir "$M/shut"
a chmod 0 "$M/shut"
a chmod 700 "$M/shut" || fail "chmod by the owner"
refused b chmod 700 "$M/shut"
a rmdir "$M/shut"
# What was refused is shown without user and password.
a mkdir "$M/password"
for url in gopher://u:hunter2@h/x 'https://u:hunter2@h h/x' "https://u:hunter2@h/$(seq -s, 3000)"; do
	refused a sh -c "echo '\"$url\"' >'$M/password/add'"
	case $(cat "$M/password/refused") in *hunter2*) fail "refused: $(cat "$M/password/refused")" ;; esac
done
rmdir "$M/password"
# Directories, and names that were removed, count as well.
a mkdir "$M/names"
a "$python" - "$M/names" "$URL/f" <<'PY' || fail "names without end"
import errno, os, sys
job, url = sys.argv[1:]
fd = os.open(job + "/add", os.O_WRONLY)
try:
    for i in range(190):
        os.write(fd, ("%s %d/%sx\n" % (url, i, "a/" * 2000)).encode())
    sys.exit("deep")
except OSError as e:
    assert e.errno == errno.EDQUOT, e
try:
    for i in range(20000):
        os.mkdir("%s/files/d%d" % (job, i))
    sys.exit("many")
except OSError as e:
    assert e.errno == errno.EDQUOT, e
PY
rmdir "$M/names"

# Who may not read any more reads nothing more: not the new owner's headers, nor the staged data.
# ready USER NAME DESTINATION FILE [PROPERTY VALUE]: transferred
ready() {
	as "$1" sh -ec "mkdir '$M/$2'; echo '$3' >'$M/$2/destination'; echo '$URL/f $4' >'$M/$2/add'
		[ -z '${5:-}' ] || echo '${6:-}' >'$M/$2/${5:-state}'; echo 1 >'$M/$2/resume'"
	is "$(cat "$M/$2/wait")" transferred "$2"
}
ready "$USER_A" sold . f
cat >"$T/sold.py" <<'PY'
import os, subprocess, sys
job, new = sys.argv[1], int(sys.argv[2])
uid = os.stat(job).st_uid
os.setresuid(uid, uid, 0)
names = ["headers", "state", "log", "wait", "files/f"]
fds = [os.open(job + "/" + n, os.O_RDONLY | os.O_NONBLOCK) for n in names]
write = os.open(job + "/priority", os.O_WRONLY)
def tried(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.strerror
assert tried(os.read, fds[1], 99) == b"transferred\n"
os.setresuid(0, 0, 0)
os.chown(job, new, -1)
with open(job + "/headers", "w") as f:
    f.write("X-Secret: word\n")
print([tried(os.read, fd, 4096) for fd in fds] + [tried(os.write, write, b"low\n")])
PY
refusals=$("$python" "$T/sold.py" "$M/sold" "$(id -u "$USER_B")")
is "$refusals" "$(printf "['Permission denied'%s]" "$(printf ", 'Permission denied'%.0s" 1 2 3 4 5)")" "after chown"
is "$(b cat "$M/sold/headers")" "X-Secret: word" "the new owner"
rmdir "$M/sold"
# A mapped page of a table does not show one reader what another may see.
a mkdir "$M/hidden"
cat >"$T/map.py" <<'PY'
import ctypes, os, sys
path, uid = sys.argv[1], int(sys.argv[2])
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def show():
    fd = os.open(path, os.O_RDONLY)
    os.fstat(fd)
    return libc.mmap(None, 4096, 1, 2, fd, 0)
def look(address): # in a child: SIGBUS is an answer
    pid = os.fork()
    if pid == 0:
        os._exit(b"hidden" in ctypes.string_at(address, 4096))
    return os.waitpid(pid, 0)[1] == 256
os.setresuid(uid, uid, 0)
theirs = show()
os.setresuid(0, 0, 0)
ours = show()
look(ours)
print("shown" if look(theirs) else "kept")
PY
for table in index history; do
	is "$("$python" "$T/map.py" "$M/.xferfs/$table" "$(id -u "$USER_B")")" kept "a mapping of $table"
done
rmdir "$M/hidden"
is "$("$python" "$T/map.py" "$M/.xferfs/history" "$(id -u "$USER_B")")" kept "a mapping of history"
has "$(cat "$M/.xferfs/history")" hidden "history is still read"
# What one user has open is counted.
a mkdir "$M/open"
a "$python" - "$M/open/add" <<'PY' || fail "files open without end"
import errno, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
try:
    for i in range(4000):
        os.write(os.open(sys.argv[1], os.O_WRONLY), b"#" * 60000)
    sys.exit("no limit")
except OSError as e:
    assert e.errno == errno.EDQUOT, e
PY
b cat "$M/.xferfs/index" >/dev/null || fail "another user"
a cat "$M/open/state" >/dev/null || fail "after they were closed"
rmdir "$M/open"

# The daemon's own directory, by links that are there for root to follow
a ln -s .xferfs "$D/inner"
a ln -s . "$D/self"
before=$(find "$D/.xferfs" -path '*/blobs/*' -prune -o -printf '%p %i\n')
ready "$USER_A" inner inner queue.db
ready "$USER_A" blobs inner/blobs f commit tree
ready "$USER_A" self self/.xferfs f commit tree
for j in inner blobs self; do
	is "$(errno "$M/$j/complete" 1)" EACCES "root completes $j"
	rmdir "$M/$j"
done
is "$(find "$D/.xferfs" -path '*/blobs/*' -prune -o -printf '%p %i\n')" "$before" "the staging area"

# A complete that fails gives the file to its caller for a moment, who opens it: then it is lost, and the one
# that is fetched in its stead is another.
a mkdir -p "$D/common/f"
chmod 1777 "$D/common"
ready "$USER_A" twice common f
cat >"$T/keep.py" <<'PY'
import os, sys
directory, job = sys.argv[1:]
known = set(os.listdir(directory))
held = []
if os.fork() == 0:
    for i in range(100):
        fd = os.open(job + "/complete", os.O_WRONLY)
        try:
            os.write(fd, b"1")
        except IsADirectoryError:
            os.close(fd)
        except OSError:
            break
    os._exit(0)
while not os.waitpid(-1, os.WNOHANG)[0]:
    for name in set(os.listdir(directory)) - known:
        try:
            held.append(os.open(directory + "/" + name, os.O_RDWR))
        except OSError:
            pass
print("held", len(held), file=sys.stderr)
sys.stdin.readline()
for fd in held:
    os.pwrite(fd, b"mine", 0)
PY
mkfifo "$T/on"
$(become "$USER_A") "$python" "$T/keep.py" "$D/common" "$M/twice" <"$T/on" 2>"$T/held" &
keeper=$!
exec 4>"$T/on"
while [ ! -s "$T/held" ] && kill -0 "$keeper" 2>/dev/null; do read -r _ <"$M/twice/wait"; done
mkdir -m 755 "$D/roots"
echo 1 >"$M/twice/resume"
is "$(cat "$M/twice/wait")" transferred "a file that was lost, $(cat "$T/held")"
echo roots >"$M/twice/destination"
echo 1 >"$M/twice/complete"
echo >&4
exec 4>&-
wait "$keeper"
is "$(stat -c %u "$D/roots/f")" 0 "root's file"
is "$(sum "$D/roots/f")" "$(sum "$W/f")" "root's file, $(cat "$T/held")"

# A tree with something of another's in it
mkdir -m 777 "$D/trees"
ready "$USER_A" tree trees/t f commit tree
id=$(value "$M/tree/info" id)
b mkdir "$D/trees/.t.xferfs-$id"
b touch "$D/trees/.t.xferfs-$id/extra"
is "$(as "$USER_A" sh -c "echo 1 >'$M/tree/complete'" 2>/dev/null && say placed || say refused)" refused "into another's directory"
b rm -r "$D/trees/.t.xferfs-$id"
a sh -c "echo 1 >'$M/tree/complete'" || fail "$(cat "$M/tree/error")"
is "$(ls "$D/trees/t")" f "the tree"
# ... and one deeper than the daemon could follow
a "$python" - "$D/trees/t" <<'PY'
import os, sys
os.chdir(sys.argv[1])
for i in range(2000):
    os.mkdir("d")
    os.chdir("d")
PY
ready "$USER_A" deep trees/t f commit tree
a sh -c "echo 1 >'$M/deep/complete'" || fail "$(cat "$M/deep/error")"
is "$(ls "$D/trees/t")" f "the tree over a deep one"
is "$(value "$M/.xferfs/ended/deep" leftovers)" 257 "what was too deep"
stop

# A staging area that somebody else has made
for made in "mkdir -m 777" "ln -s $T/outside"; do
	rm -rf "$T/dest2"
	mkdir -p -m 1777 "$T/dest2"
	mkdir -p "$T/outside"
	# shellcheck disable=SC2086
	a $made "$T/dest2/.xferfs"
	"$XFERFS" "$T/dest2" "$M" 2>"$T/err" && { unmount; fail "serves another's staging area ($made)"; }
	is "$(wc -l <"$T/err")" 1 "one line: $(cat "$T/err")"
	is "$(stat -c %a "$T/outside")" 755 "where the link leads"
done
