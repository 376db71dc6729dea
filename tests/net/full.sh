#!/bin/sh
# A staging area that is full: a small tmpfs of its own. Nothing that was written is lost.
. "$(dirname "$0")/real.sh"
need nginx
mkdir "$work/www" "$work/staging"
[ "$(id -u)" = 0 ] && mount -t tmpfs -o size=4m xferfs-test "$work/staging" 2>/dev/null ||
	{ echo "skipped: cannot mount"; exit 77; }
unmount_first()
{
	umount "$work/staging"
	cleanup
}
trap unmount_first EXIT

head -c 9000000 /dev/urandom >"$work/www/big"
head -c 20000 /dev/urandom >"$work/www/small"
http=$(any_port)
serve_nginx "$http" <<END || exit 1
access_log off; chunked_transfer_encoding off;
server { listen 127.0.0.1:$http; root $work/www; }
END
url=http://127.0.0.1:$http

# The size is known: it is refused before a byte comes.
get "$work/staging" "$url/big"
is "too large from the start" "$outcome" disk_full
fresh
get "$work/staging" "$url/small"
is "what fits" "$outcome" "done"
same "what fits: bytes" "$work/www/small"
seen=$validator

# In the middle: another takes the space. What is here is told, is right, and is gone on from.
fresh
mount -o remount,size=16m "$work/staging"
get "$work/staging" "$url/big"
is "there is space" "$outcome" "done"
seen=$validator
truncate -s 1000000 "$blob"
mount -o remount,size=2m "$work/staging"
get -n 1 -r 1000000 -s 9000000 -v "$seen" "$work/staging" "$url/big"
is "full while it runs" "$outcome" disk_full
[ "$have" -ge 1000000 ] || { echo "FAIL: it has $have bytes"; failed=1; }
had=$have
cmp -n "$had" "$blob" "$work/www/big" || { echo "FAIL: what is here is wrong"; failed=1; }
mount -o remount,size=16m "$work/staging"
get -n 1 -r "$had" -s 9000000 -v "$seen" "$work/staging" "$url/big"
is "goes on" "$outcome $moved" "done $((9000000 - had))"
same "goes on: bytes" "$work/www/big"
finish
