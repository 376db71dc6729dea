# Two ordinary users on root's mount: what each sees and may do.
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 100000
chmod 1777 "$D"
start -o allow_other,limits.jobs_per_user=3,limits.files_per_job=5
a() { as "$USER_A" "$@"; }
b() { as "$USER_B" "$@"; }
# denied COMMAND...: and it is not because of a missing file
denied() {
	"$@" 2>"$T/err" && fail "allowed: $*"
	grep -Eq 'denied|permitted|Read-only|No such file' "$T/err" || fail "$*: $(cat "$T/err")"
}
a mkdir "$M/mine"
is "$(stat -c '%U %a' "$M/mine")" "$USER_A 700" "the owner"
a sh -c "echo 'Authorization: x' > '$M/mine/headers'; echo user:secret > '$M/mine/credentials'; echo true > '$M/mine/notify'"
a sh -c "echo '$URL/f' > '$M/mine/add'"

# private
is "$(b ls "$M")" "" "what the other sees"
is "$(b awk 'NR > 1' "$M/.xferfs/index")" "" "the other's index"
denied b ls "$M/mine"
denied b cat "$M/mine/state"
denied b sh -c "echo 1 > '$M/mine/resume'"
denied b rmdir "$M/mine"
denied b mv "$M/mine" "$M/stolen"
denied b chmod 777 "$M/mine"
denied b chown "$USER_B" "$M/mine"
is "$(b sh -c "mkdir '$M/mine' 2>&1 || true" | grep -c exists)" 1 "a name that is taken"
is "$(ls "$M")" mine "what root sees"
denied a chown "$USER_B" "$M/mine"

# by the group's bits
gid=$(id -g "$USER_B")
chgrp "$gid" "$M/mine"
a chmod 750 "$M/mine"
is "$(b cat "$M/mine/state")" suspended "a group member looks"
is "$(b ls "$M")" mine "and lists"
denied b sh -c "echo 1 > '$M/mine/resume'"
denied b cat "$M/mine/headers"
a chmod 770 "$M/mine"
b sh -c "echo 1 > '$M/mine/resume'"
is "$(b cat "$M/mine/wait")" transferred "a group member commands"
denied b chmod 777 "$M/mine"
denied b cat "$M/mine/credentials"
denied a cat "$M/mine/credentials"

# an open descriptor carries its opener
is "$(a sh -c "exec 4>'$M/mine/priority'; exec setpriv --reuid=$USER_A sh -c 'echo low >&4'"; cat "$M/mine/priority")" low "own"
a chmod 700 "$M/mine"

# TakeOwnership drops secrets
chown "$USER_B" "$M/mine"
is "$(stat -c %U "$M/mine")" "$USER_B" "the new owner"
is "$(b cat "$M/mine/headers")" "" "headers after chown"
is "$(b cat "$M/mine/notify")" "" "notify after chown"
denied a cat "$M/mine/state"
b rmdir "$M/mine"

# limits
for n in 1 2 3; do a mkdir "$M/j$n"; done
a mkdir "$M/j4" 2>"$T/err" && fail "a fourth job"
grep -q quota "$T/err" || fail "$(cat "$T/err")"
b mkdir "$M/other"
for n in 4 5 6 7; do mkdir "$M/j$n"; done
seq -f "$URL/f %.0f" 6 >"$T/list"
a sh -c "cat '$T/list' > '$M/j1/add'" 2>"$T/err" && fail "a sixth file"
has "$(a cat "$M/j1/refused")" files_per_job "refused tells the limit"
is "$(a ls "$M/j1/files")" "" "files of a refused list"
# not his to say
denied a sh -c "echo offline > '$M/.xferfs/network'"
stop
