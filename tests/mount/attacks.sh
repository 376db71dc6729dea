# What strangers try against root's daemon: nothing leaves the tree, nothing is placed that they could
# not have placed.
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 50000
chmod 1777 "$D"
mkdir -m 700 "$T/outside"
mkdir -m 777 "$T/theirs"
start -o allow_other,limits.jobs_per_user=max,limits.jobs=max,limits.files_per_job=max
a() { as "$USER_A" "$@"; }
n=0
# try DESTINATION NAME: a job of A, completed by A; says how that went
try() {
	n=$((n + 1))
	a sh -c "
		mkdir '$M/t$n' || exit 3
		echo '$1' > '$M/t$n/destination' || exit 4
		printf '%s \"%s\"\n' '$URL/f' '$2' > '$M/t$n/add' || exit 5
		echo 1 > '$M/t$n/resume'
		cat '$M/t$n/wait' > /dev/null
		echo 1 > '$M/t$n/complete'" 2>/dev/null && say placed || say refused
	rmdir "$M/t$n" 2>/dev/null || :
}
outside() { is "$(find "$T/outside" "$T/theirs" -mindepth 1)" "" "outside of the tree after $1"; }
passwd=$(sum /etc/passwd)

# names and paths
for name in ../f ../../etc/passwd /etc/passwd a/../../f . .. a/. .xferfs/queue.db .xferfs; do
	is "$(try . "$name")" refused "the name $name"
done
for place in .. /etc ../outside a/../.. .xferfs .xferfs/blobs; do
	is "$(try "$place" f)" refused "the destination $place"
done
# symbolic links out of the tree, as a directory and as the file itself
a ln -s "$T/outside" "$D/link"
a ln -s "$T/theirs" "$D/mine"
a ln -s / "$D/root"
a ln -s .xferfs "$D/inner"
for place in link mine root/tmp inner inner/blobs; do
	is "$(try "$place" f)" refused "through the link $place"
	outside "$place"
done
a ln -s "$T/theirs/victim" "$D/file"
is "$(try . file)" placed "over a link"
[ ! -L "$D/file" ] || fail "the link was followed or kept"
outside "a link of the file's name"
# a hard link to something else is replaced, not written
: >"$D/precious"
a sh -c "ln '$D/precious' '$D/hard'" 2>/dev/null || ln "$D/precious" "$D/hard"
try . hard >/dev/null
[ ! -s "$D/precious" ] || fail "written through a hard link"
# names of staged files that are awkward but right
is "$(try . "$(head -c 255 /dev/zero | tr '\0' n)")" placed "255 bytes"
is "$(try . "$(head -c 256 /dev/zero | tr '\0' n)")" refused "256 bytes"
is "$(try . "$(printf 'a\033[2Jb')")" refused "control characters"
is "$(try . "-rf * \$(touch $T/outside/x)")" placed "blanks and stars"
deep=$(seq -s/ 1 200)
is "$(try . "$deep/f")" placed "200 directories"
is "$(try . "$(seq -s/ 1 3000)/f")" refused "3000 directories"
outside names

# an inherited descriptor does not lend the opener's rights to the mount's owner, nor the other way
mkdir "$M/roots"
is "$(a sh -c "echo 1 > '$M/roots/cancel'" 2>/dev/null && say done || say refused)" refused "another's verb"
exec 4<"$M/roots/state"
a cat <&4 >/dev/null || fail "a descriptor that root handed over"
exec 4<&-
# O_PATH and /proc do not help either
exec 4<"$M/roots"
is "$(a sh -c "cat /proc/self/fd/4/state" 2>/dev/null || say refused)" refused "through /proc"
exec 4<&-

# exchanging a directory for a link while complete runs
a mkdir "$D/swap"
cat >"$T/swap.py" <<'PY'
import ctypes, os, sys
tree, target = sys.argv[1:]
os.symlink(target, tree + "/swap.link")
libc = ctypes.CDLL(None)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
a, b = (tree + "/swap").encode(), (tree + "/swap.link").encode()
assert libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0
print("ready", flush=True)
while True:
    libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)
PY
mkfifo "$T/ready"
$(become "$USER_A") "$python" "$T/swap.py" "$D" "$T/outside" >"$T/ready" &
swapper=$!
OTHERS="$OTHERS $swapper"
read -r _ <"$T/ready"
mkdir "$M/race"
seq -f "$URL/f swap/f%.0f" 300 >"$M/race/add"
echo 1 >"$M/race/resume"
is "$(cat "$M/race/wait")" transferred race
for _ in 1 2 3 4 5; do
	[ ! -e "$M/race" ] || (echo 1 >"$M/race/complete") 2>/dev/null || :
done
kill "$swapper"
wait "$swapper" 2>/dev/null || :
outside "a race"
# removing the parent during complete
a mkdir "$D/vanish"
a sh -c "mkdir '$M/v'; echo vanish > '$M/v/destination'"
a sh -c "seq -f '$URL/f f%.0f' 200 > '$M/v/add'; echo 1 > '$M/v/resume'; cat '$M/v/wait' >/dev/null"
a sh -c "mv '$D/vanish' '$T/theirs/vanish' 2>/dev/null" &
mover=$!
a sh -c "echo 1 > '$M/v/complete'" 2>/dev/null || :
wait "$mover" || :
is "$(sum /etc/passwd)" "$passwd" /etc/passwd
is "$(find "$T/outside" -mindepth 1)" "" "outside"
stop
