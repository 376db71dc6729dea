"""What acknowledged commands promise, and whether it was kept.

A *world* is what one client knows of its own jobs: {"jobs": {name: job}, "ended": {label: end}}. A client
has one command under way at most, so what may be true is one world, or two: before and after the
command that nobody answered. `apply` says what a command does to a world, `check` what in a world
contradicts what is seen; a command happened wholly or not at all when one of the worlds fits.

A job is {"label", "uid", "id", "mode", "states", "files", "props", "auto"}: `states` is the set of words
that `state` may show, `auto` means that the job may end by itself (on_transferred)."""
import copy, errno

RUNNING = {"queued", "connecting", "transferring", "transient_error"}
DEFAULTS = {"priority": "normal", "description": "", "destination": ".", "commit": "files",
            "retry_delay": "600", "connections": "auto", "rate_limit": "max", "on_transferred": "hold"}


def onward(states, job):
    """STATES and those that follow by themselves: a running job goes on, one at rest does not; but one in
    error is transferred once the files that failed are removed."""
    broken = any(bad for _, bad in job["files"].values())
    if "error" in states and not broken:
        states = states | {"transferred"}
    if not states & RUNNING:
        return set(states)
    return states | RUNNING | ({"error"} if broken else {"transferred"})


def apply(world, op, uid):
    """A new world in which OP has happened."""
    world = copy.deepcopy(world)
    jobs = world["jobs"]
    what, name, rest = op[0], op[1], op[2:]
    if what == "mkdir":
        jobs[name] = {"label": name, "uid": uid, "id": None, "mode": 0o700, "states": {"suspended"},
                      "files": {}, "props": dict(DEFAULTS), "auto": False}
        return world
    job = jobs[name]
    states = job["states"]
    if what == "add":
        if "transferred" in states:
            states = states - {"transferred"} | {"suspended"}
        job["files"].update({path: (url, bad) for path, url, bad in rest[0]})
        job["states"] = onward(states, job)
    elif what == "set":
        job["props"][rest[0]] = rest[1]
        job["auto"] = job["props"]["on_transferred"] == "complete"
    elif what == "chmod":
        job["mode"] = rest[0]
    elif what == "rename":
        jobs[rest[0]] = jobs.pop(name)
    elif what == "rm":
        del job["files"][rest[0]]
        job["states"] = onward(states, job)
    elif what == "resume":
        going = (states - {"suspended", "error"}) | (RUNNING if states & {"suspended", "error"} else set())
        job["states"] = onward(going, job)
    elif what == "suspend":
        job["states"] = states & {"transferred", "error"} | ({"suspended"} if states - {"transferred", "error"} else set())
    elif what in ("complete", "cancel"):
        del jobs[name]
        if what == "complete" and is_tree(job):
            clear_tree(world, job["props"]["destination"] + "/")
        world["ended"][job["label"]] = end_of(job, name, what)
    return world


def is_tree(job):
    return job["props"]["commit"] == "tree" and bool(job["files"])


def clear_tree(world, below):
    """What other jobs have placed BELOW a directory goes, when a tree takes its place."""
    for end in world["ended"].values():
        if end["how"] == "complete":
            end["files"] = {path: bad for path, bad in end["files"].items() if not path.startswith(below)}


def refusals(world, op):
    """The errnos with which a command may be refused without fault."""
    job = world["jobs"].get(op[1])
    if op[0] != "complete" or not is_tree(job):
        return set()
    busy = {errno.EBUSY} if job["states"] != {"transferred"} else set()
    taken = "transferred" in job["states"] and job["props"]["destination"] in placed(world)
    return busy | ({errno.ENOTDIR} if taken else set())


def placed(world):
    """Paths at which files are for sure."""
    return sorted(path for end in world["ended"].values() if end["how"] == "complete" and end["whole"]
                  for path, bad in end["files"].items() if not bad)


def end_of(job, name, how):
    return {"how": how, "name": name, "whole": job["states"] == {"transferred"} or is_tree(job), "uid": job["uid"],
            "files": {destination_of(job, path): bad for path, (_, bad) in job["files"].items()}}


