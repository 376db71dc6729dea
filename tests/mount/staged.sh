# Reading a staged file while it downloads: what has come is there, what has not is waited for.
. "$(dirname "$0")/lib.sh"
need file tar
origin_start
mkdir "$T/tree"
seq 200000 >"$T/tree/numbers"
tar cf "$W/t.tar" -C "$T" tree
size=$(stat -c %s "$W/t.tar")
start -o transfer.idle_timeout=1h # a slow machine (valgrind) is not to ask again for what is held
cd "$M"
mkdir j
echo 1 >j/connections
echo "$ORIGIN/t.tar?hold=700000" >j/add
echo 1 >j/resume
has "$(head -c 1000 j/files/t.tar | file -)" "tar archive" "file of the beginning"
is "$(stat -c %s j/files/t.tar)" "$size" "st_size"
head -c 700000 j/files/t.tar | cmp -n 700000 - "$W/t.tar"
blocks=$(stat -c %b j/files/t.tar)
[ $((blocks * 512)) -ge 700000 ] && [ $((blocks * 512)) -lt "$size" ] || fail "st_blocks $blocks of a part"

"$python" - "$M/j" "$size" <<'PY'
import errno, os, signal, subprocess, sys, threading
job, size = sys.argv[1], int(sys.argv[2])
path = job + "/files/t.tar"
fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
assert len(os.pread(fd, 1000, 0)) == 1000
try:
    os.pread(fd, 1000, size - 1000)
    sys.exit("O_NONBLOCK: no error")
except OSError as e:
    assert e.errno == errno.EAGAIN, e
# Ctrl-C and SIGKILL of readers that wait
for number in (signal.SIGINT, signal.SIGKILL):
    readers = [subprocess.Popen(["tail", "-c", "+%d" % (700001 + i), path], stdout=subprocess.DEVNULL,
               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) for i in range(20)]
    for r in readers:
        while "fuse" not in open("/proc/%d/wchan" % r.pid).read() and \
                open("/proc/%d/syscall" % r.pid).read().split()[0] not in ("0", "63"):
            pass
        r.send_signal(number)
    assert all(r.wait() == -number for r in readers)
PY
# a reader of all goes on as soon as there is more
cat j/files/t.tar >"$T/copy" &
reader=$!
tar tf j/files/t.tar >"$T/list" &
lister=$!
release
wait "$reader" || fail "the waiting reader"
wait "$lister" || fail "tar t of a file under way"
cmp "$T/copy" "$W/t.tar"
is "$(tail -n 1 "$T/list")" tree/numbers "tar t"
is "$(cat j/wait)" transferred j
# an open file outlives the job's end only as an error
exec 4<j/files/t.tar
head -c 10 <&4 >"$T/ten"
rmdir j
cat <&4 >"$T/rest" 2>/dev/null && [ "$(stat -c %s "$T/rest")" -lt $((size - 10)) ] && fail "a short read that looks like the end"
exec 4<&-

# suspended: EAGAIN; in error: EIO
mkdir k
echo "$ORIGIN/nothing" >k/add
reading() {
	"$python" - "$1" <<-'PY'
	import errno, os, sys
	try:
	    os.read(os.open(sys.argv[1], os.O_RDONLY), 10)
	    print("bytes")
	except OSError as e:
	    print(errno.errorcode[e.errno])
	PY
}
is "$(reading k/files/nothing)" EAGAIN "reading of a suspended job"
echo 1 >k/resume
is "$(cat k/wait)" error k
is "$(reading k/files/nothing)" EIO "reading of a job in error"
cd /
stop
