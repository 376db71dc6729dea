# The notify command, and on_transferred = complete.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 100000
mkfifo "$T/told"
cat >"$T/tell" <<'TELL'
#!/bin/sh
# fails the first time: it is run again
[ -e "$1.again" ] || { : >"$1.again"; exit 1; }
{
	echo "$XFERFS_JOB $XFERFS_STATE $XFERFS_MOUNTPOINT $2 $(id -un) $#"
	ls /proc/self/fd | wc -l
	env | grep -c SECRET
} >"$1"
exit 0
TELL
chmod 755 "$T/tell"
chmod 777 "$T"
export SECRET=1
start
ALLOWED='<4>.*notify command ended with 1; again'
mkdir "$M/j"
echo 5 >"$M/j/retry_delay"
echo "$T/tell $T/told 'two words'" >"$M/j/notify"
echo "$URL/f" >"$M/j/add"
exec 4<"$M/j/log"
echo 1 >"$M/j/resume"
{
	read -r line
	read -r descriptors
	read -r secrets
} <"$T/told"
is "$line" "j transferred $M two words $(id -un) 2" "what the command is told"
[ "$descriptors" -le 5 ] || fail "the command inherits $descriptors descriptors"
is "$secrets" 0 "the daemon's environment"
for status in 1 0; do
	while read -r line <&4; do
		case $line in *' notify '*) break ;; esac
	done
	has "$line" "notify status=$status" "the log tells how it ended"
done
exec 4<&-

mkdir "$M/k"
echo complete >"$M/k/on_transferred"
echo "$URL/f k" >"$M/k/add"
exec 4<"$M/k/log"
echo 1 >"$M/k/resume"
cat <&4 >"$T/log" 2>/dev/null || : # the job's stream ends with the job
exec 4<&-
missing "$M/k"
cmp "$W/f" "$D/k"
stop
