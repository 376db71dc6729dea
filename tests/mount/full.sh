# On a full disk the user can still do what makes room, and a file that cannot fit takes nothing from others.
. "$(dirname "$0")/lib.sh"
need_root
need mkfs.ext4 losetup
nginx_start
truncate -s 1G "$W/huge"
noise small 100000
noise part 20000000
leave() {
	status=$?
	cd /
	[ -z "$DAEMON" ] || { kill -TERM "$DAEMON"; wait "$DAEMON" || :; DAEMON=''; }
	umount -l "$T/disk" 2>/dev/null || :
	(exit $status)
	finish
}
mkdir "$T/disk"
truncate -s 60M "$T/disk.img"
mkfs.ext4 -q -m 0 "$T/disk.img"
mount -o loop "$T/disk.img" "$T/disk" 2>>"$T/stderr.mount" || skip "no loop devices"
trap leave EXIT
D=$T/disk/dest
mkdir "$D"
start
cd "$M"

# --- a file that cannot fit
job j "$URL/huge" "$URL/small"
"$python" "$lib/reaches.py" "$M/j" error code disk_full
is "$(head -c 100000 j/files/small | sha256sum | cut -d' ' -f1)" "$(sum "$W/small")" "the file that fits"
mkdir other
rm j/files/huge
is "$(cat j/wait)" transferred "without what does not fit"
echo 1 >j/complete
cmp "$W/small" "$D/small"

# --- a disk that others have filled
job k "$URL/part"
is "$(cat k/wait)" transferred k
cat /dev/zero >"$T/disk/fill" 2>/dev/null || :
i=0
while [ $i -lt 1200 ]; do
	echo "$i" >other/description || fail "command $i on a full disk: $(cat other/refused)"
	i=$((i + 1))
done
is "$(cat other/description)" 1199 "the last command"
rmdir k
# the room that k had is there again
head -c 10000000 /dev/zero >"$T/disk/more" || fail "cancel made no room"
rm "$T/disk/fill" "$T/disk/more"
rmdir other
cd /
stop
