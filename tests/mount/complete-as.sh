# What complete makes belongs to its caller, as if he had made it there himself.
. "$(dirname "$0")/lib.sh"
need_root
need setfacl
nginx_start
noise f 100000
start -o allow_other
a() { as "$USER_A" "$@"; }
b() { as "$USER_B" "$@"; }
gid=$(id -g "$USER_B")
# ready NAME DESTINATION: a transferred job of A
ready() {
	a sh -ec "mkdir '$M/$1'; echo '$2' > '$M/$1/destination'; echo '$URL/f' > '$M/$1/add'
		echo 1 > '$M/$1/resume'; [ \$(cat '$M/$1/wait') = transferred ]"
}
owner() { stat -c '%U %G %a' "$D/$1"; }
group_a=$(id -gn "$USER_A") group_b=$(id -gn "$USER_B")
chmod 755 "$D"
mkdir "$D/open" "$D/setgid" "$D/acl" "$D/sticky" "$D/closed" "$D/group"
chmod 777 "$D/open" "$D/acl"
chgrp "$gid" "$D/setgid" "$D/group"
chmod 2777 "$D/setgid"
chmod 1777 "$D/sticky"
chmod 770 "$D/group"

ready own open
a sh -c "umask 077; echo 1 > '$M/own/complete'"
is "$(owner open/f)" "$USER_A $group_a 600" "owner and umask"
ready set setgid/deep
a sh -c "umask 002; echo 1 > '$M/set/complete'"
is "$(owner setgid/deep)" "$USER_A $group_b 2775" "a made directory in a setgid one"
is "$(owner setgid/deep/f)" "$USER_A $group_b 664" "a file in it"
if setfacl -d -m "u:$USER_B:rw,g::r,o::-" "$D/acl" 2>/dev/null; then
	ready acl acl
	a sh -c "umask 077; echo 1 > '$M/acl/complete'"
	: >"$D/acl/reference"
	is "$(getfacl -cp "$D/acl/f" | grep -c "user:$USER_B:rw")" 1 "the default ACL"
	is "$(stat -c %a "$D/acl/f")" 660 "mode under a default ACL"
fi
# root completes: root's files
ready root open
rm "$D/open/f"
echo 1 >"$M/root/complete"
is "$(owner open/f)" "root root 644" "completed by root"
# another one, let in by the group's bits: his own files
rm "$D/open/f"
ready shared open
chgrp "$gid" "$M/shared"
a chmod 770 "$M/shared"
b sh -c "umask 022; echo 1 > '$M/shared/complete'"
is "$(owner open/f)" "$USER_B $group_b 644" "completed by another"
is "$(value "$M/.xferfs/ended/shared" ended_by)" "$(id -u "$USER_B")" ended_by

# nowhere he could not write himself
for where in closed group .; do
	ready no "$where"
	a sh -c "echo 1 > '$M/no/complete'" 2>/dev/null && fail "placed a file in $where"
	is "$(cat "$M/no/state")" transferred "the job"
	has "$(cat "$M/no/error")" f "the error names the file"
	missing "$D/$where/f"
	rmdir "$M/no"
done
# a sticky directory: another's file stays
: >"$D/sticky/f"
ready sticky sticky
a sh -c "echo 1 > '$M/sticky/complete'" 2>/dev/null && fail "replaced another's file in a sticky directory"
is "$(owner sticky/f)" "root root 644" "the other's file"
[ ! -s "$D/sticky/f" ] || fail "the other's file was written"
# supplementary groups count
rmdir "$M/sticky"
ready groups group
setpriv --reuid="$USER_A" --regid="$(id -g "$USER_A")" --groups="$gid" sh -c "echo 1 > '$M/groups/complete'"
is "$(stat -c %U "$D/group/f")" "$USER_A" "by a supplementary group"
stop
is "$(find "$D" -path "$D/.xferfs" -prune -o -name '.*' -type f -print)" "" "temporary files"
