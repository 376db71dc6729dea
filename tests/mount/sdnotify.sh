# What systemd hears: READY when the mount answers, WATCHDOG while the core turns, STOPPING at the end;
# and messages fit for the journal: who made, completed, cancelled what.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 1000

# A socket as systemd's: a datagram a line; ends with the first that says STOPPING.
mkfifo "$T/bound" "$T/heard"
"$python" - "$T/notify" >"$T/heard" 3>&- <<'PY' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open(os.path.dirname(sys.argv[1]) + "/bound", "w").close()
while True:
    for word in s.recv(4096).decode().splitlines():
        print(word, flush=True)
        if word == "STOPPING=1":
            sys.exit(0)
PY
listener=$!
OTHERS="$OTHERS $listener"
exec 5<"$T/heard"
read -r _ <"$T/bound" || :
# hear WORD: the next that begins with it; what came before is forgotten
hear() {
	while read -r heard <&5; do
		case $heard in "$1"*) return ;; esac
	done
	fail "systemd heard no $1"
}

NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=200000
export NOTIFY_SOCKET WATCHDOG_USEC
start
hear READY=1
hear STATUS=
[ -e "$M/.xferfs/version" ] || fail "READY before the mount answers"
job made "$URL/f"
is "$(cat "$M/made/wait")" transferred "the job"
echo 1 >"$M/made/complete"
mkdir "$M/dropped"
rmdir "$M/dropped"
hear WATCHDOG=1 # by itself, again and again
hear WATCHDOG=1
kill -TERM "$DAEMON"
hear STOPPING=1
ended
wait "$listener" || :
OTHERS=${OTHERS% "$listener"}
for line in "made .*created by uid $(id -u)" "made .*complete by uid $(id -u)" "made .*acknowledged by uid $(id -u)" \
	"dropped .*cancelled by uid $(id -u)"; do
	grep -q "^<6>.*$line" "$T/stderr" || fail "the journal has no '$line'"
done
