# For the tests against real servers: a scratch directory, ports, waiting, and the end of it all.
# Sourced. $GET is tests/net/get. Servers are started by `serve`, and ended by their process id.

set -u
unset http_proxy https_proxy ftp_proxy all_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY no_proxy
work=$(mktemp -d)
chmod 755 "$work"
pids=
failed=0

cleanup()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

need()
{
	for program; do
		command -v "$program" >/dev/null || { echo "skipped: no $program"; exit 77; }
	done
}

# serve PORT COMMAND...: runs it, until something listens on PORT; 1 when it ends before.
serve()
{
	port=$1
	shift
	"$@" >"$work/server.out" 2>&1 &
	pid=$!
	pids="$pids $pid"
	until grep -qi ":$(printf %04X "$port") 0\{8,\}:0000 0A" /proc/net/tcp /proc/net/tcp6; do
		kill -0 "$pid" 2>/dev/null || { cat "$work/server.out"; return 1; }
		sleep 0.05
	done
}

any_port()
{
	shuf -i 20000-32000 -n 1
}

# get ARGUMENTS...: the outcome in $outcome $status $size $mtime $connections $have $moved $validator,
# and $text.
get()
{
	mkdir -p "$work/staging"
	timeout 60 "$GET" "$@" >"$work/out" 2>"$work/err"
	{ read -r outcome status size mtime connections have moved validator; read -r text; } <"$work/out"
	cat "$work/err"
}

# blob: where the file of the last `get "$work/staging" ...` is.
blob=$work/staging/blobs/1/1.0

fresh()
{
	rm -f "$blob"
}

is()
{
	if [ "$2" != "$3" ]; then
		echo "FAIL: $1: '$2', not '$3' ($text)"
		failed=1
	else
		echo "ok: $1"
	fi
}

same()
{
	if cmp "$blob" "$2"; then echo "ok: $1"; else echo "FAIL: $1: the bytes differ"; failed=1; fi
}

finish()
{
	exit $failed
}
