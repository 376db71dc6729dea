"""reaches.py JOB FILE KEY VALUE: waits, by poll on the job's events, until KEY in the flat keyed FILE is
VALUE, or a number at least as large."""
import select, sys

job, name, key, value = sys.argv[1:]


def reached():
    for line in open(job + "/" + name):
        word, _, text = line.rstrip("\n").partition(" ")
        if word == key:
            return int(text) >= int(value) if value.isdigit() else text == value
    return False


events = open(job + "/events")
poll = select.poll()
poll.register(events, select.POLLPRI)
while True:
    events.seek(0)
    events.read()
    if reached():
        break
    poll.poll()
