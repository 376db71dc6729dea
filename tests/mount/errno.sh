# Bad input: its errno, a sentence in `refused`, and nothing changed.
. "$(dirname "$0")/lib.sh"
start
mkdir "$M/j"
# refuses FILE TEXT ERRNO: and the file still reads the same
refuses() {
	before=$(cat "$M/j/$1" 2>/dev/null || :)
	is "$(errno "$M/j/$1" "$2")" "$3" "'$(printf %.40s "$2")' to $1"
	is "$(cat "$M/j/$1" 2>/dev/null || :)" "$before" "$1 after a refused write"
	sentence=$(cat "$M/j/refused")
	is "$(cat "$M/j/refused" | wc -l)" 1 "lines of refused"
	has "$sentence" "$1" "refused names the file"
	[ "${#sentence}" -gt $((${#1} + 8)) ] || fail "refused is no sentence: $sentence"
}
is "$(cat "$M/j/refused")" "" "refused of a new job"
refuses priority urgent EINVAL
refuses priority 'high low' EINVAL
refuses priority "$(printf 'high\nlow')" EINVAL
refuses retry_delay 4 EINVAL
refuses retry_delay -1 EINVAL
refuses retry_delay 5x EINVAL
refuses retry_delay 99999999999999999999999 ERANGE
refuses no_progress_timeout 18446744073709551616 ERANGE
refuses rate_limit fast EINVAL
refuses connections 17 ERANGE
refuses connections 0 EINVAL
refuses description "$(head -c 1025 /dev/zero | tr '\0' x)" E2BIG
refuses description "$(head -c 65537 /dev/zero | tr '\0' x)" E2BIG
refuses destination ../elsewhere EINVAL
refuses destination /etc EINVAL
refuses destination .xferfs EINVAL
refuses destination a//b EINVAL
refuses on_conflict ask EINVAL
refuses on_transferred never EINVAL
refuses commit some EINVAL
refuses type sidewards EINVAL
refuses metered 1 EINVAL
refuses resume 1 ENODATA
refuses complete all EBUSY
refuses add 'gopher://example.org/x' EINVAL
refuses add 'no-url' EINVAL
refuses add 'file:///etc/passwd' EINVAL
is "$(ls "$M/j/files")" "" "files after refused adds"
echo 'http://127.0.0.1:1/x' >"$M/j/add"
refuses add 'http://127.0.0.1:1/y x' EEXIST
is "$(ls "$M/j/files")" x "files after a refused add"
[ "$(id -u)" != 0 ] || is "$(errno "$M/.xferfs/network" sometimes)" EINVAL "network"

# names of jobs
"$python" - "$M" <<'PY'
import errno, os, sys
bad = []
def gives(wanted, call, *args):
    try:
        call(*args)
        got = "0"
    except OSError as e:
        got = errno.errorcode[e.errno]
    if got not in wanted.split():
        bad.append("%s%r: %s, wanted %s" % (call.__name__, args, got, wanted))
m = sys.argv[1] + "/"
gives("EEXIST", os.mkdir, m + "j")
gives("EINVAL", os.mkdir, m + ".hidden")
gives("EINVAL", os.mkdir, m + "two\nlines")
gives("EINVAL", os.mkdir, m + "bell\a")
gives("EINVAL", os.mkdir, m + "delete\x7f")
gives("EINVAL ENAMETOOLONG", os.mkdir, m + "x" * 256)
gives("EEXIST", os.mkdir, m + ".xferfs")
gives("0", os.mkdir, m + "x" * 255)
gives("0", os.mkdir, m + "Grüße an alle")
gives("0", os.mkdir, m + "-rf *;$(x)'\"\\")
gives("EEXIST ENOTEMPTY", os.rename, m + "Grüße an alle", m + "j")
gives("EINVAL", os.rename, m + "Grüße an alle", m + ".dot")
gives("EPERM EXDEV EINVAL", os.rename, m + "Grüße an alle", m + "j/sub")
gives("EPERM EACCES EBUSY", os.rename, m + ".xferfs", m + "other")
gives("EPERM EACCES EBUSY", os.rmdir, m + ".xferfs")
gives("ENOENT", os.rmdir, m + "nothing")
sys.exit("\n".join(bad) or 0)
PY
is "$(ls "$M" | wc -l)" 4 "jobs"
stop
