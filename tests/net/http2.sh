#!/bin/sh
# [transfer] http2: many files over one connection, a large one, ranges; and a server that has no h2.
. "$(dirname "$0")/real.sh"
need nginx openssl
nginx -V 2>&1 | grep -q http_v2 || { echo "skipped: nginx without http2"; exit 77; }

mkdir "$work/www"
head -c 9000000 /dev/urandom >"$work/www/big"
for i in $(seq 0 39); do
	head -c 5000 /dev/urandom >"$work/www/s$i"
done
cd "$work" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2 \
	-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
h2=$(any_port) h1=$(any_port)
serve_nginx "$h2" <<END || exit 1
log_format who '\$server_protocol \$connection \$status \$uri';
access_log $work/access.log who;
ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
server { listen 127.0.0.1:$h2 ssl http2; root $work/www; location /slow/ { alias $work/www/; limit_rate 2m; } }
server { listen 127.0.0.1:$h1 ssl; root $work/www; }
END

get -2 -a cert.pem "$work/staging" "https://127.0.0.1:$h2/big"
is "large: done" "$outcome" "done"
same "large: bytes" www/big
seen=$validator
truncate -s 4000000 "$blob"
get -2 -a cert.pem -r 4000000 -s 9000000 -v "$seen" "$work/staging" "https://127.0.0.1:$h2/big"
# nginx, which has one worker, notes a request before it takes up the next
grep -q 'HTTP/2.0 .* /big' access.log || { echo "FAIL: it was not HTTP/2"; failed=1; }
is "resumed: done" "$outcome" "done"
same "resumed: bytes" www/big
fresh
get -2 -a cert.pem "$work/staging" "https://127.0.0.1:$h2/slow/big"
is "segments: done" "$outcome" "done"
same "segments: bytes" www/big
fresh
get -2 -l 4000000 -a cert.pem "$work/staging" "https://127.0.0.1:$h2/big"
is "with a limit: done" "$outcome" "done"
same "with a limit: bytes" www/big
get -2 -a cert.pem "$work/staging" "https://127.0.0.1:$h2/absent"
is "absent" "$outcome" http_status
get -2 -a cert.pem "$work/staging" "https://127.0.0.1:$h1/big"
is "a server without it: done" "$outcome" "done"
same "a server without it: bytes" www/big

: >access.log
get -2 -a cert.pem -m 40 "$work/staging" "https://127.0.0.1:$h2/s"
is "many: done" "$outcome" "done"
for i in $(seq 0 39); do
	cmp "$work/staging/blobs/1/$((i + 1)).0" "www/s$i" || { echo "FAIL: many: bytes of s$i"; failed=1; }
done
connections=$(awk '/ \/s/ { print $2 }' access.log | sort -u | wc -l)
[ "$connections" -lt 8 ] && echo "ok: many over $connections connections" ||
	{ echo "FAIL: many: $connections connections"; failed=1; }

# Paused streams of one connection: under a limit, all of them in pieces.
for i in 0 1 2 3; do
	head -c 2000000 /dev/urandom >"www/m$i"
done
get -2 -l 4000000 -a cert.pem -m 4 "$work/staging" "https://127.0.0.1:$h2/m"
is "several with a limit: done" "$outcome" "done"
for i in 0 1 2 3; do
	cmp "$work/staging/blobs/1/$((i + 1)).0" "www/m$i" || { echo "FAIL: several with a limit: bytes of m$i"; failed=1; }
done
finish
