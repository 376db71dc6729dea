"""Files queued in 100 jobs: memory, adding, start, and what a file costs while the queue is long."""
import os, shutil, time

from bench import MIB, Daemon, Nginx, Part, noise, settle

JOBS = 100


def one(bench, nginx, files):
    daemon = Daemon(bench, os.path.join(bench.disk, "queue%d" % files))
    empty = daemon.status("VmRSS")
    per_job = files // JOBS
    begun = time.monotonic()
    for j in range(JOBS):
        daemon.new_job(["%s/small?%d a%06d" % (nginx.url, i, i) for i in range(per_job)], "job%d" % j)
    added = time.monotonic() - begun
    rss = daemon.status("VmRSS")
    stored = sum(e.stat().st_size for e in os.scandir(os.path.join(daemon.dest, ".xferfs")) if "queue.db" in e.name)
    daemon.stop()
    settle()
    start = daemon.start()
    again = daemon.status("VmRSS")

    # All of them run: what does one file cost with that many behind it?
    seconds = 2 if bench.quick else 4
    begun = time.monotonic()
    for j in range(JOBS):
        daemon.put("job%d" % j, "resume", "1")
    resumed = time.monotonic() - begun
    time.sleep(1)
    count = lambda: sum(int(daemon.keys("job%d" % j, "progress")["files_transferred"]) for j in range(JOBS))
    before, cpu, begun = count(), daemon.cpu(), time.monotonic()
    time.sleep(seconds)
    fetched, cpu, took = count() - before, daemon.cpu() - cpu, time.monotonic() - begun
    peak = daemon.status("VmRSS")
    daemon.stop()
    bench.say("    %8d files: add %.1f s, start %.2f s, %.0f bytes per file" % (files, added, start, (again - empty) / files))
    return {"files": files, "dest": daemon.dest, "added": added, "rss": rss - empty, "again": again - empty, "start": start, "stored": stored,
            "resumed": resumed, "fetched": fetched, "rate": fetched / took, "cpu": cpu, "peak": peak - empty}


def run(bench):
    part = Part(bench, "queue", "Files queued in 100 jobs")
    root = os.path.join(bench.memory, "www")
    noise(os.path.join(root, "small"), 4096)
    nginx = Nginx(bench, root)
    results = [one(bench, nginx, n) for n in ((1000, 10000, 100000) if bench.quick else (10000, 100000, 1000000))]
    # Not one by one: ext4 gives new files no inode that was deleted within the last minutes, and looks for
    # others in vain (recently_deleted, three quarters of the daemon's time in the next size).
    for r in results:
        shutil.rmtree(os.path.dirname(r["dest"]))
    part.table("Files in 100 jobs", [
        "files", "adding, files/s", "memory, MiB", "bytes per file", "after a restart, bytes per file", "on disk, bytes per file",
        "start, s", "resume of all jobs, s"],
        [["{:,}".format(r["files"]), "%.0f" % (r["files"] / r["added"]), "%.1f" % (r["rss"] / MIB),
          "%.0f" % (r["rss"] / r["files"]), "%.0f" % (r["again"] / r["files"]), "%.0f" % (r["stored"] / r["files"]),
          "%.2f" % r["start"], "%.2f" % r["resumed"]] for r in results])
    part.table("Fetching files of 4 KiB while the rest is queued", ["queued", "files/s", "CPU of the daemon, µs per file"],
               [["{:,}".format(r["files"]), "%.0f" % r["rate"], "%.0f" % (r["cpu"] * 1e6 / r["fetched"]) if r["fetched"] else "all done"]
                for r in results], "From disk to disk, over loopback; the scheduler's turn is part of it.")
    small, large = results[-2], results[-1]
    part.verdict("ten times the files: memory per file", (large["again"] / large["files"]) / (small["again"] / small["files"]), 1.3, most=True)
    part.verdict("ten times the files: start-up time", large["start"] / small["start"], 13, most=True)
    if small["fetched"] and large["fetched"]:
        part.verdict("ten times the files: CPU per fetched file",
                     (large["cpu"] / large["fetched"]) / (small["cpu"] / small["fetched"]), 1.5, most=True)
    nginx.stop()
    return part