def destination_of(job, path):
    where = job["props"]["destination"]
    return path if where == "." else where + "/" + path


def seen_state(world, name, word):
    """The client has read STATE itself: from here on only what follows from it is possible."""
    job = world["jobs"][name]
    job["states"] = onward({word}, job)


# --- checking -----------------------------------------------------------------------------------------


def check_job(name, job, seen):
    for key, wanted in (("mode", job["mode"]), ("uid", job["uid"])):
        if seen[key] != wanted:
            yield "%s: %s is %r, promised %r" % (name, key, seen[key], wanted)
    if job["id"] is not None and seen["id"] != job["id"]:
        yield "%s: the id is %s, was %s" % (name, seen["id"], job["id"])
    if seen["state"] not in job["states"]:
        yield "%s: the state is %s, possible: %s" % (name, seen["state"], " ".join(sorted(job["states"])))
    files = {path: url for path, (url, _) in job["files"].items()}
    if seen["files"] != files:
        yield "%s: the files are %r, promised %r" % (name, seen["files"], files)
    for prop, value in job["props"].items():
        if seen["props"][prop] != value:
            yield "%s: %s is %r, promised %r" % (name, prop, seen["props"][prop], value)


def check_end(label, end, seen):
    """END against the files of that label in the destination, PATH: owner."""
    placed = seen["dest"].get(label, {})
    result = seen["ended"].get(end["name"])
    wanted = "cancelled" if end["how"] == "cancel" else "acknowledged"
    if result != wanted:
        yield "%s: its outcome is %s, promised %s" % (label, result, wanted)
    for path, uid in placed.items():
        if end["how"] == "cancel" or path not in end["files"]:
            yield "%s: %s was placed, though the job was ended by %s" % (label, path, end["how"])
        elif end["files"][path]:
            yield "%s: %s was placed, though its checksum is wrong" % (label, path)
        elif uid != end["uid"]:
            yield "%s: %s belongs to %d, not to %d" % (label, path, uid, end["uid"])
    if end["how"] == "complete" and end["whole"]:
        for path in set(end["files"]) - set(placed):
            yield "%s: %s was promised whole and is not there" % (label, path)


def check(world, seen):
    """SEEN: {"jobs": {name: ...}, "dest": {label: {path: uid}}, "ended": {name: state}} of one client. Its
    complaints; jobs that have ended by themselves are moved to WORLD's ended ones."""
    for name, job in list(world["jobs"].items()):
        if name not in seen["jobs"] and job["auto"] and "transferred" in job["states"]:
            del world["jobs"][name]
            job["states"] = {"transferred"}
            world["ended"][job["label"]] = end_of(job, name, "complete")
    said = []
    for name, job in world["jobs"].items():
        if name in seen["jobs"]:
            said += check_job(name, job, seen["jobs"][name])
            said += ["%s: %s is in the destination before complete" % (name, path)
                     for path in seen["dest"].get(job["label"], {})]
        else:
            said.append("%s: the job is gone" % name)
    said += ["%s: a job that was not promised" % name for name in seen["jobs"] if name not in world["jobs"]]
    for label, end in world["ended"].items():
        said += check_end(label, end, seen)
    known = {job["label"] for job in world["jobs"].values()} | set(world["ended"])
    said += ["%s: %s is in the destination, of no job" % (label, path)
             for label in set(seen["dest"]) - known for path in seen["dest"][label]]
    return said


def resolve(worlds, seen):
    """(the world that fits what is SEEN, complaints). When both fit, all states of both are possible."""
    worlds = [copy.deepcopy(world) for world in worlds]
    complaints = [check(world, seen) for world in worlds]
    fitting = [world for world, said in zip(worlds, complaints) if not said]
    if not fitting:
        return worlds[-1], [["world %d: %s" % (i, line) for line in said] for i, said in enumerate(complaints)]
    world = fitting[-1]
    for name, job in world["jobs"].items():
        job["id"] = seen["jobs"][name]["id"]
        seen_state(world, name, seen["jobs"][name]["state"])
    return world, []
