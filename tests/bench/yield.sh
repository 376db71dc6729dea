#!/bin/sh
# Does a background file give way? A line of 20 Mbit/s with a queue of 300 ms, in network namespaces;
# curl comes beside it after 5 s, for 20 s. Prints what each gets then, and afterwards.
#
#	sh tests/bench/yield.sh BUILD [share]
set -eu
build=$(cd "${1:?the build directory}" && pwd)
yields=-y
[ "${2:-}" != share ] || yields=
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
ns=xy$$
pids=
cleanup()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null || :
	done
	for side in s r c; do
		ip netns del $ns$side 2>/dev/null || :
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for side in s r c; do
	ip netns add $ns$side
	ip -n $ns$side link set lo up
done
# server 10.77.1.1 -- 10.77.1.2 router 10.77.2.2 -- 10.77.2.1 client; the queue is the router's
for side in s c; do
	net=1
	[ $side = s ] || net=2
	ip link add wire netns $ns$side type veth peer name down$side netns ${ns}r
	ip -n $ns$side addr add 10.77.$net.1/24 dev wire
	ip -n ${ns}r addr add 10.77.$net.2/24 dev down$side
	ip -n $ns$side link set wire up
	ip -n ${ns}r link set down$side up
	ip -n $ns$side route add default via 10.77.$net.2
done
# bbr, where it is the preset, makes no queue that could be seen
ip netns exec ${ns}s sysctl -qw net.ipv4.tcp_congestion_control=reno
ip netns exec ${ns}r sysctl -qw net.ipv4.ip_forward=1
ip netns exec ${ns}r tc qdisc add dev downc root tbf rate 20mbit burst 16k limit 750k

truncate -s 4G "$work/big"
chmod 755 "$work"
cat >"$work/nginx.conf" <<END
daemon off; worker_processes 1; pid $work/pid; error_log $work/error.log;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path $work/t; proxy_temp_path $work/t; fastcgi_temp_path $work/t;
	uwsgi_temp_path $work/t; scgi_temp_path $work/t;
	server { listen 10.77.1.1:8080; root $work; }
}
END
ip netns exec ${ns}s nginx -e "$work/error.log" -c "$work/nginx.conf" &
pids="$pids $!"
sleep 1

mkdir "$work/staging"
ip netns exec ${ns}c "$build/tests/net/net_get" $yields "$work/staging" http://10.77.1.1:8080/big >"$work/out" 2>&1 &
pids="$pids $!"
sleep 5
ip netns exec ${ns}c curl -s --max-time 20 -o "$work/curl" http://10.77.1.1:8080/big &
pids="$pids $!"

# measure SECONDS WHAT: both rates; the line's is what came to the client
arrived()
{
	ip netns exec ${ns}c awk '/wire:/ { print $2 }' /proc/net/dev
}
measure()
{
	line=$(arrived)
	other=$(stat -c %s "$work/curl")
	sleep "$1"
	line=$((($(arrived) - line) / $1 / 1000))
	other=$((($(stat -c %s "$work/curl") - other) / $1 / 1000))
	echo "$2: line $line kB/s, curl $other, xferfs $((line - other))"
}

sleep 5
measure 9 "beside curl"
ip netns exec ${ns}c ss -tinH --tos | grep -oE 'tos:[^ ]*|rcv_rtt:[^ ]*|minrtt:[^ ]*|rcv_ssthresh:[^ ]*' | paste -sd' '
sleep 14
measure 5 "alone again"
