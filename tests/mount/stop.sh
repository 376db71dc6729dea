# SIGTERM, SIGINT and umount with readers of every kind parked: an orderly end, and all are answered.
. "$(dirname "$0")/lib.sh"
need_root
origin_start
noise f 500000
start
mkdir "$M/j"
echo "$ORIGIN/f?hold=300000" >"$M/j/add"
stop

for how in TERM INT umount lazy; do
	start
	echo 1 >"$M/j/resume"
	head -c 200000 "$M/j/files/f" >"$T/ignored"
	readers=''
	for f in wait follow log ../.xferfs/log files/f; do
		cat "$M/j/$f" >"$T/ignored" 2>&1 &
		readers="$readers $!"
	done
	"$python" - "$M/j/state" <<-'PY' &
	import os, select, sys
	fd = os.open(sys.argv[1], os.O_RDONLY)
	os.read(fd, 100)
	poll = select.poll()
	poll.register(fd, select.POLLPRI)
	poll.poll()
	try:
	    os.pread(fd, 100, 0)
	except OSError:
	    pass
	PY
	readers="$readers $!"
	"$python" - $readers <<-'PY'
	import sys
	for pid in sys.argv[1:]:
	    while open("/proc/%s/syscall" % pid).read().split()[0] not in ("0", "7", "17", "40", "63", "67", "73", "187", "285"):
	        pass
	PY
	case $how in
	umount) umount -f "$M" ;;
	lazy)
		umount -l "$M"
		kill $readers
		;;
	*) kill -"$how" "$DAEMON" ;;
	esac
	ended
	for pid in $readers; do wait "$pid" || :; done
	mountpoint -q "$M" && fail "still mounted after $how"
	release &
	wait $!
done
start
echo 1 >"$M/j/suspend"
is "$(cat "$M/j/state")" suspended "the job after all that"
echo "$ORIGIN/f whole" >"$M/j/add"
rm "$M/j/files/f"
echo 1 >"$M/j/resume"
is "$(cat "$M/j/wait")" transferred "the job"
stop
