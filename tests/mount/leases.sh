# A lease (fcntl(2), F_SETLEASE) keeps whoever opens the file waiting until its holder gives it back: not the
# daemon, nor the other users, whom it serves with the same threads.
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 50000
chmod 1777 "$D"
start -o allow_other
a() { as "$USER_A" "$@"; }
b() { as "$USER_B" "$@"; }
# downloads USER NAME URL
downloads() { as "$1" sh -ec "mkdir '$M/$2'; echo '$3' >'$M/$2/add'; echo 1 >'$M/$2/resume'"; }

cat >"$T/lease.py" <<'PY'
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN) # how he is told that somebody waits
fd = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    print("held", flush=True)
except OSError as e:
    print(e.strerror, flush=True)
sys.stdin.readline()
PY
mkfifo "$T/give" "$T/held"
# hold USER FILE: has a lease on it until give_back
hold() {
	as "$1" "$python" "$T/lease.py" "$2" <"$T/give" >"$T/held" &
	holder=$!
	OTHERS="$OTHERS $holder"
	exec 4>"$T/give"
	read -r word <"$T/held"
	case $word in
	held) ;;
	"Invalid argument" | "Function not implemented") skip "the filesystem has no leases" ;;
	*) fail "no lease on $2: $word" ;;
	esac
}
give_back() {
	echo >&4
	exec 4>&-
	wait "$holder"
}

# A blob that was given to a user, whom a complete of his that failed leaves it to
downloads "$USER_A" given "$URL/f"
is "$(a cat "$M/given/wait")" transferred "given"
blob=$(find "$D/.xferfs/blobs" -type f)
chown "$USER_A" "$blob"
hold root "$blob"
is "$(a cat "$M/given/files/f" 2>&1 >/dev/null)" "cat: $M/given/files/f: Resource temporarily unavailable" "a leased blob"
b mkdir "$M/others" || fail "another user's mkdir"
is "$(errno "$M/given/complete" 1)" EAGAIN "complete of a leased blob"
has "$(cat "$M/given/error")" "temporarily unavailable" "error of a leased blob"
give_back
a cat "$M/given/files/f" | cmp - "$W/f" || fail "given back"
echo 1 >"$M/given/complete" || fail "complete after the lease: $(cat "$M/given/error")"
is "$(sum "$D/f")" "$(sum "$W/f")" "the file"
rmdir "$M/others"

# A file of the user's that a transfer of his needs
a sh -c ": >'$D/client.pem'"
hold "$USER_A" "$D/client.pem"
a mkdir "$M/certified"
a sh -c "echo '$D/client.pem' >'$M/certified/client_certificate'"
a sh -ec "echo 'https://${URL#http://}/f' >'$M/certified/add'; echo 1 >'$M/certified/resume'"
is "$(a cat "$M/certified/wait")" error "with a leased certificate"
has "$(cat "$M/certified/error")" "the client certificate cannot be read" "error of a leased certificate"
downloads "$USER_B" free "$URL/f"
is "$(b cat "$M/free/wait")" transferred "another user's download"
give_back
stop
