# What root's daemon reads on a user's behalf are that user's files, a connection that one user's key has
# opened serves no other, and a login in a URL goes where its owner sent it.
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

# A login in a URL, or in a mirror's, is as secret as `credentials`: who may command the job does not get it
# by naming a proxy of his own, nor who is given the job
server_start "$python" "$lib/secrets.py" 2>>"$T/origin.stderr"
login=alice:hunter2@127.0.0.1:$port
shared() {
	as "$USER_A" sh -ec "mkdir '$M/$1'; echo '$2' >'$M/$1/add'"
	chgrp "$(id -g "$USER_B")" "$M/$1"
	as "$USER_A" chmod 770 "$M/$1"
}
for line in "http://$login/f" "http://127.0.0.1:1/f f mirror=http://$login/f"; do
	shared lent "$line"
	for command in "echo http://127.0.0.1:$port >'$M/lent/proxy'" "echo 'http://127.0.0.1:$port/g' >'$M/lent/add'" \
		"rm '$M/lent/files/f'"; do
		as "$USER_B" sh -c "$command" 2>/dev/null && fail "$command"
		has "$(as "$USER_B" cat "$M/lent/refused")" "only the owner" "refused: $command"
	done
	as "$USER_B" sh -c "echo 1 >'$M/lent/resume'"
	is "$(cat "$M/lent/wait")" transferred lent
	is "$(cat "$M/lent/files/f")" "Basic $(printf alice:hunter2 | base64)" "the login"
	rm "$M/lent/files/f"
	as "$USER_B" sh -c "echo http://127.0.0.1:$port >'$M/lent/proxy'" || fail "proxy of a job without secrets"
	as "$USER_B" sh -c "echo 'http://$login/f' >'$M/lent/add'" 2>/dev/null && fail "a login in another's job"
	has "$(as "$USER_B" cat "$M/lent/refused")" "only the owner" "refused: a login in another's job"
	rmdir "$M/lent"

	shared given "$line"
	chown "$USER_B" "$M/given"
	[ -z "${line##*mirror*}" ] || { stop; start -o allow_other; }
	as "$USER_B" sh -ec "echo http://127.0.0.1:$port >'$M/given/proxy'; echo 1 >'$M/given/resume'"
	is "$(cat "$M/given/wait")" error given
	is "$(value "$M/given/error" http_status)" 401 "asked without a login"
	rmdir "$M/given"
done
# Nor does another host that the server sends us to, and nobody reads it
shared moved "http://$login/to/http://localhost:$port/f"
exec 4<"$M/moved/log"
echo 1 >"$M/moved/resume"
is "$(cat "$M/moved/wait")" error moved
is "$(value "$M/moved/error" http_status)" 401 "the other host"
grep -rs hunter2 "$M/moved" --exclude=log && fail "the password is shown by the job"
readlink "$M/moved/sources/f" | grep hunter2 && fail "the password is shown by the link"
rmdir "$M/moved"
cat <&4 >"$T/moved.log" 2>/dev/null || :
exec 4<&-
has "$(cat "$T/moved.log")" trouble "the job's log"
grep hunter2 "$T/moved.log" && fail "the password is in the log"
grep -rs hunter2 "$M/.xferfs" "$T/stderr" --exclude=log && fail "the password is remembered"
stop
