"""kill.py [-s SEED] [-k] [KILLS]: kills a real daemon with SIGKILL at random moments of a mixed load by
several users, and checks after each that what it had acknowledged is so (promises.py). KILLS: 60.

-s SEED  of the commands and the moments of killing; printed. Threads are scheduled as they are, so a
         seed repeats the commands, not every interleaving
-k       keep the folder

XFERFS is the binary. Root: with jobs of several users. The last line is "N kills, 0 broken promises"."""
import errno, os, random, sys, threading, time

import campaign, promises
from campaign import Broken

CLIENTS = 4
IDLE = 3.0  # a moment to kill comes after so many seconds at the latest, when no command ends


class Campaign:
    def __init__(self, scene, seed, told=lambda client: None, env={}):
        self.scene, self.told_of, self.env = scene, told, env
        self.rng = random.Random(seed)
        self.clients = [campaign.Client(scene, i, seed, told) for i in range(CLIENTS)]
        self.ids = {}      # of every job ever seen: its label
        self.kills = 0
        self.broken = 0
        self.told = set()

    def complain(self, lines):
        for line in lines:
            if line not in self.told:
                self.told.add(line)
                self.broken += 1
                print("BROKEN after kill %d: %s" % (self.kills, line), flush=True)

    # --- a round ---------------------------------------------------------------------------------

    def load_until_killed(self, daemon):
        """The clients work; at a moment by commands done or by time the daemon is killed."""
        changed = threading.Condition()
        done = [0]
        over = [False]

        def count():
            with changed:
                done[0] += 1
                changed.notify()

        threads = [threading.Thread(target=client.run, args=(count, lambda: over[0]), daemon=True)
                   for client in self.clients]
        for thread in threads:
            thread.start()
        with changed:
            if self.rng.random() < 0.7:
                enough = self.rng.randrange(1, 150)
                changed.wait_for(lambda: done[0] >= enough, IDLE)
            else:
                changed.wait_for(lambda: False, self.rng.expovariate(4))
        # within a command rather than between two
        time.sleep(self.rng.random() * 0.01)
        over[0] = True
        died_of = daemon.kill()
        self.kills += 1
        self.complain([died_of] if died_of else [])
        for client, thread in zip(self.clients, threads):
            thread.join(60)
            if thread.is_alive():
                raise Broken("c%d hangs though the daemon is dead: %r" % (client.number, client.worlds))
            self.complain(client.failures)
            client.failures.clear()

    def verify(self):
        jobs, dest, ended, said = campaign.look(self.scene)
        self.complain(said)
        for name, job in jobs.items():
            label = self.label_of(name)
            if label and self.ids.setdefault(job["id"], label) != label:
                self.complain(["%s: its id %s was %s's" % (name, job["id"], self.ids[job["id"]])])
        for client in self.clients:
            seen = campaign.of_client(client.number, jobs, dest, ended)
            world, said = promises.resolve(client.worlds, seen)
            self.complain([line for world_said in said for line in world_said])
            client.worlds = [world]
            self.told_of(client)
            self.forget_ended(world, dest)

    def label_of(self, name):
        for client in self.clients:
            for world in client.worlds:
                if name in world["jobs"]:
                    return world["jobs"][name]["label"]
        return None

    def forget_ended(self, world, dest):
        """What was found in its place makes room."""
        for label in world["ended"]:
            for path in dest.get(label, {}):
                os.unlink(os.path.join(self.scene.dest, path))
        world["ended"].clear()

    def round(self):
        daemon = campaign.Daemon(self.scene, self.env)
        self.verify()
        self.load_until_killed(daemon)
        self.complain(campaign.look_dest(self.scene)[1])

    # --- the end ---------------------------------------------------------------------------------

    def drain(self):
        """Every job can still be brought to its end, with all that was promised, and leaves nothing."""
        daemon = campaign.Daemon(self.scene)
        self.verify()
        for client in self.clients:
            campaign.become(client.uid)
            self.drain_client(client)
        campaign.become(os.getuid())
        self.verify()
        daemon.stop()
        # of a job that has ended by itself the rest is deleted behind that; when the daemon has ended, all is
        self.complain(["%s: left over at the end" % path for path in campaign.temporaries(self.scene)])
        daemon.check_stderr()

    def drain_client(self, client):
        for name, job in sorted(client.worlds[0]["jobs"].items()):
            for path in [path for path, (_, bad) in job["files"].items() if bad]:
                client.rm(name, dict(job, files={path: None}))
            job = client.worlds[0]["jobs"][name]
            if job["auto"] and job["states"] != {"transferred"} and job["states"] != {"suspended"}:
                if self.wait_end(client, name) != "acknowledged":
                    client.worlds[0]["jobs"][name]["states"] = {"transferred"}
                    client.complete(name, job)
                continue
            if job["files"]:
                client.do(("set", name, "rate_limit", "max"), client.write, "max\n", name, "rate_limit")
                client.resume(name, job)
                if not job["auto"]:
                    client.look(name, "wait")
                    job = client.worlds[0]["jobs"][name]
                    if job["states"] != {"transferred"}:
                        self.complain(["%s: does not get transferred" % name])
                elif self.wait_end(client, name) == "acknowledged":
                    continue
            client.complete(name, job)
        self.complain(client.failures)

    def wait_end(self, client, name):
        try:
            return client.read(name, "wait")
        except OSError as e:  # it had ended before the file was opened, or read
            if e.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return "acknowledged"


def main():
    seed, kills, keep = campaign.begin(60)
    scene = campaign.Scene()
    test = Campaign(scene, seed)
    try:
        while test.kills < kills:
            test.round()
        test.drain()
    except Broken as e:
        test.complain([str(e)])
    finally:
        campaign.unmount(scene)
        scene.close(keep)
    tally = {}
    for client in test.clients:
        for what, n in client.tally.items():
            tally[what] = tally.get(what, 0) + n
    print("commands acknowledged:", ", ".join("%d %s" % (n, what) for what, n in sorted(tally.items())))
    print("%d kills, %d broken promises" % (test.kills, test.broken))
    sys.exit(1 if test.broken else 0)


if __name__ == "__main__":
    main()
