# A file replaced on the server in the middle of its transfer: the result is wholly the new one.
. "$(dirname "$0")/lib.sh"
origin_start
noise old 4000000
noise new 4500000
start
# replace NAME QUERY: fetched to 3000000, then the server has another file and the connection is gone
replace() {
	cp "$W/old" "$W/$1"
	mkdir "$M/$1"
	echo 1 >"$M/$1/connections"
	echo "$ORIGIN/$1?hold=3000000&drop&first=1$2" >"$M/$1/add"
	echo 1 >"$M/$1/resume"
	head -c 1000000 "$M/$1/files/$1" | cmp -n 1000000 - "$W/old"
	cp "$W/${3:-new}" "$W/.next"
	mv "$W/.next" "$W/$1"
	release
	is "$(cat "$M/$1/wait")" transferred "$1"
	echo 1 >"$M/$1/complete"
	cmp "$W/${3:-new}" "$D/$1"
}
replace a ''
# without validators nothing tells two versions apart but beginning again
replace b '&noetag'
# the same length
noise twin 4000000
replace c '' twin
# suspended before, so that another daemon finds it
cp "$W/old" "$W/d"
mkdir "$M/d"
echo 1 >"$M/d/connections"
echo "$ORIGIN/d?hold=3000000&first=1" >"$M/d/add"
echo 1 >"$M/d/resume"
head -c 3000000 "$M/d/files/d" >"$T/ignored" # all of it, or the server would be cut off before it holds
echo 1 >"$M/d/suspend"
stop
release
cp "$W/new" "$W/.next"
mv "$W/.next" "$W/d"
start
echo 1 >"$M/d/resume"
is "$(cat "$M/d/wait")" transferred d
echo 1 >"$M/d/complete"
cmp "$W/new" "$D/d"
