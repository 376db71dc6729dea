# The lines that `add` takes.
. "$(dirname "$0")/lib.sh"
start -o limits.files_per_job=max
cd "$M"
H=http://127.0.0.1:1
names() { (cd "$1/files" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort | xargs); }
mkdir a
cat >a/add <<LIST
# a comment
$H/one

   $H/two   second
$H/three sub/dir/third size=10
"$H/four;x=y" "a \"quoted\" \\\\ name"
$H/p/five%20six?q=1#frag
LIST
is "$(cd a/files && find . -type f | sort)" './a "quoted" \ name
./five six
./one
./second
./sub/dir/third' "the names"
is "$(stat -c %s a/files/sub/dir/third)" 10 "size="
is "$(readlink a/sources/second)" "$H/two" "the URL of second"

# a partial last line waits for the rest, or for the close (also that of a copy, when a child ends)
mkdir b
"$python" - "$M/b" "$H" <<'PY'
import os, sys
job, url = sys.argv[1:]
fd = os.open(job + "/add", os.O_WRONLY)
def names():
    return sorted(os.listdir(job + "/files"))
os.write(fd, ("%s/head\n%s/ta" % (url, url)).encode())
assert names() == ["head"], names()
os.write(fd, b"il\n")
assert names() == ["head", "tail"], names()
os.write(fd, ("%s/last" % url).encode())
assert names() == ["head", "tail"], names()
os.close(fd)
assert names() == ["head", "last", "tail"], names()
PY

# all or none
mkdir c
for bad in "gopher://x/y" "$H/x ../up" "$H/x /abs" "$H/x a//b" "$H/x .xferfs/q" "$H/x name color=blue" \
	"$H/x sha256=1234" "$H/x size=big" "$H/x \"open" "$H/x range=5-4" "$H/x range=0-9,5-12" "$H/x a b"; do
	"$python" - "$M/c/add" "$H/good
# fine
$bad
$H/fine
" <<-'PY' || fail "accepted: $bad"
	import os, sys
	try:
	    os.write(os.open(sys.argv[1], os.O_WRONLY), sys.argv[2].encode())
	    sys.exit(1)
	except OSError as e:
	    sys.exit(e.errno not in (22, 34))
	PY
	is "$(names c)" "" "files after '$bad'"
	has "$(cat c/refused)" "add: line 3: " "refused after '$bad'"
done
# the same name twice, in one write and in two
is "$(errno c/add "$H/x n
$H/y n
")" EEXIST "twice in one write"
is "$(names c)" "" "files after a double name"
echo "$H/x n" >c/add
is "$(errno c/add "$H/y n")" EEXIST "a name that is there"
is "$(errno c/add "$H/y n/below")" ENOTDIR "below a file"

# what a URL cannot do to a name
mkdir d
printf '%s\n' "$H/%2e%2e%2fetc%2fpasswd" "$H/a%0Ab" "$H/" "$H/%2e%2e%2e.profile" >d/add
is "$(cd d/files && find . -mindepth 1 -type d | wc -l)" 0 "directories out of escapes"
is "$(ls -A d/files | wc -l)" 4 "files"
is "$(find d/files -name "*[[:cntrl:]]*" | wc -l)" 0 "control characters in names"
is "$(find d/files -mindepth 1 -name '.*' | wc -l)" 0 "leading dots out of escapes"

# passwords are not shown
mkdir e
echo "http://user:secret@127.0.0.1:1/x" >e/add
is "$(readlink e/sources/x)" "$H/x" "the URL without its password"
grep -rl --exclude=log --exclude=follow --exclude=wait secret e .xferfs 2>/dev/null && fail "a password is shown"

# 100,000 lines by cat
mkdir f
seq $((XFERFS_MANY * 100)) | sed "s,.*,$H/dir/file-& sub/&," >"$T/list"
cat "$T/list" >f/add
is "$(value f/progress files_total)" $((XFERFS_MANY * 100)) "files of a long list"
is "$(ls f/files/sub | wc -l)" $((XFERFS_MANY * 100)) "ls of a long list"
rmdir f
cd /
stop
