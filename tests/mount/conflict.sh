# What complete does with a file that is there, and the directory that appears in one step.
. "$(dirname "$0")/lib.sh"
nginx_start
noise a.tar.gz 50000
noise b 60000
start
cd "$M"
# a job of both files, transferred
both() {
	mkdir "$1"
	printf '%s\n' "$URL/a.tar.gz" "$URL/b sub/b" >"$1/add"
	echo 1 >"$1/resume"
	is "$(cat "$1/wait")" transferred "$1"
}
old() { mkdir -p "$D/sub"; echo old >"$D/a.tar.gz"; echo old >"$D/sub/b"; }
old
both j
echo 1 >j/complete
cmp "$W/a.tar.gz" "$D/a.tar.gz"
cmp "$W/b" "$D/sub/b"

old
both j
echo keep >j/on_conflict
is "$(errno "$M/j/complete" 1)" EEXIST keep
is "$(cat "$D/a.tar.gz" "$D/sub/b" | xargs)" "old old" "what was there"
has "$(cat j/error)" a.tar.gz "error"
rm "$D/a.tar.gz"
is "$(errno "$M/j/complete" 1)" EEXIST keep
cmp "$W/a.tar.gz" "$D/a.tar.gz"
rm "$D/sub/b"
echo 1 >j/complete
cmp "$W/b" "$D/sub/b"

old
both j
echo number >j/on_conflict
echo all >j/complete
is "$(cat "$D/a.tar.gz" "$D/sub/b" | xargs)" "old old" "what was there"
cmp "$W/a.tar.gz" "$D/a.tar.1.gz"
cmp "$W/b" "$D/sub/b.1"

# tree: a new directory, then in the place of the old one
both t
echo set >t/destination
echo tree >t/commit
echo 1 >t/complete
cmp "$W/b" "$D/set/sub/b"
echo stale >"$D/set/stale"
both t
echo set >t/destination
echo tree >t/commit
echo 1 >t/complete
cmp "$W/a.tar.gz" "$D/set/a.tar.gz"
missing "$D/set/stale"
is "$(ls -A "$D" | grep -v -e '^a\.tar' -e '^sub$' -e '^set$' -e '^\.xferfs$' | wc -l)" 0 "what else is left in the tree"
cd /
stop
