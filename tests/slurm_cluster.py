"""A real SLURM on this machine: a controller and two nodes on loopback, each with "one GPU".

Its parts are Debian's (`slurm-wlm`, `munge`); the nodes are two daemons under names of their own.
The configuration must lie where SLURM looks for it by itself, since jobs are started without the
variable that could name another place; so this needs root, and refuses where one is there already.

    python tests/slurm_cluster.py             to try things on: it is there until Ctrl-C
    python tests/slurm_cluster.py --check     only says whether there can be one here
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

WRITTEN = "# Written by Spotter's test of SLURM, which takes it away again.\n"
CONFIG = Path("/etc/slurm/slurm.conf")
GENERIC = Path("/etc/slurm/gres.conf")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol")
NODES = {"node1": 17001, "node2": 17002}
SETTINGS = """ClusterName=spotter
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
KillWait=5
SlurmdTimeout=60
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# More processors than there are: what is asked for is shared out, not what is used
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
    "CPUs=8 RealMemory=16000 Gres=gpu:1\n"
)


class Running(NamedTuple):
    """A job that runs, by number, and its node."""

    job: str
    node: str


def lacking():
    """Why there can be no cluster here, in words; nothing where there can."""
    gone = [name for name in PROGRAMS if which(name) is None]
    if gone:
        return f"{', '.join(gone)} not installed: apt install slurm-wlm munge"
    if os.geteuid() != 0:
        return "it needs root, to write /etc/slurm/slurm.conf"
    for path in (CONFIG, GENERIC):
        if path.is_file() and not path.read_text(encoding="utf-8").startswith(WRITTEN):
            return f"{path} is there: another SLURM lives here, which is left alone"
    if CONFIG.is_file() and answers():
        return "such a cluster runs already: end it first (Ctrl-C where it was started)"
    return ""


def answers():
    """Whether a controller is there."""
    told = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False)
    return told.stdout.strip().endswith("is UP")


def which(name):
    """Where a program is; daemons are often not on the path."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def wait_for(condition, seconds, what):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.5)


class Slurm:
    """The cluster, from its entering to its leaving as a context."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.host = socket.gethostname()

    def __enter__(self):
        (self.folder / "state").mkdir(parents=True)
        CONFIG.parent.mkdir(exist_ok=True)
        nodes = "".join(NODE.format(name=n, host=self.host, port=p) for n, p in NODES.items())
        settings = SETTINGS.format(host=self.host, folder=self.folder)
        CONFIG.write_text(WRITTEN + settings + nodes, encoding="utf-8")
        GENERIC.write_text(f"{WRITTEN}NodeName=node[1-2] Name=gpu Count=1 File=/dev/null\n")
        try:
            self.start_munge()
            self.start_controller("-i")
            for name in NODES:
                self.start_node(name)
            wait_for(lambda: self.states() == dict.fromkeys(NODES, "idle"), 60, "two idle nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.ask("scancel", "--user=root", check=False)
        with contextlib.suppress(
            AssertionError
        ):  # killed before, the daemons would leave jobs behind
            wait_for(lambda: not self.running(), 30, "the jobs' end")
        pids = [self.folder / f"{name}.pid" for name in ("slurmctld", *NODES, "munged")]
        for path in pids:
            if path.is_file():
                subprocess.run(["kill", "-9", path.read_text().strip()], check=False)
        for path in (CONFIG, GENERIC):
            if path.is_file() and path.read_text(encoding="utf-8").startswith(WRITTEN):
                path.unlink()

    def start_munge(self):
        """Start the daemon that signs messages, with a key and a socket of its own."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        places = {
            "--key-file": key,
            "--socket": self.folder / "munge.socket",
            "--log-file": self.folder / "munge.log",
            "--pid-file": self.folder / "munged.pid",
            "--seed-file": self.folder / "munge.seed",
        }
        # --force: the folder is a test's, which others may look into
        given = [f"{name}={path}" for name, path in places.items()]
        subprocess.run([which("munged"), "--force", *given], check=True)

    def start_controller(self, *options):
        """Start the controller; what it knew before is read from its state."""
        subprocess.run([which("slurmctld"), *options], check=True)
        wait_for(answers, 30, "a ping")

    def start_node(self, name):
        """Start the daemon of a node."""
        subprocess.run([which("slurmd"), "-N", name], check=True)

    def stop_controller(self):
        """Kill the controller."""
        pid = (self.folder / "slurmctld.pid").read_text().strip()
        subprocess.run(["kill", "-9", pid], check=True)
        wait_for(lambda: not Path("/proc", pid).exists(), 10, "the controller's end")

    def ask(self, *command, check=True):
        """What a command of SLURM's answers."""
        ended = subprocess.run(command, capture_output=True, text=True, check=check)
        return ended.stdout.strip()

    def states(self):
        """Nodes and their states."""
        lines = self.ask("sinfo", "-h", "-N", "-o", "%N %T", check=False).splitlines()
        return dict(line.split() for line in lines)

    def has_heard_of(self, node):
        """Whether a node has answered the controller since that was started."""
        return "UNKNOWN" not in self.ask("scontrol", "show", "node", node)

    def written(self):
        """When the controller wrote down what it knows of jobs."""
        return (self.folder / "state" / "job_state").stat().st_mtime

    def working(self):
        """Jobs that run, if the work of each has begun; else none."""
        steps = self.ask("squeue", "-h", "-s", "-o", "%i", check=False).split()
        begun = {step.removesuffix(".0") for step in steps if step.endswith(".0")}
        jobs = {job.job for job in self.running()}
        return jobs if jobs <= begun else set()

    def running(self):
        """Jobs that run now."""
        lines = self.ask("squeue", "-h", "-t", "R", "-o", "%i %N", check=False).splitlines()
        return [Running(*line.split()) for line in lines]


def main():
    """Start a cluster, say how it is used, and wait."""
    if reason := lacking():
        return f"No SLURM here: {reason}."
    if sys.argv[1:] == ["--check"]:
        return None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder, Slurm(Path(folder) / "slurm"):
        print(f"Two nodes, {', '.join(NODES)}, partition main. Try: sinfo; make study ON=slurm")
        print("Ctrl-C takes it down.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return None


if __name__ == "__main__":
    sys.exit(main())
