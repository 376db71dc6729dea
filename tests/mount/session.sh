# The session of the README, typed in three shells, with the daemon in the background.
. "$(dirname "$0")/lib.sh"
need dash bash busybox
nginx_start
noise d.iso 5000000

cat >"$T/typed" <<'TYPED'
set -e
cd "$M"
mkdir iso
echo "$URL/d.iso" > iso/add
echo 1 > iso/resume
cat iso/follow > "$T/follow"
[ "$(cat iso/wait)" = transferred ] && echo 1 > iso/complete
cd /
TYPED
export M URL T

for shell in dash bash 'busybox sh'; do
	$XFERFS "$D" "$M" 2>>"$T/stderr" </dev/null || fail "did not mount"
	pid=$(cat "$D/.xferfs/lock")
	kill -0 "$pid" || fail "$D/.xferfs/lock does not name the daemon"
	missing "$D/d.iso"
	$shell "$T/typed" || fail "the session in $shell"
	cmp "$W/d.iso" "$D/d.iso"
	missing "$M/iso"
	has "$(cat "$T/follow")" transferred "follow in $shell"
	is "$(value "$M/.xferfs/ended/iso" result)" all "ended/iso"
	unmount
	# the daemon is no child of this shell: its lock is free when it has ended
	"$python" - "$D/.xferfs/lock" <<-'PY'
	import fcntl, sys
	fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX)
	PY
	rm "$D/d.iso"
	is "$(find "$D" -path "$D/.xferfs" -prune -o -type f -print)" "" "left in the tree after $shell"
done
clean_stderr
