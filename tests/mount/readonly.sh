# A destination directory made read-only between transferred and complete, by an ordinary user.
. "$(dirname "$0")/lib.sh"
users_may_mount
nginx_start
for n in 1 2 3; do noise "f$n" 200000; done
chown "$USER_A:" "$D" "$M"
as "$USER_A" mkdir "$D/locked"
WRAP=$(become "$USER_A")
start
as "$USER_A" sh -ec "
	cd '$M'
	mkdir j
	printf '%s\n' '$URL/f1' '$URL/f2 locked/f2' '$URL/f3' > j/add
	echo 1 > j/resume
	[ \$(cat j/wait) = transferred ]"
as "$USER_A" chmod 555 "$D/locked"
cat >"$T/complete.py" <<'PY'
import errno, os, sys
try:
    os.write(os.open(sys.argv[1], os.O_WRONLY), b"1\n")
    print(0)
except OSError as e:
    print(errno.errorcode[e.errno])
PY
is "$(as "$USER_A" "$python" "$T/complete.py" "$M/j/complete")" EACCES "complete into a read-only directory"
cmp "$W/f1" "$D/f1"
cmp "$W/f3" "$D/f3"
missing "$D/locked/f2"
u() { as "$USER_A" "$@"; }
is "$(u cat "$M/j/state")" transferred "the job's state"
error=$(u cat "$M/j/error")
has "$error" locked/f2 "the error names the file"
has "$error" ermission "the error names the reason"
has "$(u cat "$M/j/refused")" ermission "refused"
is "$(u grep -c completed "$M/j/index")" 2 "placed files in index"
u chmod 755 "$D/locked"
is "$(u "$python" "$T/complete.py" "$M/j/complete")" 0 "complete again"
cmp "$W/f2" "$D/locked/f2"
is "$(u ls "$M")" "" "the queue"
is "$(u awk '$1 == "result" { print $2 }' "$M/.xferfs/ended/j")" all result
unmount as "$USER_A" fusermount3 -u
ended
