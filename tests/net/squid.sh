#!/bin/sh
# The engine behind a proxy.
. "$(dirname "$0")/real.sh"
need squid nginx

mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/big"
http=$(any_port) proxy=$(any_port)
serve_nginx "$http" <<END || exit 1
access_log $work/access.log;
server { listen 127.0.0.1:$http; root $work/www; }
END
nginx=$pid
mkdir -m 777 "$work/squid"
cat >"$work/squid.conf" <<END
http_port 127.0.0.1:$proxy
pid_filename none
access_log none
cache_log $work/squid/cache.log
coredump_dir $work/squid
cache deny all
http_access deny CONNECT
http_access allow all
shutdown_lifetime 0 seconds
END
serve "$proxy" squid -N -f "$work/squid.conf" || exit 77

get -x "http://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:$http/big"
is "through the proxy: done" "$outcome" "done"
same "through the proxy: bytes" "$work/www/big"
kill -QUIT "$nginx"
wait "$nginx" # what it was asked is noted
grep -q 'GET /big' "$work/access.log" || { echo "FAIL: nothing came through"; failed=1; }
get -x "http://127.0.0.1:$proxy" "$work/staging" "https://127.0.0.1:$http/big"
is "CONNECT is refused" "$outcome" connect
get -x "http://127.0.0.1:1" "$work/staging" "http://127.0.0.1:$http/big"
is "no proxy there" "$outcome" connect
get -d -x "http://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:$http/big"
is "a private proxy of a user" "$outcome" policy
finish
