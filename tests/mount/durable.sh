# Each command that was acknowledged survives kill -9.
. "$(dirname "$0")/lib.sh"
origin_start
noise f 400000
start
cd "$T"
again() {
	crash
	start
}
mkdir "$M/j"
again
is "$(cat "$M/j/state")" suspended mkdir
id=$(value "$M/j/info" id)
echo "$ORIGIN/f?hold=200000 deep/er/f" >"$M/j/add"
again
is "$(cat "$M/j/files/deep/er/f" 2>&1 | grep -c 'No such file')" 0 add
ln -s "$ORIGIN/f" "$M/j/sources/linked"
again
is "$(readlink "$M/j/sources/linked")" "$ORIGIN/f" "ln -s"
rm "$M/j/sources/linked"
again
missing "$M/j/sources/linked"
set -- priority low destination some/where description 'words; and "signs" %41' on_transferred hold \
	on_conflict number commit files retry_delay 30 no_progress_timeout 60 max_download_time max \
	rate_limit 1000000 connections 1 headers 'X-Test: 1' metered allow
while [ $# -gt 0 ]; do
	echo "$2" >"$M/j/$1"
	again
	is "$(cat "$M/j/$1")" "$2" "$1"
	shift 2
done
echo normal >"$M/j/priority"
mv "$M/j" "$M/k"
again
missing "$M/j"
is "$(value "$M/k/info" id)" "$id" "the id after mv"
chmod 751 "$M/k"
[ "$(id -u)" != 0 ] || chgrp games "$M/k"
again
is "$(stat -c %a "$M/k")" 751 chmod
[ "$(id -u)" != 0 ] || is "$(stat -c %G "$M/k")" games chgrp
echo 1 >"$M/k/resume"
head -c 200000 "$M/k/files/deep/er/f" >/dev/null
crash
release
start
case $(cat "$M/k/state") in
queued | connecting | transferring | transient_error | transferred) ;;
*) fail "resume: $(cat "$M/k/state")" ;;
esac
echo 1 >"$M/k/suspend"
state=$(cat "$M/k/state")
again
is "$(cat "$M/k/state")" "$state" suspend
rm "$M/k/files/deep/er/f"
echo "$ORIGIN/f" >"$M/k/add"
echo max >"$M/k/rate_limit"
echo 1 >"$M/k/resume"
is "$(cat "$M/k/wait")" transferred "wait"
again
is "$(cat "$M/k/state")" transferred transferred
echo 1 >"$M/k/complete"
again
missing "$M/k"
cmp "$W/f" "$D/some/where/f"
is "$(value "$M/.xferfs/ended/k" result)" all "the outcome"
mkdir "$M/l"
echo "$ORIGIN/f" >"$M/l/add"
echo 1 >"$M/l/cancel"
again
missing "$M/l"
is "$(value "$M/.xferfs/ended/l" state)" cancelled "cancel"
# serials are never used twice
mkdir "$M/m"
[ "$(value "$M/m/info" id)" != "$id" ] || fail "an id was used twice"
stop
