"""reaches.py JOB KEY NUMBER: waits, by poll, until KEY in the job's events is at least NUMBER."""
import select, sys

job, key, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
events = open(job + "/events")
poll = select.poll()
poll.register(events, select.POLLPRI)
while True:
    events.seek(0)
    if int(dict(line.split() for line in events)[key]) >= number:
        break
    poll.poll()
