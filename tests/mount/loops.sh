# The whole tree on each filesystem that servers use: placing by rename and as another user, trees in
# one step, numbers, and a full disk while downloading. And below a destination of another kind.
. "$(dirname "$0")/lib.sh"
need_root
need mkfs.ext4 mkfs.xfs mkfs.btrfs losetup setpriv
nginx_start
noise f 3000000
noise g 100000
mounted=''
leave() {
	status=$?
	cd /
	[ -z "$DAEMON" ] || { kill -TERM "$DAEMON"; wait "$DAEMON" || :; DAEMON=''; }
	# shellcheck disable=SC2086
	[ -z "$mounted" ] || umount -l $mounted 2>/dev/null || :
	(exit $status)
	finish
}
trap leave EXIT

# filesystem TYPE: a new one of 400 MiB, mounted on $T/TYPE
filesystem() {
	mkdir "$T/$1"
	truncate -s 400M "$T/$1.img"
	"mkfs.$1" -q "$T/$1.img"
	mount -o loop "$T/$1.img" "$T/$1" 2>>"$T/stderr.mount" || return 1
	mounted="$mounted $T/$1"
	chmod 1777 "$T/$1"
}

# transferred NAME LINE...: a job that is ready to be completed
transferred() {
	job "$@"
	is "$(cat "$M/$1/wait")" transferred "$1"
}

rename_and_link() {
	transferred plain "$URL/f sub/dir/f"
	echo 1 >"$M/plain/complete"
	cmp "$W/f" "$D/sub/dir/f"
	# as an ordinary user: the blob is linked, and is his
	transferred his "$URL/f his"
	chown "$USER_A" "$M/his"
	as "$USER_A" sh -c "echo 1 >'$M/his/complete'"
	cmp "$W/f" "$D/his"
	is "$(stat -c %U "$D/his")" "$USER_A" "whose file it is"
}

numbers() {
	transferred number "$URL/g his"
	echo number >"$M/number/on_conflict"
	echo 1 >"$M/number/complete"
	cmp "$W/g" "$D/his.1"
	cmp "$W/f" "$D/his"
}

trees() {
	for source in f g; do
		transferred "tree$source" "$URL/$source a/one" "$URL/$source two"
		echo site >"$M/tree$source/destination"
		echo tree >"$M/tree$source/commit"
		echo 1 >"$M/tree$source/complete"
		cmp "$W/$source" "$D/site/a/one"
		cmp "$W/$source" "$D/site/two"
	done
}

full() {
	transferred whole "$URL/f whole"
	mkdir "$M/full"
	echo "$URL/f full" >"$M/full/add"
	head -c 500M /dev/zero >"$D/../fill" 2>/dev/null || :
	exec 4<"$M/full/log"
	echo 1 >"$M/full/resume" 2>/dev/null || :
	case $(cat "$M/full/state") in
	suspended) ;; # not even the command could be saved, and it said so
	*)
		while read -r line <&4; do
			case $line in *transient_error*) break ;; esac
		done
		is "$(value "$M/full/error" code)" disk_full "the reason"
		;;
	esac
	exec 4<&-
	is "$(cat "$M/whole/state")" transferred "what was whole"
	rm "$D/../fill"
	sync -f "$D"
	until echo 1 >"$M/full/resume"; do :; done 2>/dev/null
	is "$(cat "$M/full/wait")" transferred "when there was room"
	for name in whole full; do
		echo 1 >"$M/$name/complete"
		cmp "$W/f" "$D/$name"
	done
}

top=$D
ALLOWED='<[34]>.*(disk|space|saved)'
for fs in ext4 xfs btrfs; do
	filesystem $fs || { say "no $fs here"; continue; }
	D=$T/$fs/dest
	mkdir -m 1777 "$D"
	start -o allow_other
	rename_and_link
	numbers
	trees
	full
	stop
	is "$(find "$D" -path "$D/.xferfs" -prune -o -name '.*' -print)" "" "temporary files on $fs"
	is "$(find "$D/.xferfs/blobs" -type f)" "" "blobs on $fs"
done
[ -n "$mounted" ] || skip "no loop devices"

# each below a destination on another filesystem: the files are copied there
D=$top
start
for path in $mounted; do
	fs=${path##*/}
	mkdir "$D/$fs"
	mount --bind "$path" "$D/$fs"
	mounted="$mounted $D/$fs"
	transferred "to$fs" "$URL/f $fs/deep/f"
	echo 1 >"$M/to$fs/complete"
	cmp "$W/f" "$D/$fs/deep/f"
	is "$(ls -A "$D/$fs/deep")" f "what is there on $fs"
done
stop
