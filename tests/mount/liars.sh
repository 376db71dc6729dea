# Servers that lie: whatever they do, the destination holds the right bytes or nothing.
. "$(dirname "$0")/lib.sh"
origin_start
noise f 3000000
start
# fetch NAME QUERY: starts a job of one file, over one connection
fetch() {
	cp "$W/f" "$W/$1"
	mkdir "$M/$1"
	echo 1 >"$M/$1/connections"
	echo "$ORIGIN/$1?$2" >"$M/$1/add"
	echo 1 >"$M/$1/resume"
}
right() {
	is "$(cat "$M/$1/wait")" transferred "$1"
	echo 1 >"$M/$1/complete"
	cmp "$W/f" "$D/$1"
}
fetch cut 'cut=1000000&first=2'
right cut
# resumed ranges answered with 200: the whole file, from its start
fetch whole 'cut=1000000&norange&first=1'
right whole
fetch length 'long=1000&first=1'
right length
fetch page 'status=500&first=1'
right page
has "$(value "$M/.xferfs/ended/page" result)" all page
fetch busy 'status=503&after=1&first=1'
right busy

# A range whose answer is of another place: the first request is cut, the second one lies, the third is true.
for lie in shift total=3000001; do
	name=${lie%%=*}
	fetch "$name" "cut=1000000&$lie&first=2"
	right "$name"
done

fetch gone 'status=404'
is "$(cat "$M/gone/wait")" error "a 404"
is "$(value "$M/gone/error" http_status)" 404 "http_status"
has "$(cat "$M/gone/error")" "$ORIGIN/gone" "the error names the URL"
echo 1 >"$M/gone/complete"
missing "$D/gone"

# For ever: an error page, a promise of more than comes
for q in status=500 long=1000; do
	name=ever${q%%=*}
	cp "$W/f" "$W/$name"
	mkdir "$M/$name"
	exec 4<"$M/$name/log"
	echo "$ORIGIN/$name?$q" >"$M/$name/add"
	echo 1 >"$M/$name/resume"
	while read -r line <&4; do
		case $line in *transient_error*) break ;; esac
	done
	exec 4<&-
	[ -s "$M/$name/error" ] || fail "$name: error is empty"
	is "$(value "$M/$name/error" file)" "$name" "the file of $name's error"
	echo 1 >"$M/$name/complete"
	missing "$D/$name"
	is "$(value "$M/.xferfs/ended/$name" result)" partial "result of $name"
	is "$(value "$M/.xferfs/ended/$name" files_saved)" 0 "files saved of $name"
done

# A body whose end nothing proves counts as unverified
fetch open nolength
is "$(cat "$M/open/wait")" transferred open
has "$(cat "$M/open/index")" unverified "index of a body without length"
stop
