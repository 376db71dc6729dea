"""Completing many small files, beside mv of as many and sync; and one huge file."""
import os, tempfile, time

from bench import GIB, Daemon, Nginx, Part, Sample, noise, settle, wall

FILES = 10000


def one_mv(bench, disk):
    def run():
        source, target = (tempfile.mkdtemp(dir=os.path.join(disk, "mv")) for _ in range(2))
        for i in range(FILES):
            noise(os.path.join(source, "f%05d" % i), 4096)
        settle(FILES * 4096)
        return bench.measure(["sh", "-c", 'cd "$1" && find . -type f -exec mv -t "$2" {} +', "sh", source, target],
                             source, sync_fs=target)
    return run


def one_complete(daemon, lines, tree=False):
    def run():
        folder = tempfile.mkdtemp(dir=daemon.dest)
        job = daemon.new_job(lines, destination=os.path.basename(folder), commit="tree" if tree else "files")
        daemon.put(job, "resume", "1")
        if daemon.get(job, "wait") != "transferred":
            raise RuntimeError(daemon.get(job, "error")[:300])
        settle(FILES * 4096)
        cpu, begun = daemon.cpu(), time.monotonic()
        daemon.put(job, "complete", "1")
        sample = Sample(time.monotonic() - begun, daemon.cpu() - cpu, daemon.status("VmRSS"))
        if sum(1 for _ in os.scandir(folder)) != len(lines):
            raise RuntimeError("not all files are there")
        return sample
    return run


def run(bench):
    part = Part(bench, "complete", "Complete")
    root = os.path.join(bench.memory, "www")
    for i in range(FILES):
        noise(os.path.join(root, "s", "f%05d" % i), 4096)
    big = (1 if bench.quick else 4) * GIB
    noise(os.path.join(root, "big"), big)
    disk = bench.fresh_ext4()
    os.makedirs(os.path.join(disk, "mv"))
    nginx = Nginx(bench, root)
    daemon = Daemon(bench, os.path.join(disk, "complete"))
    lines = ["%s/s/f%05d" % (nginx.url, i) for i in range(FILES)]
    samples = bench.rounds_of({"xferfs": one_complete(daemon, lines), "mv and sync": one_mv(bench, disk),
                               "xferfs, commit=tree": one_complete(daemon, lines, tree=True)}, bench.rounds + 2)
    part.comparison("Completing 10,000 files of 4 KiB on ext4", samples, files=FILES)
    part.verdict("completing 10,000 files: time against mv and sync", wall(samples["xferfs"]) / wall(samples["mv and sync"]), 1.5, most=True)
    huge = bench.rounds_of({"xferfs": one_complete(daemon, [nginx.url + "/big"])}, 2)
    part.comparison("Completing one file of %d GiB on ext4" % (big / GIB), huge)
    daemon.stop()
    nginx.stop()
    return part
