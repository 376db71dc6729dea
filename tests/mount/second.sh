# One daemon per destination; what a crash left is cleared; what cannot be is said in one line.
. "$(dirname "$0")/lib.sh"
start
mkdir "$M/j" "$T/second"
# says STATUS PATTERN COMMAND...
says() {
	wanted=$1
	shift
	if "$@" >"$T/out" 2>&1 </dev/null; then fail "succeeded: $*"; fi
	is "$(wc -l <"$T/out")" 1 "lines said by: $* ($(cat "$T/out"))"
	has "$(cat "$T/out")" "$wanted" "$*"
}
says "$DAEMON" "$XFERFS" "$D" "$T/second"
says "$DAEMON" "$XFERFS" -f "$D" "$T/second"
says "$DAEMON" "$XFERFS" -o "staging=$T/area" "$D" "$T/second"
missing "$T/area"
mountpoint -q "$T/second" && fail "mounted"
ls "$M/j" >/dev/null || fail "the first mount has suffered"
says "$T/nothing" "$XFERFS" "$T/nothing" "$T/second"
says "$T/nothing" "$XFERFS" "$T" "$T/nothing"
: >"$T/file"
says "$T/file" "$XFERFS" "$T/file" "$T/second"
missing "$T/second/.xferfs"
says colour "$XFERFS" -o limits.colour=red "$D" "$T/second"

crash
ls "$M" >/dev/null 2>&1 && fail "the dead mount answers"
start
is "$(ls "$M")" j "the queue after a crash"
crash
# and in the background
"$XFERFS" "$D" "$M" 2>"$T/out" </dev/null || fail "a dead mountpoint was not cleared: $(cat "$T/out")"
is "$(ls "$M")" j "the queue"
unmount
"$python" - "$D/.xferfs/lock" <<'PY'
import fcntl, sys
fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX)
PY
# nor is one with a staging area elsewhere overlooked
start -o "staging=$T/area"
says "$DAEMON" "$XFERFS" "$D" "$T/second"
says "$DAEMON" "$XFERFS" -o "staging=$T/area2" "$D" "$T/second"
mkdir "$T/dest3"
says "$DAEMON" "$XFERFS" -o "staging=$T/area" "$T/dest3" "$T/second"
stop
# several destinations, several daemons
start
mkdir "$T/dest2"
"$XFERFS" "$T/dest2" "$T/second" </dev/null 2>"$T/out" || fail "a second destination"
is "$(ls "$T/second")" "" "the second queue"
(M=$T/second && unmount)
stop
