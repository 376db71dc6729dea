"""main.py BUILD XFERFS [--quick] [--rounds N] [PART]...: runs the parts, then writes BUILD/results.md and BUILD/performance.svg."""
import argparse, importlib, signal, sys, time

from bench import Bench
import report

PARTS = ["large", "small", "limited", "shared", "queue", "jobs", "idle", "control", "complete"]


def end(number, frame):
    """The parts clean up as they are left; once is enough."""
    for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("xferfs")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("parts", nargs="*")
    args = parser.parse_intermixed_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    for name in args.parts or PARTS:
        bench = Bench(args.build, args.quick, args.rounds, args.xferfs)
        with bench.stack:
            bench.say(name)
            begun = time.monotonic()
            part = importlib.import_module("part_" + name).run(bench)
            if part:
                part.data["seconds"] = time.monotonic() - begun
                part.save()
            bench.say("  (%.0f s)" % (time.monotonic() - begun))
    report.write(args.build, PARTS)


main()
