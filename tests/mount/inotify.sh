# inotify sees every change of state, and the end of a job.
. "$(dirname "$0")/lib.sh"
need inotifywait
nginx_start
noise f 100000
start
mkdir "$M/j"
echo "$URL/f" >"$M/j/add"
mkfifo "$T/watching"
# watch EVENT FILE: in the background, ready when it returns
watch() {
	inotifywait -e "$1" "$2" >"$T/seen" 2>"$T/watching" &
	watcher=$!
	while read -r line; do
		case $line in *established*) break ;; esac
	done <"$T/watching"
}
watch attrib "$M/j/state"
echo 1 >"$M/j/resume"
wait "$watcher" || fail "no IN_ATTRIB on state"
cat "$M/j/wait" >/dev/null
watch attrib "$M/j/events"
echo low >"$M/j/priority"
wait "$watcher" || fail "no IN_ATTRIB on events"
# the last change is never missed: whatever comes first, in the end the watcher reads the last word
"$python" - "$M/j" <<'PY'
import ctypes, os, select, struct, sys
job = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
IN_ATTRIB, IN_DELETE_SELF = 4, 0x400
libc.inotify_add_watch(fd, (job + "/state").encode(), IN_ATTRIB)
def put(name):
    with open(job + "/" + name, "w") as f:
        f.write("1")
with open(job + "/add", "w") as f:
    f.write(os.readlink(job + "/sources/f") + " second\n")
for _ in range(200):
    put("suspend")
    put("resume")
word = ""
while word != "transferred":
    os.read(fd, 65536)
    word = open(job + "/state").read().strip()
PY
watch delete_self "$M/j"
rmdir "$M/j"
wait "$watcher" || fail "no IN_DELETE_SELF"
# a systemd path unit watches the parent first, then the file
mkdir "$M/k"
echo "$URL/f k" >"$M/k/add"
watch attrib "$M/k/"
echo 1 >"$M/k/resume"
wait "$watcher" || fail "no IN_ATTRIB in the directory"
stop
