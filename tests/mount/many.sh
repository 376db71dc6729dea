# A thousand jobs by a shell loop; the tools that everyone has see them all.
. "$(dirname "$0")/lib.sh"
n=$XFERFS_MANY
start -o limits.jobs=max -o limits.jobs_per_user=max
cd "$M"
i=0
while [ $((i += 1)) -le "$n" ]; do mkdir "job-$i"; done
is "$(ls | wc -l)" "$n" ls
is "$(find . -name state | wc -l)" "$n" "find -name state"
is "$(find . -maxdepth 1 -type d | wc -l)" $((n + 2)) "find -type d"
# every control file that can be read without waiting says the same to cat, tar and grep
is "$(cat job-*/state | sort | uniq -c | awk '{ print $1, $2 }')" "$n suspended" "cat */state"
is "$(grep -l suspended job-*/state | wc -l)" "$n" "grep -l"
# what can only be written cannot be archived; that is all that tar may say
tar cf "$T/t.tar" --ignore-failed-read . 2>"$T/tar.err" || { tail "$T/tar.err"; fail tar; }
grep -v 'Cannot open: Permission denied' "$T/tar.err" | head | grep . && fail "tar complained"
mkdir "$T/out"
tar xf "$T/t.tar" -C "$T/out" ./job-1 "./job-$n"
is "$(cat "$T/out/job-$n/state")" suspended "state in the archive"
# a suspended job rests: its wait and follow do no harm (its log has no next event)
is "$(grep -rl --exclude=log suspended . | grep -c /state)" "$n" "grep -r"
is "$(awk 'NR > 1' .xferfs/index | wc -l)" "$n" "lines of .xferfs/index"
rmdir job-*
is "$(ls | wc -l)" 0 "ls after rmdir"
cd /
stop
