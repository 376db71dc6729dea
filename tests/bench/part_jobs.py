"""Many jobs with ten files each: ls, find, stat, memory, start."""
import os, shutil, subprocess, time
from concurrent.futures import ThreadPoolExecutor

from bench import MIB, Daemon, Part, awake, settle

FILES = 10


def fill(daemon, jobs):
    """Side by side: what several ask at once is saved together."""
    def make(i):
        os.mkdir(daemon.path("job%06d" % i))
        daemon.add("job%06d" % i, ["http://127.0.0.1:9/%d/%d f%d" % (i, f, f) for f in range(FILES)])
    with ThreadPoolExecutor(32) as pool:
        for _ in pool.map(make, range(jobs), chunksize=100):
            pass


def timed(*argv):
    begun = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    return time.monotonic() - begun, done.stdout.count(b"\n")


def stat_all(daemon, jobs):
    """The best of three: a tenth of a second is a moment's noise."""
    took = []
    for _ in range(3):
        begun = time.monotonic()
        for i in range(jobs):
            os.stat(daemon.path("job%06d" % i, "state"))
        took.append(time.monotonic() - begun)
    return min(took)


def one(bench, jobs):
    daemon = Daemon(bench, os.path.join(bench.disk, "jobs"))
    empty = daemon.status("VmRSS")
    begun = time.monotonic()
    fill(daemon, jobs)
    made = time.monotonic() - begun
    daemon.stop()
    settle()
    start = daemon.start()
    rss = daemon.status("VmRSS") - empty
    with awake():
        ls, lines = timed("ls", "-l", daemon.mnt)
        assert lines == jobs + 1
        index, lines = timed("cat", daemon.mnt + "/.xferfs/index")
        find, names = timed("find", daemon.mnt)
        stat = stat_all(daemon, jobs)
    daemon.stop()
    shutil.rmtree(os.path.dirname(daemon.dest))
    bench.say("    %7d jobs: made in %.1f s, start %.2f s, ls -l %.2f s, find %.1f s" % (jobs, made, start, ls, find))
    return {"jobs": jobs, "made": made, "start": start, "rss": rss, "ls": ls, "index": index, "find": find, "names": names, "stat": stat}


def run(bench):
    part = Part(bench, "jobs", "Many jobs of ten files")
    results = [one(bench, n) for n in ((100, 1000, 10000) if bench.quick else (1000, 10000, 100000))]
    part.table("Jobs with ten files each", [
        "jobs", "files", "made, jobs/s", "memory, MiB", "bytes per file", "start, s", "ls -l, s", "cat .xferfs/index, s",
        "find, s", "find, names/s", "stat of each state, s"],
        [["{:,}".format(r["jobs"]), "{:,}".format(r["jobs"] * FILES), "%.0f" % (r["jobs"] / r["made"]), "%.1f" % (r["rss"] / MIB),
          "%.0f" % (r["rss"] / r["jobs"] / FILES), "%.2f" % r["start"], "%.3f" % r["ls"], "%.3f" % r["index"], "%.2f" % r["find"],
          "%.0f" % (r["names"] / r["find"]), "%.2f" % r["stat"]] for r in results],
        "Each job is made by a mkdir and a write to `add`, 32 at a time, each durable.")
    small, large = results[-2], results[-1]
    for key, name in (("rss", "memory"), ("start", "start-up time"), ("ls", "ls -l"), ("find", "find"), ("stat", "stat")):
        part.verdict("ten times the jobs: %s" % name, large[key] / small[key], 13, most=True)
    return part
