#!/bin/sh
# The engine behind a socks5 proxy: ssh -D.
. "$(dirname "$0")/real.sh"
need sshd ssh ssh-keygen nginx

mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/big"
http=$(any_port) ssh=$(any_port) proxy=$(any_port)
serve_nginx "$http" <<END || exit 1
log_format who '\$remote_addr \$request';
access_log $work/access.log who;
server { listen 127.0.0.1:$http; root $work/www; }
END

ssh-keygen -q -t ed25519 -N '' -f "$work/key"
serve_sshd "$ssh" "$work/key" || exit 77
known_host "$ssh" "$work/host" >"$work/known_hosts"
serve "$proxy" ssh -N -F none -D "127.0.0.1:$proxy" -p "$ssh" -i "$work/key" -o IdentitiesOnly=yes \
	-o UserKnownHostsFile="$work/known_hosts" -o ExitOnForwardFailure=yes 127.0.0.1 || exit 77

get -x "socks5://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:$http/big"
is "through the proxy: done" "$outcome" "done"
same "through the proxy: bytes" "$work/www/big"
truncate -s 1000000 "$blob"
get -x "socks5://127.0.0.1:$proxy" -r 1000000 -s 3000000 -v "$validator" "$work/staging" "http://127.0.0.1:$http/big"
is "resumed: done" "$outcome" "done"
same "resumed: bytes" "$work/www/big"
# socks5h: the proxy finds the host, the daemon never asks for it
get -x "socks5h://127.0.0.1:$proxy" "$work/staging" "http://localhost:$http/big"
is "the proxy resolves" "$outcome" "done"
get -x "socks5h://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:1/big"
is "nobody there" "$outcome" connect
get -x "socks5://127.0.0.1:1" "$work/staging" "http://127.0.0.1:$http/big"
is "no proxy there" "$outcome" connect
get -d -x "socks5h://127.0.0.1:$proxy" "$work/staging" "http://localhost:$http/big"
is "a private proxy of a user" "$outcome" policy
kill "$pid"
wait "$pid"
get -x "socks5://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:$http/big"
is "it came through the proxy" "$outcome" connect
finish
