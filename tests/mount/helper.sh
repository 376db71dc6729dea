# mount -t xferfs and mount -t fuse.xferfs, with what mount(8) and fstab pass.
. "$(dirname "$0")/lib.sh"
need_root
need unshare
# In a mount namespace of its own, so that the machine gets no helper.
if [ -z "${XFERFS_INSIDE:-}" ]; then
	rm -rf "$T"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	trap - EXIT
	XFERFS_INSIDE=1 exec unshare -m sh "$0"
fi
mkdir "$T/upper" "$T/work" "$T/o"
mount -t tmpfs none "$T/o"
mkdir "$T/o/upper" "$T/o/work"
mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$T/o/upper,workdir=$T/o/work" /usr/sbin 2>/dev/null ||
	{ umount "$T/o"; skip "no overlay file system"; }
ln -s "$XFERFS" /usr/sbin/xferfs
cp "$lib/../../mount-helpers/mount.xferfs" /usr/sbin/ 2>/dev/null || ln -s "$XFERFS" /usr/sbin/mount.xferfs
lock() {
	"$python" - "$D/.xferfs/lock" <<-'PY'
	import fcntl, sys
	fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX)
	PY
}
try() {
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} "$@" || fail "$*"
	mountpoint -q "$M" || fail "not mounted: $*"
	mkdir "$M/j"
	is "$(cat "$M/j/state")" suspended "$*"
	rmdir "$M/j"
	options=$(findmnt -no OPTIONS "$M")
	unmount
	lock
}
try mount -t xferfs "$D" "$M"
try mount -t xferfs -o allow_other,nofail,_netdev,noatime,x-systemd.automount,limits.jobs=5 "$D" "$M"
has "$options" allow_other "mount options"
try mount -t fuse.xferfs -o nosuid,nodev,noexec "$D" "$M"
has "$options" noexec "mount options"
has "$options" nosuid "mount options"
try mount -t fuse.xferfs -v -n -o rw,user,auto,x-foo=bar "$D" "$M"
try /usr/sbin/mount.xferfs "$D" "$M" -s -n -v -o rw,users,noauto
echo "$D $M xferfs noauto,nofail,allow_other,queue.history_days=7 0 0" >"$T/fstab"
try mount -T "$T/fstab" "$M"
echo "$D $M fuse.xferfs noauto,nofail 0 0" >"$T/fstab"
try mount -T "$T/fstab" "$M"
mount -f -t xferfs "$D" "$M" || fail "mount -f"
mountpoint -q "$M" && fail "mount -f mounts"
mount -t xferfs -o remount,ro "$D" "$M" 2>"$T/remount" && fail "remount"
has "$(cat "$T/remount")" "cannot be remounted" "remount says why"
umount /usr/sbin
umount "$T/o"
