# What the mount tests share: a folder of their own, servers on free loopback ports, a daemon in the
# foreground whose stderr is judged, and an orderly end.
#
#	. "$(dirname "$0")/lib.sh"
#	nginx_start            $URL serves $W; a line per request in $T/access
#	origin_start           $ORIGIN: a server that misbehaves on request (origin.py); $T/origin.log
#	start [OPTION]...      xferfs $D at $M; stop, crash, start again
#	is GOT WANTED WHAT     else the test fails
#
# XFERFS is the binary, XFERFS_UNDER a command to run it under (valgrind). Nothing here sleeps: a
# test waits by reading files that block, by fifos, or for a process to end.

set -eu
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C.UTF-8
TZ=UTC
export PATH LC_ALL TZ
unset XDG_CONFIG_HOME

lib=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3
: "${XFERFS:?the xferfs binary}"
: "${XFERFS_BIG_MIB:=1024}" "${XFERFS_MANY:=1000}"

T=$(mktemp -d "${TMPDIR:-/tmp}/xferfs-test.XXXXXX")
D=$T/dest M=$T/mnt W=$T/www
mkdir "$D" "$M" "$W"
chmod 755 "$T"
DAEMON='' OTHERS='' ALLOWED='^$' WRAP=''

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }
need() { for tool; do command -v "$tool" >/dev/null || skip "no $tool"; done; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
# is GOT WANTED WHAT
is() { [ "$1" = "$2" ] || fail "$3: got '$1', wanted '$2'"; }
# has TEXT PATTERN WHAT (a shell pattern)
has() { case $1 in *$2*) ;; *) fail "$3: no '$2' in '$1'" ;; esac; }
missing() { [ ! -e "$1" ] && [ ! -L "$1" ] || fail "$1 is there"; }

[ -c /dev/fuse ] || skip "no /dev/fuse"

# --- ordinary users: two that every Debian has --------------------------------------------------

USER_A=nobody USER_B=games
# For tests that mount as an ordinary user. Where only root may open /dev/fuse (some containers), the
# script runs again in a mount namespace that has one as udev makes it, for all.
users_may_mount() {
	need_root
	need fusermount3 setpriv
	setpriv --reuid="$USER_A" --clear-groups --regid="$(id -g "$USER_A")" sh -c ': <>/dev/fuse' 2>/dev/null && return
	[ -z "${XFERFS_INSIDE:-}" ] || skip "ordinary users cannot open /dev/fuse"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	rm -rf "$T"
	trap - EXIT
	XFERFS_INSIDE=1 exec unshare -m sh -c '
		dir=$(mktemp -d) && mount -t tmpfs none "$dir" && mknod -m 666 "$dir/fuse" c 10 229 &&
			mount --bind "$dir/fuse" /dev/fuse && umount -l "$dir"
		rmdir "$dir"
		exec sh "$0"' "$0"
}
# become USER: the words that make what follows them that user's command
become() { say "setpriv --reuid=$1 --regid=$(id -g "$1") --clear-groups env HOME=$T USER=$1"; }
as() {
	as_user=$1
	shift
	$(become "$as_user") "$@"
}

# --- servers ------------------------------------------------------------------------------------

# Both print their port once they listen.
server_start() {
	servers=$((${servers:-0} + 1))
	mkfifo "$T/port$servers"
	"$@" >"$T/port$servers" 3>&- &
	OTHERS="$OTHERS $!"
	read -r port <"$T/port$servers" || fail "$2 did not start"
}

nginx_start() {
	need nginx
	server_start "$python" "$lib/nginx.py" "$T" "$W" "$@" 2>>"$T/nginx.stderr"
	NGINX=$!
	URL=http://127.0.0.1:$port
}

origin_start() {
	[ -p "$T/hold" ] || mkfifo "$T/hold"
	server_start "$python" "$lib/origin.py" "$T" "$W" 2>>"$T/origin.stderr"
	ORIGIN=http://127.0.0.1:$port
}
# Returns when the origin has come to a request's hold=N; it goes on from there.
release() { : >"$T/hold"; }

# noise NAME BYTES: a file on the server that does not compress and has no two equal blocks.
noise() {
	mkdir -p "$(dirname "$W/$1")"
	openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -in /dev/zero 2>/dev/null |
		head -c "$2" >"$W/$1"
}
sum() { sha256sum <"$1" | cut -d' ' -f1; }

# --- the daemon ---------------------------------------------------------------------------------

sanitizers() {
	export ASAN_OPTIONS="detect_leaks=1:exitcode=99:${ASAN_OPTIONS:-}"
	export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
	export TSAN_OPTIONS="exitcode=98:${TSAN_OPTIONS:-}"
}
sanitizers

