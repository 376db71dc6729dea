"""mounted.py MOUNTPOINT PID: returns when the mount of that process answers; 1 when the process ends."""
import os, select, sys

mountpoint, pid = sys.argv[1], int(sys.argv[2])
table = open("/proc/self/mountinfo")
poll = select.poll()
poll.register(table, select.POLLPRI)
poll.register(os.pidfd_open(pid), select.POLLIN)
while True:
    table.seek(0)
    if " %s " % mountpoint in table.read():
        try:
            os.stat(mountpoint + "/.xferfs/version")  # waits for the daemon's first answer
            sys.exit(0)
        except OSError:
            pass  # a mount that a crash left behind
    if any(event & select.POLLIN for _, event in poll.poll()):
        sys.exit(1)
