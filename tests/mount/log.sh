# The streams: a line per event from the moment of opening, for `while read`, `tail -f` and python.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 100000
start
mkfifo "$T/open"
# the service's stream, read by a loop in another shell
(
	exec 4<"$M/.xferfs/log"
	: >"$T/open"
	while read -r moment name what details <&4; do
		case $moment in ????-??-??T??:??:??.???Z) ;; *) fail "a moment: $moment" ;; esac
		printf '%s %s %s\n' "$name" "$what" "$details"
		case "$name $details" in 'b '*acknowledged*) break ;; esac
	done
) >"$T/lines" &
reader=$!
: <"$T/open"
mkdir "$M/a"
exec 4<"$M/a/log"
mkdir "$M/b"
for j in a b; do
	echo "$URL/f $j" >"$M/$j/add"
	echo 1 >"$M/$j/resume"
	is "$(cat "$M/$j/wait")" transferred "$j"
done
echo 1 >"$M/a/complete"
echo 1 >"$M/b/complete"
wait "$reader" || fail "the reader of .xferfs/log"
for word in 'a created' 'b created' transferred acknowledged; do
	grep -q "$word" "$T/lines" || { cat "$T/lines"; fail "no event '$word'"; }
done
# the job's own stream has its events only, and ends with the job; nothing of it is lost
cat <&4 >"$T/own" 2>/dev/null || :
exec 4<&-
grep -q ' b ' "$T/own" && fail "another job's events in a/log"
has "$(cat "$T/own")" acknowledged "a/log"
is "$(grep -c ' a created' "$T/own")" 0 "a/log begins when it is opened"

# tail -f reads a stream to its end first, so it is to begin at the beginning; in a pipe it buffers
mkdir "$M/c"
mkfifo "$T/tail"
stdbuf -oL tail -n +1 -f "$M/c/log" >"$T/tail" 2>/dev/null &
tail=$!
OTHERS="$OTHERS $tail"
exec 4<"$T/tail"
"$python" - "$tail" "$M/c/log" <<'PY'
import os, sys
folder = "/proc/%s/" % sys.argv[1]
def opens(n):
    try:
        return os.readlink(folder + "fd/" + n)
    except FileNotFoundError: # closed since it was listed
        return None
while not any(opens(n) == sys.argv[2] for n in os.listdir(folder + "fd")) or \
        "fuse" not in open(folder + "wchan").read() and \
        open(folder + "syscall").read().split()[0] not in ("0", "63"):
    pass
PY
echo low >"$M/c/priority"
read -r line <&4
has "$line" " c " "tail -f"
exec 4<&-

# a reader that did not keep up is told how many it missed, and the last event is there
"$python" - "$M" <<'PY'
import os, sys
mount = sys.argv[1]
fd = os.open(mount + "/.xferfs/log", os.O_RDONLY)
job = mount + "/c/description"
for i in range(5000):
    with open(job, "w") as f:
        f.write("words %d" % i)
with open(mount + "/c/cancel", "w") as f:
    f.write("1")
text = b""
while b"cancelled" not in text:
    text += os.read(fd, 1 << 20)
assert b"missed" in text or text.count(b"\n") >= 5000, text[:300]
PY
stop
