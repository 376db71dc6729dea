# The general rules of control files, one by one.
. "$(dirname "$0")/lib.sh"
nginx_start
noise f 100000
start
cd "$M"
before=$(date -u +%FT%TZ)
mkdir j
after=$(date -u +%FT%TZ)

# 1. what cat prints can be echoed back; one line
for f in j/*; do
	case $(stat -c %a "$f" 2>/dev/null) in
	6[046][046]) ;;
	*) continue ;;
	esac
	[ -f "$f" ] || continue
	value=$(cat "$f")
	[ -s "$f" ] && is "$(wc -l <"$f")" 1 "lines of $f"
	[ -z "$value" ] || echo "$value" >"$f" || fail "$f does not take '$value' back: $(cat j/refused)"
	is "$(cat "$f")" "$value" "$f echoed back"
done
is "$(cat j/priority) $(cat j/destination) $(cat j/on_transferred) $(cat j/retry_delay)" "normal . hold 600" defaults
is "$(cat j/no_progress_timeout) $(cat j/max_download_time) $(cat j/rate_limit) $(cat j/connections) $(cat j/type)" \
	"1209600 7776000 max auto download" defaults
is "$(awk '{ print $1 }' j/progress | xargs)" \
	"bytes_transferred bytes_total files_transferred files_total files_failed rate seconds_left error_count" \
	"keys of progress"
created=$(value j/info created)
case $created in ????-??-??T??:??:??Z) ;; *) fail "created is no RFC 3339 moment" ;; esac
is "$(printf '%s\n' "$before" "$created" "$after" | sort | sed -n 2p)" "$created" "created"
echo "a description;  with # signs" >j/description
is "$(cat j/description)" "a description;  with # signs" description

# 2. one write is one command
echo high >j/priority
: >j/priority
truncate -s 0 j/priority
printf '' >j/priority
is "$(cat j/priority)" high "priority after truncations"
echo low | dd of=j/priority conv=notrunc oflag=seek_bytes seek=7 status=none
is "$(cat j/priority)" low "written at an offset"
printf high >>j/priority
is "$(cat j/priority)" high "appended without a newline"
is "$(errno j/priority "$(printf 'low\n\n.')")" EINVAL "more than a value"
is "$(errno j/description "$(head -c 70000 /dev/zero | tr '\0' x)")" E2BIG "70000 bytes"

# 4. st_size is exact; whoever reads in his own way gets the same
"$python" - "$M" <<'PY'
import os, sys
bad = []
for top, dirs, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(top, name)
        if name in ("wait", "follow", "log", "stats") or os.path.islink(path) or not os.access(path, os.R_OK):
            continue
        if not os.lstat(path).st_mode & 0o444:
            continue
        fd = os.open(path, os.O_RDONLY)
        size, whole = os.fstat(fd).st_size, b""
        while piece := os.read(fd, 65536):
            whole += piece
        if len(whole) != size:
            bad.append("%s: st_size %d, read %d" % (path, size, len(whole)))
        single = b"".join(os.pread(fd, 1, i) for i in range(size))
        if single != whole:
            bad.append(path + ": differs byte by byte")
        os.lseek(fd, 0, 0)
        r, w = os.pipe()
        spliced = b""
        while n := os.splice(fd, w, 4096):
            spliced += os.read(r, n)
        if spliced != whole:
            bad.append("%s: spliced %r, read %r" % (path, spliced, whole))
        if whole and not whole.endswith(b"\n"):
            bad.append(path + ": no newline at the end")
        os.close(fd); os.close(r); os.close(w)
sys.exit("\n".join(bad) or 0)
PY
[ ! -s j/error ] || fail "[ -s error ] of a job without one"
[ -s j/state ] || fail "[ -s state ]"
# text is rendered once per reading from 0
exec 4<j/state
echo "$URL/f" >j/add
echo 1 >j/resume
cat j/wait >/dev/null
read -r word <&4
is "$word" transferred "state read late on an early descriptor"
exec 4<&-

# 5. reading changes nothing
before=$(cat j/info j/events j/index)
tar cf - --ignore-failed-read . 2>/dev/null | cat >/dev/null
find . -type f ! -name log -exec cat {} + >/dev/null 2>&1 || :
is "$(cat j/info j/events j/index)" "$before" "after a crawler"

# 10. names that are there stay, others cannot be made
refused() {
	"$@" 2>"$T/err" && fail "$* succeeded"
	grep -Eq 'not permitted|Permission denied' "$T/err" || fail "$*: $(cat "$T/err")"
}
refused touch j/unknown
refused mkdir j/unknown
refused ln -s x j/unknown
refused mkfifo j/unknown
refused touch unknown
refused rm j/state
refused rm j/add
refused mv j/state j/status
refused mv j/state "$T/status"
refused ln j/state j/state2
refused touch .xferfs/x
refused rm .xferfs/index
refused rmdir j/files
refused rm -r j
[ -d j ] || fail "rm -r removed the job"
is "$(cat j/state)" transferred "the job after rm -r"

# mv renames, and what is open goes on
exec 4<j/state
mv j k
missing j
is "$(cat k/state)" transferred "the renamed job"
read -r word <&4
is "$word" transferred "a file opened under the old name"
exec 4<&-
is "$(stat -c %a k)" 700 "the mode of a new job"
chmod 750 k
is "$(stat -c %a k)" 750 "chmod"
if [ "$(id -u)" = 0 ]; then
	chgrp games k
	is "$(stat -c %G k)" games chgrp
fi
# rmdir cancels: the data is gone, the outcome stays
rmdir k
missing k
is "$(value .xferfs/ended/k state)" cancelled "ended/k"
grep -q "k" .xferfs/history || fail "history does not tell of k"
missing "$D/f"
cd /
stop
is "$(find "$D/.xferfs/blobs" -type f 2>/dev/null)" "" "data of a cancelled job"
