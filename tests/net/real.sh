# For the tests against real servers: a scratch directory, ports, waiting, and the end of it all.
# Sourced. $GET is tests/net/get. Servers are started by `serve`, and ended by their process id.

set -u
PATH=$PATH:/usr/sbin:/sbin
unset http_proxy https_proxy ftp_proxy all_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY no_proxy
work=$(mktemp -d)
chmod 755 "$work"
pids=
failed=0
# Tests run side by side: which of them has a port before its server listens there.
claim=${TMPDIR:-/tmp}/xferfs-test-port-

cleanup()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	wait
	for port in $(cat "$work/ports" 2>/dev/null); do
		rmdir "$claim$port"
	done
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

# in_use PORT [REST]: a socket of this machine has that port; REST: and this in its line after it.
in_use()
{
	grep -qs "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1")${2- }" /proc/net/tcp /proc/net/tcp6
}

# serve PORT COMMAND...: runs it, until something listens on PORT; 1 when it ends before.
serve()
{
	port=$1
	shift
	"$@" >"$work/server.out" 2>&1 &
	pid=$!
	pids="$pids $pid"
	until in_use "$port" ' 0\{8,\}:0000 0A'; do
		kill -0 "$pid" 2>/dev/null || { cat "$work/server.out"; return 1; }
		sleep 0.05
	done
}

# A port that no socket has, and that was given to no test.
any_port()
{
	until port=$(shuf -i 20000-32000 -n 1) && ! in_use "$port" && mkdir "$claim$port" 2>/dev/null; do
		:
	done
	echo "$port" | tee -a "$work/ports"
}

# serve_nginx PORT: with what its stdin says of http, once that listens on PORT.
serve_nginx()
{
	{
		cat <<-END
			daemon off; worker_processes 1; pid $work/pid; error_log $work/error.log;
			events { worker_connections 256; }
			http {
				client_body_temp_path $work/t; proxy_temp_path $work/t; fastcgi_temp_path $work/t;
				uwsgi_temp_path $work/t; scgi_temp_path $work/t;
		END
		cat
		echo "}"
	} >"$work/nginx.conf"
	serve "$1" nginx -e "$work/error.log" -c "$work/nginx.conf"
}

# serve_sshd PORT KEY: for whoever has KEY, a file next to which is KEY.pub. Its own key is $work/host.
serve_sshd()
{
	[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$work/host"
	cp "$2.pub" "$work/authorized"
	cat >"$work/sshd_config" <<-END
		ListenAddress 127.0.0.1
		Port $1
		HostKey $work/host
		PidFile none
		AuthorizedKeysFile $work/authorized
		StrictModes no
		UsePAM no
		PasswordAuthentication no
		PermitRootLogin yes
		Subsystem sftp internal-sftp
	END
	serve "$1" "$(command -v sshd)" -D -e -f "$work/sshd_config"
}

# known_host PORT KEY: the line of known_hosts by which a server there has KEY.
known_host()
{
	echo "[127.0.0.1]:$1 $(cut -d' ' -f1,2 "$2.pub")"
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
