# What strangers try against root's daemon, part two: each other's secrets, rights and names, and the
# daemon's own directory. (attacks.sh: paths.)
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 50000
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
stop