# start [OPTION]...; as another user with WRAP=$(become USER)
start() {
	# a shell has its background commands ignore SIGINT
	# shellcheck disable=SC2086
	env --default-signal=INT $WRAP ${XFERFS_UNDER:-} "$XFERFS" -f "$@" "$D" "$M" </dev/null >>"$T/stderr" 2>&1 3>&- &
	DAEMON=$!
	# shellcheck disable=SC2086
	$WRAP "$python" "$lib/mounted.py" "$M" "$DAEMON" || {
		DAEMON=''
		cat "$T/stderr"
		fail "xferfs did not mount"
	}
}

# unmount [COMMAND...]: COMMAND, or what the user of this test takes, with the mountpoint behind it.
# The daemon itself is inside for a moment whenever it touches what has changed (rule 7), and then the
# kernel says that the mount is busy; the moment lasts as long as the machine lets the daemon stand. Only what
# will not end is given up, after a minute.
unmount() {
	[ $# -gt 0 ] || if [ "$(id -u)" = 0 ]; then set -- umount; else set -- fusermount3 -u; fi
	unmount_until=$(($(date +%s) + 60))
	until "$@" "$M" 2>"$T/unmount"; do
		grep -q busy "$T/unmount" && [ "$(date +%s)" -lt $unmount_until ] || { cat "$T/unmount"; return 1; }
	done
}

# Whether the daemon ends by itself with status 0 and has said nothing that it should not.
ends_well() {
	daemon_status=0
	wait "$DAEMON" || daemon_status=$?
	DAEMON=''
	clean_stderr || return 1
	[ "$daemon_status" = 0 ] || { say "FAILED: the daemon's status is $daemon_status"; return 1; }
}
ended() { ends_well || exit 1; }

stop() {
	unmount
	ended
}

crash() {
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null || :
	DAEMON=''
	clean_stderr || exit 1
}

# What is information (who made, completed, cancelled what) is expected; everything else is not. A
# test that provokes a warning puts its pattern into ALLOWED. libfuse itself prints a line when a
# request is taken in the instant of an unmount: the kernel says ECONNABORTED then, not ENODEV.
clean_stderr() {
	grep -Ev "^(==[0-9]+== *)?$|^<[567]>|^fuse: reading device: Software caused connection abort$|$ALLOWED" "$T/stderr" >"$T/unexpected" || return 0
	say "FAILED: the daemon's stderr is not clean:"
	cat "$T/unexpected"
	return 1
}

# --- the end ------------------------------------------------------------------------------------

finish() {
	status=$?
	trap - EXIT
	trap '' INT TERM
	set +e
	exec 2>>"$T/finish"
	if [ -n "$DAEMON" ] && [ "$status" = 0 ]; then
		unmount && ends_well || status=1
	fi
	mountpoint -q "$M" && { umount "$M" || umount -l "$M" || fusermount3 -uz "$M"; }
	if [ -n "$DAEMON" ]; then
		kill -TERM "$DAEMON"
		"$python" "$lib/ends.py" "$DAEMON" 10 ||
			{ say "the daemon does not end on SIGTERM"; kill -KILL "$DAEMON"; }
		wait "$DAEMON"
	fi
	[ -z "$OTHERS" ] || kill $OTHERS
	wait
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		say "status $status; the daemon's stderr, then the servers':"
		tail -n 60 "$T/stderr"
		cat "$T"/nginx.stderr "$T"/origin.stderr
	fi
	[ -n "${XFERFS_KEEP:-}" ] || rm -rf "$T"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
: >"$T/stderr"
JOURNAL_STREAM=$(stat -c %d:%i "$T/stderr") # so that lines come with their priority, "<6>"
export JOURNAL_STREAM

# --- small helpers ------------------------------------------------------------------------------

# errno FILE TEXT: what one write(2) of TEXT and a newline gives: a name like EBUSY, or 0. (dash hides it.)
errno() {
	"$python" - "$1" "$2" <<-'PY'
	import errno, os, sys
	try:
	    fd = os.open(sys.argv[1], os.O_WRONLY)
	    os.write(fd, sys.argv[2].encode() + b"\n")
	    print(0)
	except OSError as e:
	    print(errno.errorcode[e.errno])
	PY
}
# value FILE KEY: of a flat keyed file
value() { awk -v k="$2" '$1 == k { sub(/^[^ ]+ /, ""); print; exit }' "$1"; }
# job NAME URL...: made, filled, resumed
job() {
	job_name=$1
	shift
	mkdir "$M/$job_name"
	for url; do echo "$url" >"$M/$job_name/add"; done
	echo 1 >"$M/$job_name/resume"
}
