# The same session as an ordinary user, on his own mount, which nobody else can enter.
. "$(dirname "$0")/lib.sh"
users_may_mount
nginx_start
noise d.iso 3000000
chown "$USER_A:" "$D" "$M"
WRAP=$(become "$USER_A")
start
as "$USER_A" sh -ec "
	umask 027
	cd '$M'
	mkdir iso
	echo '$URL/d.iso sub/d.iso' > iso/add
	echo 1 > iso/resume
	[ \"\$(cat iso/wait)\" = transferred ]
	echo 1 > iso/complete"
cmp "$W/d.iso" "$D/sub/d.iso"
is "$(stat -c '%U %a' "$D/sub/d.iso")" "$USER_A 640" "the file's owner and mode"
is "$(stat -c '%U %a' "$D/sub")" "$USER_A 750" "the directory's owner and mode"
is "$(stat -c '%a' "$D/.xferfs")" 700 "the staging area's mode"
ls "$M" >/dev/null 2>&1 && fail "root can enter a user's mount without allow_other"
unmount as "$USER_A" fusermount3 -u
ended
