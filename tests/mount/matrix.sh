# Every cell of the table of verbs that a user can reach; completing lasts too short (tests/core).
. "$(dirname "$0")/lib.sh"
origin_start
noise f 300000
start -o transfer.jobs=2,transfer.idle_timeout=1h
"$python" - "$M" "$ORIGIN" "$D" "$T" <<'PY'
import errno, itertools, os, sys

mount, origin, dest, folder = sys.argv[1:]
serial = itertools.count()
ACTIVE = {"queued", "connecting", "transferring", "transient_error"}
GONE = None
bad = []


def put(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def get(path):
    with open(path) as f:
        return f.read().rstrip("\n")


def until(job, wanted):
    """Events of a stream opened before the job was resumed tell when it has the state."""
    if get(job + "/state") == wanted:
        return
    for line in until.stream:
        if get(job + "/state") == wanted:
            return


def make(query=None, priority="normal"):
    job = "%s/j%d" % (mount, next(serial))
    os.mkdir(job)
    put(job + "/priority", priority)
    if query is not None:
        put(job + "/add", "%s/f?%s %s\n" % (origin, query, os.path.basename(job)))
    until.stream = open(job + "/log", buffering=1)
    return job


def empty():
    return make()


def suspended():
    return make("")


def running(query, state):
    job = make(query)
    put(job + "/resume", "1\n")
    until(job, state)
    return job


def queued():
    """Behind two jobs of a higher level that stand still."""
    if not queued.ahead:
        for _ in range(2):
            job = make("hold=100000", "high")
            put(job + "/resume", "1\n")
            until(job, "transferring")
            queued.ahead.append(job)
    job = make("", "low")
    put(job + "/resume", "1\n")
    return job


queued.ahead = []


def connecting():
    return running("wait", "connecting")


def transferring():
    return running("hold=100000", "transferring")


def transient():
    """For long enough to be looked at: the server says when to come again."""
    return running("status=503&after=500", "transient_error")


def error():
    return running("status=404", "error")


def transferred():
    return running("", "transferred")


#        state: suspend, resume, complete, cancel -> (errno, states it may then have)
OK = 0
TABLE = [
    (empty, "suspended", (OK, {"suspended"}), (errno.ENODATA, {"suspended"}), (OK, GONE), (OK, GONE)),
    (suspended, "suspended", (OK, {"suspended"}), (OK, ACTIVE | {"transferred"}), (OK, GONE), (OK, GONE)),
    (connecting, "connecting", (OK, {"suspended"}), (OK, ACTIVE), (OK, GONE), (OK, GONE)),
    (transferring, "transferring", (OK, {"suspended"}), (OK, ACTIVE), (OK, GONE), (OK, GONE)),
    (transient, "transient_error", (OK, {"suspended"}), (OK, ACTIVE), (OK, GONE), (OK, GONE)),
    (error, "error", (OK, {"error"}), (OK, ACTIVE | {"error"}), (OK, GONE), (OK, GONE)),
    (transferred, "transferred", (OK, {"transferred"}), (OK, {"transferred"}), (OK, GONE), (OK, GONE)),
    (queued, "queued", (OK, {"suspended"}), (OK, {"queued"}), (OK, GONE), (OK, GONE)),
]
VERBS = ["suspend", "resume", "complete", "cancel"]


def check(what, got, wanted):
    if got != wanted:
        bad.append("%s: got %s, wanted %s" % (what, got, wanted))


for maker, state, *cells in TABLE:
    for verb, (err, after) in zip(VERBS, cells):
        job = maker()
        what = "%s x %s" % (maker.__name__, verb)
        check(what + ": before", get(job + "/state"), state)
        kept = {v: os.open("%s/%s" % (job, v), os.O_WRONLY) for v in VERBS}
        try:
            os.write(kept[verb], b"1\n")
            got = 0
        except OSError as e:
            got = e.errno
        check(what, errno.errorcode.get(got, got), errno.errorcode.get(err, err))
        if got and not get(job + "/refused"):
            bad.append(what + ": refused is empty")
        if after is GONE:
            check(what + ": gone", os.path.exists(job), False)
            for v in VERBS:
                try:
                    os.write(kept[v], b"1\n")
                    bad.append("%s, then %s: accepted" % (what, v))
                except OSError as e:
                    check("%s, then %s" % (what, v), errno.errorcode[e.errno], "ENODEV")
        else:
            now = get(job + "/state")
            if now not in after:
                bad.append("%s: is then %s" % (what, now))
            put(job + "/cancel", "1")
        for fd in kept.values():
            os.close(fd)

for job in queued.ahead:
    put(job + "/cancel", "1")

# the other word of complete, and words that no verb takes
for maker in (suspended, transferring, error, transferred):
    job = maker()
    try:
        put(job + "/complete", "all\n")
        got = 0
    except OSError as e:
        got = e.errno
    check("complete all of %s" % maker.__name__, got, 0 if maker is transferred else errno.EBUSY)
    check("then gone", os.path.exists(job), maker is not transferred)
for verb in VERBS:
    for word in ("0", "yes", "2", "1 1", " 1", "all" if verb != "complete" else "ALL", "1\n\n"):
        job = make("")
        try:
            put("%s/%s" % (job, verb), word)
            bad.append("%s accepts %r" % (verb, word))
        except OSError as e:
            check("%s %r" % (verb, word), errno.errorcode[e.errno], "EINVAL")
            if verb not in get(job + "/refused"):
                bad.append("refused after %s %r: %r" % (verb, word, get(job + "/refused")))
sys.exit("\n".join(bad) or 0)
PY
# what was cancelled or completed before it was whole left nothing
is "$(find "$D" -path "$D/.xferfs" -prune -o -type f -size -300000c -print)" "" "cut files"
stop
