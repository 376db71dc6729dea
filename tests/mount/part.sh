# Complete while the third of five files is under way: exactly the whole files appear.
. "$(dirname "$0")/lib.sh"
origin_start
for n in 1 2 3 4 5; do noise "f$n" 1000000; done
start -o transfer.idle_timeout=1h
mkdir "$M/j"
echo 1 >"$M/j/connections"
cat >"$M/j/add" <<-LIST
	$ORIGIN/f1
	$ORIGIN/f2 sub/f2
	$ORIGIN/f3?hold=500000
	$ORIGIN/f4?hold=500000
	$ORIGIN/f5?wait
LIST
echo 1 >"$M/j/resume"
cmp "$W/f1" "$M/j/files/f1"
cmp "$W/f2" "$M/j/files/sub/f2"
head -c 400000 "$M/j/files/f3" | cmp -n 400000 - "$W/f3"
# both are whole: wait until that is on disk and said
"$python" "$lib/reaches.py" "$M/j" events files_transferred 2
is "$(errno "$M/j/complete" all)" EBUSY "complete all of a job that is not transferred"
echo 1 >"$M/j/complete"
missing "$M/j"
is "$(cd "$D" && find . -path ./.xferfs -prune -o -type f -print | sort)" "./f1
./sub/f2" "what complete placed"
cmp "$W/f1" "$D/f1"
cmp "$W/f2" "$D/sub/f2"
is "$(ls "$M")" "" "the queue"
is "$(value "$M/.xferfs/ended/j" result)" partial result
is "$(value "$M/.xferfs/ended/j" files_saved)" 2 files_saved
is "$(value "$M/.xferfs/ended/j" files_dropped)" 3 files_dropped
is "$(value "$M/.xferfs/ended/j" leftovers)" 0 leftovers
stop
is "$(find "$D/.xferfs/blobs" -type f 2>/dev/null)" "" "left in the staging area"
