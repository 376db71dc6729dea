# What root's daemon reads on a user's behalf are that user's files, and a connection that one user's key
# has opened serves no other.
. "$(dirname "$0")/lib.sh"
need_root
need openssl inotifywait
chmod 1777 "$D"
# certificate NAME [OPTION]...: $T/NAME.pem, key and certificate
certificate() {
	name=$1
	shift
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$name" \
		-keyout "$T/$name.key" -out "$T/$name.crt" "$@" 2>/dev/null || fail "openssl"
	cat "$T/$name.crt" "$T/$name.key" >"$T/$name.pem"
	chmod 600 "$T/$name.pem" "$T/$name.key"
}
certificate server -addext subjectAltName=IP:127.0.0.1
for name in root first second; do certificate "$name"; done
cat "$T/root.crt" "$T/first.crt" "$T/second.crt" >"$T/clients.crt"
chown "$USER_A" "$T/first.pem"
chown "$USER_B" "$T/second.pem"
server_start "$python" "$lib/secrets.py" "$T/server.pem" "$T/clients.crt" 2>>"$T/origin.stderr"
start -o allow_other,transfer.workers=1,security.ca_file="$T/server.crt"
# fetch USER NAME CERTIFICATE: who the server takes him for; else the error's message
fetch() {
	as "$1" sh -ec "mkdir '$M/$2'; echo '$3' >'$M/$2/client_certificate'
		echo 'https://127.0.0.1:$port/x $2' >'$M/$2/add'; echo 1 >'$M/$2/resume'"
	case $(cat "$M/$2/wait") in
	transferred) cat "$M/$2/files/$2" ;;
	*) value "$M/$2/error" message ;;
	esac
	rmdir "$M/$2"
}
is "$(fetch "$USER_A" own "$T/first.pem")" first "his own certificate"
# The same server, the same number of the descriptor
is "$(fetch "$USER_B" other "$T/second.pem")" second "another user's"
job hold "https://127.0.0.1:$port/x held"
is "$(cat "$M/hold/wait")" transferred hold
is "$(cat "$M/hold/files/held")" nobody "without a certificate"
# ... and when the daemon gives both certificates the same number: each open staged file moves them
for n in 1 2 3 4; do
	exec 4<"$M/hold/files/held"
	[ $n -lt 2 ] || exec 5<"$M/hold/files/held"
	[ $n -lt 3 ] || exec 6<"$M/hold/files/held"
	[ $n -lt 4 ] || exec 7<"$M/hold/files/held"
	is "$(fetch "$USER_A" "a$n" "$T/first.pem")" first "the first one's, $n"
	exec 4<&- 5<&- 6<&- 7<&-
	is "$(fetch "$USER_B" "b$n" "$T/second.pem")" second "the other's, $n"
done
rmdir "$M/hold"
# Another's file: B's home belongs to root, A has none
is "$(stat -c %U "$(getent passwd "$USER_B" | cut -d: -f6)")" root "the owner of B's home"
for user in "$USER_A" "$USER_B"; do
	has "$(fetch "$user" theft "$T/root.pem")" "not the owner's" "root's file for $user"
done
has "$(fetch "$USER_A" theft "$T/second.pem")" "not the owner's" "B's file for A"
# What may not be used is not even opened: of a device that alone may do something
mkfifo "$T/watched" "$T/seen"
inotifywait -q -m -e open --format opened "$T/watched" >"$T/seen" 2>/dev/null &
watcher=$!
OTHERS="$OTHERS $watcher"
exec 6<"$T/seen"
"$python" - "$watcher" <<'PY'
import os, sys
folder = "/proc/%s/fdinfo/" % sys.argv[1]
def watches(n):
    try:
        return "inotify wd" in open(folder + n).read()
    except FileNotFoundError: # closed since it was listed
        return False
while not any(watches(n) for n in os.listdir(folder)):
    pass
PY
has "$(fetch "$USER_A" device "$T/watched")" "not the owner's" "a fifo"
kill "$watcher"
wait "$watcher" 2>/dev/null || :
is "$(cat <&6)" "" "the fifo"
exec 6<&-
stop
