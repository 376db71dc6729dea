#!/bin/sh
# The engine and nginx: http, ranges, ::1, .netrc, TLS with an own CA and client certificates.
. "$(dirname "$0")/real.sh"
need nginx openssl

mkdir "$work/www" "$work/home"
head -c 9000000 /dev/urandom >"$work/www/big"
touch -d 2020-02-02T02:02:02Z "$work/www/big"
echo small >"$work/www/small"

cd "$work" || exit 1
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=ca -days 2 \
	-keyout ca.key -out ca.pem 2>/dev/null
for who in server client; do
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$who -keyout $who.key \
		-out $who.csr 2>/dev/null
	echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >$who.ext
	openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $who.ext \
		-out $who.pem 2>/dev/null
done
cat client.pem client.key >home/client.pem
printf 'user:%s\n' "$(openssl passwd -apr1 secret)" >htpasswd
printf 'machine 127.0.0.1 login user password secret\n' >home/.netrc

http=$(any_port) https=$(any_port) v6=
[ -e /proc/net/if_inet6 ] && grep -q '^0\{31\}1' /proc/net/if_inet6 && v6="listen [::1]:$http;"
serve_nginx "$http" <<END || exit 1
access_log off;
server {
	listen 127.0.0.1:$http; $v6
	root $work/www;
	location /private/ { alias $work/www/; auth_basic x; auth_basic_user_file $work/htpasswd; }
	location /slow/ { alias $work/www/; limit_rate 2m; }
}
server {
	listen 127.0.0.1:$https ssl;
	ssl_certificate $work/server.pem; ssl_certificate_key $work/server.key;
	ssl_client_certificate $work/ca.pem; ssl_verify_client optional;
	root $work/www;
	location /club/ { if (\$ssl_client_verify != SUCCESS) { return 403; } alias $work/www/; }
	location /down { return 302 http://127.0.0.1:$http/small; }
}
END

get "$work/staging" "http://127.0.0.1:$http/big"
is "http: done" "$outcome" "done"
is "http: the server's time" "$mtime" 1580608922
same "http: bytes" www/big
seen=$validator

truncate -s 4000000 "$blob"
get -r 4000000 -s 9000000 -v "$seen" "$work/staging" "http://127.0.0.1:$http/big"
is "resumed" "$outcome" "done"
same "resumed: bytes" www/big

fresh
get "$work/staging" "http://127.0.0.1:$http/slow/big"
is "segments: done" "$outcome" "done"
same "segments: bytes" www/big
[ "$connections" -gt 1 ] || { echo "FAIL: segments: one connection"; failed=1; }

get -r 4000000 -s 9000000 -v 'etag "elsewhere"' "$work/staging" "http://127.0.0.1:$http/big"
is "another version" "$outcome" changed

fresh
get "$work/staging" "http://127.0.0.1:$http/private/small"
is "no password" "$outcome $status" "http_status 401"
get -h "$work/home" "$work/staging" "http://127.0.0.1:$http/private/small"
is ".netrc" "$outcome" "done"
get -c user:wrong -h "$work/home" "$work/staging" "http://127.0.0.1:$http/private/small"
is "credentials come before .netrc" "$outcome $status" "http_status 401"
mv home/.netrc away
ln -s ../away home/.netrc
get -h "$work/home" "$work/staging" "http://127.0.0.1:$http/private/small"
is "a link is no .netrc" "$outcome $status" "http_status 401"

if [ "$v6" ]; then
	get "$work/staging" "http://[::1]:$http/small"
	is "::1" "$outcome" "done"
fi

get "$work/staging" "https://127.0.0.1:$https/small"
is "unknown CA" "$outcome" tls
get -a ca.pem "$work/staging" "https://127.0.0.1:$https/small"
is "own CA" "$outcome" "done"
get -a ca.pem "$work/staging" "https://localhost:$https/big"
same "TLS: bytes" www/big
get -a ca.pem "$work/staging" "https://127.0.0.1:$https/club/small"
is "no client certificate" "$outcome $status" "http_status 403"
get -a ca.pem -h "$work/home" -C "$work/home/client.pem" "$work/staging" "https://127.0.0.1:$https/club/small"
is "client certificate" "$outcome" "done"
get -a ca.pem "$work/staging" "https://127.0.0.1:$https/down"
is "https to http" "$outcome" redirect
get -S https "$work/staging" "http://127.0.0.1:$http/small"
is "scheme not allowed" "$outcome" policy
get -d "$work/staging" "http://localhost:$http/small"
is "private address" "$outcome" policy
if [ "$(id -u)" = 0 ]; then
	chown 65534 home/client.pem
	get -a ca.pem -h "$work/home" -C "$work/home/client.pem" "$work/staging" "https://127.0.0.1:$https/club/small"
	is "another user's certificate" "$outcome" tls
fi
finish
