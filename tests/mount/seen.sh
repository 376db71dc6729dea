# What one process changes the next one sees, though the kernel keeps attributes and names: a mode, an owner, a
# time, the end of a job, a removed file, a name that is used again; and a daemon that died is not taken for alive.
. "$(dirname "$0")/lib.sh"
need_root
nginx_start
noise f 1000
start -o allow_other
# look: the kernel keeps what it may
look() { ls -la "$M" "$M"/*/ >/dev/null 2>&1 || :; }

mkdir "$M/j"
for mode in 700 755 711 750; do
	look
	chmod "$mode" "$M/j"
	is "$(stat -c %a "$M/j" "$M/j/files" "$M/j/sources" | sort -u)" "$mode" "the mode, at once"
done
chmod 700 "$M/j"
as "$USER_A" test ! -r "$M/j/state" || fail "a job of 0700 is open to others"
chmod 755 "$M/j"
as "$USER_A" cat "$M/j/state" >/dev/null || fail "a job of 0755 is closed to others"
chmod 700 "$M/j"
as "$USER_A" test ! -r "$M/j/state" || fail "a job that is 0700 again is open to others"
look
chown "$USER_A" "$M/j"
as "$USER_A" test -w "$M/j/resume" || fail "the new owner does not own his job"
is "$(stat -c %U "$M/j/files" "$M/j")" "$USER_A
$USER_A" "the owner, at once"

# the time of the last change, also of one that comes of itself
modified() { date -d "$(value "$M/$1/info" modified)" +%s; }
was=$(modified j)
until [ "$(modified j)" != "$was" ]; do
	look
	echo low >"$M/j/priority"
done
is "$(stat -c %Y "$M/j" "$M/j/files" | sort -u)" "$(modified j)" "the time of the last change"

# names in files/ and sources/
echo "$URL/f one" >"$M/j/add"
echo "$URL/f two" >"$M/j/add"
look
stat "$M/j/files/one" "$M/j/sources/one" >/dev/null
rm "$M/j/files/one"
missing "$M/j/files/one"
missing "$M/j/sources/one"
echo "$URL/f one" >"$M/j/add"
stat "$M/j/files/one" "$M/j/sources/one" >/dev/null || fail "a name that is used again is not there"

# names of jobs
look
mv "$M/j" "$M/k"
missing "$M/j"
missing "$M/j/state"
is "$(cat "$M/k/state")" suspended "the renamed job"
for _ in 1 2 3; do
	look
	echo 1 >"$M/k/cancel"
	missing "$M/k"
	missing "$M/k/state"
	[ "$(ls "$M")" = "" ] || fail "a cancelled job is listed"
	mkdir "$M/k"
	is "$(cat "$M/k/state")" suspended "a job of the name of one that was cancelled"
	mkdir "$M/l"
	look
	echo 1 >"$M/k/cancel"
	mv "$M/l" "$M/k" || fail "the name of a job that was cancelled is taken"
	is "$(stat -c %a "$M/k")" 700 "a job renamed to the name of one that was cancelled"
done
(
	cd "$M/k"
	look
	echo 1 >cancel
	[ ! -e state ] && [ ! -e . ] || fail "a job that was cancelled is there for who is in it"
)
# one that ends by itself: for who waited for it, and for who reads of it in the log
mkfifo "$T/log"
exec 4<"$M/.xferfs/log"
mkdir "$M/m"
echo "$URL/f" >"$M/m/add"
echo complete >"$M/m/on_transferred"
look
echo 1 >"$M/m/resume"
while read -r line <&4; do
	case $line in *acknowledged*) break ;; esac
	look
done
missing "$M/m"
exec 4<&-

# while others look all the time
"$python" - "$M" <<'PY'
import os, sys, threading
top = sys.argv[1]
over = False
def watch(name):
    while not over:
        for path in (name, name + "/files", name + "/state"):
            try:
                os.stat(path)
            except OSError:
                pass
def expect(got, wanted, what):
    if got != wanted:
        sys.exit("FAILED: %s: got %s, wanted %s" % (what, got, wanted))
watchers = [threading.Thread(target=watch, args=(top + "/w",)) for _ in range(2)]
for t in watchers:
    t.start()
try:
    for i in range(100):
        os.mkdir(top + "/w")
        for mode in (0o755, 0o700, 0o711):
            os.chmod(top + "/w", mode)
            expect(os.stat(top + "/w").st_mode & 0o777, mode, "the mode")
            expect(os.stat(top + "/w/files").st_mode & 0o777, mode, "the mode of files/")
        with open(top + "/w/cancel", "w") as f:
            f.write("1")
        expect(os.path.exists(top + "/w"), False, "the cancelled job is there")
        expect(os.path.exists(top + "/w/state"), False, "the state of the cancelled job is there")
    # no file has labels: one answer for all
    try:
        os.getxattr(top, "security.selinux")
    except OSError as e:
        expect(os.strerror(e.errno), "Operation not supported", "a security label")
finally:
    over = True
    for t in watchers:
        t.join()
PY

# a mountpoint whose attributes the kernel keeps yet is dead, and mounted over
stat "$M" >/dev/null
crash
start -o allow_other
is "$(grep -c " $M " /proc/mounts)" 1 "mounts"
stop
