# What complete writes for a user is bound by his limits: he does not get the blocks reserved for root.
. "$(dirname "$0")/lib.sh"
need_root
need mkfs.ext4 losetup
[ $(($(sed -n 's/^CapEff:[[:space:]]*/0x/p' /proc/self/status) >> 24 & 1)) = 1 ] || skip "root has no CAP_SYS_RESOURCE here"
nginx_start
noise f 6000000
leave() {
	status=$?
	cd /
	umount "$D/small" 2>/dev/null || :
	(exit $status)
	finish
}
mkdir "$D/small"
truncate -s 24M "$T/small.img"
mkfs.ext4 -q -m 50 -O ^has_journal "$T/small.img"
mount -o loop "$T/small.img" "$D/small" 2>/dev/null || skip "no loop devices"
trap leave EXIT
mkdir -m 777 "$D/small/his"
# Until a user has no 6 MB any more, while root has.
as "$USER_A" sh -c "head -c 100M /dev/zero >'$D/small/his/fill'" 2>/dev/null && fail "the filesystem is too large"
[ "$(stat -fc %f "$D/small")" -gt $((7000000 / $(stat -fc %S "$D/small"))) ] || fail "nothing is reserved"
start -o allow_other
as "$USER_A" sh -ec "mkdir '$M/j'; echo small/his >'$M/j/destination'; echo '$URL/f' >'$M/j/add'; echo 1 >'$M/j/resume'"
is "$(cat "$M/j/wait")" transferred "the job"
as "$USER_A" sh -c "echo 1 >'$M/j/complete'" 2>/dev/null && fail "written to what is reserved"
has "$(value "$M/j/error" message)" space "the reason"
missing "$D/small/his/f"
echo 1 >"$M/j/complete" || fail "root has room"
stop
umount "$D/small"
