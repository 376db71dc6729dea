#!/bin/sh
# The engine behind a proxy.
PATH=$PATH:/usr/sbin
. "$(dirname "$0")/real.sh"
need squid nginx

mkdir "$work/www"
head -c 3000000 /dev/urandom >"$work/www/big"
http=$(any_port) proxy=$(any_port)
cat >"$work/nginx.conf" <<END
daemon off; worker_processes 1; pid $work/pid; error_log $work/error.log;
events { worker_connections 256; }
http {
	access_log $work/access.log;
	client_body_temp_path $work/t; proxy_temp_path $work/t; fastcgi_temp_path $work/t;
	uwsgi_temp_path $work/t; scgi_temp_path $work/t;
	server { listen 127.0.0.1:$http; root $work/www; }
}
END
serve "$http" nginx -e "$work/error.log" -c "$work/nginx.conf" || exit 1
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
grep -q 'GET /big' "$work/access.log" || { echo "FAIL: nothing came through"; failed=1; }
get -x "http://127.0.0.1:$proxy" "$work/staging" "https://127.0.0.1:$http/big"
is "CONNECT is refused" "$outcome" connect
get -x "http://127.0.0.1:1" "$work/staging" "http://127.0.0.1:$http/big"
is "no proxy there" "$outcome" connect
get -d -x "http://127.0.0.1:$proxy" "$work/staging" "http://127.0.0.1:$http/big"
is "a private proxy of a user" "$outcome" policy
finish
