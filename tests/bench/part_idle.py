"""10,000 idle jobs: nothing may happen by itself."""
import os, shutil, time

from bench import MIB, Daemon, Part
from part_jobs import FILES, fill


def run(bench):
    part = Part(bench, "idle", "At rest")
    jobs = 2000 if bench.quick else 10000
    daemon = Daemon(bench, os.path.join(bench.disk, "idle"))
    fill(daemon, jobs)
    time.sleep(5) # what the making has left: threads that end, events that are told
    cpu, switches = daemon.cpu(), daemon.switches()
    time.sleep(10)
    cpu, switches = daemon.cpu() - cpu, daemon.switches() - switches
    rss = daemon.status("VmRSS")
    part.table("%s idle jobs of %d files, over 10 s" % ("{:,}".format(jobs), FILES),
               ["CPU s", "voluntary context switches", "memory, MiB"], [["%.4f" % cpu, switches, "%.1f" % (rss / MIB)]])
    part.verdict("at rest: context switches in 10 s", switches, 0, most=True)
    part.verdict("at rest: CPU seconds in 10 s", cpu, 0, most=True)
    part.verdict("at rest: memory, MiB", rss / MIB, 100, most=True)
    daemon.stop()
    shutil.rmtree(os.path.dirname(daemon.dest))
    return part
