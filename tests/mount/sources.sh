# sources/ is the other way to add, look at and take back; and the attributes of staged files.
. "$(dirname "$0")/lib.sh"
need getfattr
nginx_start
noise one 200000
noise two 100000
start
cd "$M"
mkdir j
ln -s "$URL/one" j/sources/first
mkdir j/sources/sub
ln -s "$URL/two" j/sources/sub/second
ln -s "$URL/two" j/sources/third
is "$(readlink j/sources/sub/second)" "$URL/two" readlink
is "$(find j/sources -type l -printf '%P -> %l\n' | sort)" "first -> $URL/one
sub/second -> $URL/two
third -> $URL/two" "the links"
rm j/sources/third
missing j/files/third
ln -s "$URL/two" j/sources/first 2>"$T/err" && fail "a name twice"
grep -q exists "$T/err" || fail "$(cat "$T/err")"
ln -s "gopher://x/y" j/sources/bad 2>/dev/null && fail "gopher"
ln -s "/etc/passwd" j/sources/bad 2>/dev/null && fail "a path"
echo "$URL/two fourth" >j/add
rm j/files/fourth
missing j/sources/fourth
rmdir j/sources/sub 2>/dev/null && fail "rmdir of a full directory"
mkdir j/files/empty
rmdir j/files/empty

is "$(getfattr --only-values -n user.xferfs.transferred j/files/first)" 0 "transferred before"
is "$(getfattr --only-values -n user.xdg.origin.url j/files/first)" "$URL/one" origin
is "$(stat -c %a j/files/first)" 400 "mode"
[ -f j/files/first ] || fail "no regular file"
echo 1 >j/resume
is "$(cat j/wait)" transferred "wait"
is "$(getfattr --only-values -n user.xferfs.state j/files/first)" transferred "state"
is "$(getfattr --only-values -n user.xferfs.transferred j/files/first)" 200000 transferred
is "$(stat -c %s j/files/first)" 200000 "size"
[ "$(du -B1 j/files/first | cut -f1)" -ge 200000 ] || fail "du"
getfattr -d j/files/first | grep -q user.xferfs.state || fail "listing of attributes"
cmp "$W/one" j/files/first
is "$(awk 'NR > 1' j/index | wc -l)" 2 "lines of index"
# a file taken out after its transfer does not appear
rm j/files/sub/second
echo 1 >j/complete
cmp "$W/one" "$D/first"
missing "$D/sub"
cd /
stop
