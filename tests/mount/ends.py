"""ends.py PID SECONDS: waits for a process to end; 1 when it does not within that time."""
import os, select, sys

try:
    fd = os.pidfd_open(int(sys.argv[1]))
except ProcessLookupError:
    sys.exit(0)
sys.exit(not select.select([fd], [], [], float(sys.argv[2]))[0])
