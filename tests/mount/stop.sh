# SIGTERM, SIGINT and umount with readers of every kind parked: an orderly end, and all are answered.
. "$(dirname "$0")/lib.sh"
need_root
origin_start
noise f 500000

for how in TERM INT umount lazy; do
	start
	job "$how" "$ORIGIN/f?hold=300000"
	J=$M/$how
	head -c 300000 "$J/files/f" >"$T/ignored"
	readers=''
	for f in wait follow log ../.xferfs/log files/f; do
		cat "$J/$f" >"$T/ignored" 2>&1 &
		readers="$readers $!"
	done
	"$python" - "$J/state" <<-'PY' &
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
	umount) umount -f -l "$M" ;;
	lazy)
		umount -l "$M"
		kill $readers
		;;
	*) kill -"$how" "$DAEMON" ;;
	esac
	ended
	for pid in $readers; do wait "$pid" || :; done
	mountpoint -q "$M" && fail "still mounted after $how"
	release
done

# nothing was forgotten
start
for how in TERM INT umount lazy; do
	is "$(cat "$M/$how/wait")" transferred "the job of $how"
	cmp "$W/f" "$M/$how/files/f"
done
stop
