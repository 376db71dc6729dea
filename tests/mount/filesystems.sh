# A destination below which another filesystem is mounted, and one without hard links.
. "$(dirname "$0")/lib.sh"
need_root
need mkfs.ext4 mkfs.vfat losetup
nginx_start
noise f 3000000
leave() {
	status=$?
	cd /
	[ -z "$DAEMON" ] || { kill -TERM "$DAEMON"; wait "$DAEMON" || :; DAEMON=''; }
	umount "$T/dest/ext4" "$T/dest/tmp" "$T/dest/vfat" "$T/fat" 2>/dev/null || :
	(exit $status)
	finish
}
trap leave EXIT
mkdir "$D/ext4" "$D/vfat" "$D/tmp" "$T/fat"
truncate -s 40M "$T/ext4.img" "$T/vfat.img" "$T/fat.img"
mkfs.ext4 -q "$T/ext4.img"
mkfs.vfat "$T/vfat.img" >/dev/null
mkfs.vfat "$T/fat.img" >/dev/null
mount -o loop "$T/ext4.img" "$D/ext4" 2>/dev/null || skip "no loop devices"
# vfat has no hard links; where the kernel has no vfat, its part is left out
filesystems="ext4 tmp"
mount -o loop "$T/vfat.img" "$D/vfat" 2>/dev/null && filesystems="$filesystems vfat"
mount -t tmpfs none "$D/tmp"
start
for fs in $filesystems; do
	job $fs "$URL/f $fs/deep/f"
	is "$(cat "$M/$fs/wait")" transferred "$fs"
	echo 1 >"$M/$fs/complete"
	cmp "$W/f" "$D/$fs/deep/f"
	is "$(ls -A "$D/$fs/deep")" f "what is there on $fs"
done
# full: nothing is lost, and it goes on when there is room
head -c 100M /dev/zero >"$D/ext4/fill" 2>/dev/null || :
job full "$URL/f ext4/full"
is "$(cat "$M/full/wait")" transferred full
is "$(errno "$M/full/complete" 1)" ENOSPC "complete on a full filesystem"
missing "$D/ext4/full"
is "$(cat "$M/full/state")" transferred "the job"
has "$(cat "$M/full/error")" space "the error"
rm "$D/ext4/fill"
echo 1 >"$M/full/complete"
cmp "$W/f" "$D/ext4/full"
is "$(find "$D/ext4" -name '.*' -type f)" "" "temporary files"
# read-only
mount -o remount,ro "$D/ext4"
job ro "$URL/f ext4/ro"
is "$(cat "$M/ro/wait")" transferred ro
is "$(errno "$M/ro/complete" 1)" EROFS "complete on a read-only filesystem"
rmdir "$M/ro"
stop
umount "$D/ext4" "$D/tmp"
case $filesystems in *vfat*) umount "$D/vfat" ;; *) exit 0 ;; esac

# the whole tree without hard links
mount -o loop "$T/fat.img" "$T/fat"
D=$T/fat/dest
mkdir "$D"
start
job j "$URL/f"
is "$(cat "$M/j/wait")" transferred "on vfat"
echo 1 >"$M/j/complete"
cmp "$W/f" "$D/f"
# disk full while downloading: a reason, and it goes on
head -c 100M /dev/zero >"$T/fat/fill" 2>/dev/null || :
mkdir "$M/k"
exec 4<"$M/k/log"
echo "$URL/f k" >"$M/k/add" 2>/dev/null || :
if [ "$(ls "$M/k/files")" = k ]; then
	echo 1 >"$M/k/resume"
	while read -r line <&4; do
		case $line in *transient_error*) break ;; esac
	done
	is "$(value "$M/k/error" code)" disk_full "the reason"
fi
exec 4<&-
rm "$T/fat/fill"
# what could not be saved is saved again each second; until then commands are refused
[ "$(ls "$M/k/files")" = k ] || until echo "$URL/f k" >"$M/k/add"; do :; done 2>/dev/null
until echo 1 >"$M/k/resume"; do :; done 2>/dev/null
is "$(cat "$M/k/wait")" transferred "after there was room"
ALLOWED='<[34]>.*(disk|space)'
stop
umount "$T/fat"
