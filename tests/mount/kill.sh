# kill -9 in the middle of a large download: it goes on from the bytes that had arrived.
. "$(dirname "$0")/lib.sh"
size=$((XFERFS_BIG_MIB << 20))
origin_start
nginx_start
noise big "$size"
start
mkdir "$M/j"
echo 1 >"$M/j/connections"
half=$((size / 2))
echo "$ORIGIN/big?hold=$half" >"$M/j/add"
echo 1 >"$M/j/resume"
# what a reader has seen has arrived; the server has nothing more under way
head -c "$half" "$M/j/files/big" | cmp -n "$half" - "$W/big"
"$python" "$lib/reaches.py" "$M/j" events bytes "$half"
crash
release
missing "$D/big"
start
is "$(cat "$M/j/wait")" transferred "after the crash"
echo 1 >"$M/j/complete"
cmp "$W/big" "$D/big"
awk -v had="$half" -v size="$size" '
	/range="bytes=/ { match($0, /bytes=[0-9]+/); first = substr($0, RSTART + 6, RLENGTH - 6)
		if (first + 0 < 1) bad = 1; if (min == "" || first + 0 < min) min = first + 0; resumed = 1 }
	/range=""/ { whole++ }
	END {
		if (!resumed) { print "not resumed"; exit 1 }
		if (whole > 1) { print "fetched from the start again"; exit 1 }
		if (min < had) { print "fetched again from " min ", though " had " had arrived"; exit 1 }
	}' "$T/origin.log" || { cat "$T/origin.log"; fail "bytes were fetched again"; }

# the same against nginx, over as many connections as the daemon likes
mkdir "$M/k"
echo $((size / 8)) >"$M/k/rate_limit"
echo "$URL/big k.bin" >"$M/k/add"
echo 1 >"$M/k/resume"
"$python" "$lib/reaches.py" "$M/k" events bytes $((size / 8))
saved=$(value "$M/k/events" bytes)
crash
start -o transfer.user_agent=second
echo max >"$M/k/rate_limit"
is "$(cat "$M/k/wait")" transferred "k after the crash"
echo 1 >"$M/k/complete"
cmp "$W/big" "$D/k.bin"
stop
# a request is noted when it has ended: all have when nginx has
kill -QUIT "$NGINX"
wait "$NGINX" || :
OTHERS=${OTHERS% "$NGINX"}
# what was on its way when a connection was closed counts as sent
slack=$((64 << 20))
sent=$(sed -n 's/.*sent=\([0-9]*\) agent=second$/\1/p' "$T/access" | awk '{ s += $1 } END { print s }')
[ "$sent" -le $((size - saved + slack)) ] ||
	{ cat "$T/access"; fail "nginx sent $sent bytes more of $size, though $saved were here"; }
