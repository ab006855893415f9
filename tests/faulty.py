"""A small study with real notebooks, models and rows, in a folder of its own, to be disturbed.

It is started by `make study`. Shared by the tests and by the command that measures the faults.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from spotter_core.progress import SAVE_EVERY

ROOT = Path(__file__).parents[1]
CHAIN = ("01_train_and_retrain", "02_unlearn", "03_over_unlearning")
SHORT = {"batch_size": 32, "epochs": 4, "learning_rate": 0.001}
SMALL = {
    "label": "Faults",
    "model": {"name": "small_cnn", "width": 8},
    "recipe": {"epochs": 5, "batch_size": 64, "learning_rate": 0.1},
    "forget": [[3]],
    "attacked": [[3]],
    "seeds": [0, 1],
    "methods": {
        "retrain": {},
        "delete": SHORT,
        "spotter": {**SHORT, "epochs": 3, "twins": 2},
        "random_label": {**SHORT, "learning_rate": 1e30},  # diverges
    },
    "curves": ["PGD toward"],
    "epsilons": [0.1],
    "supports": 2,
    "evaluated": 200,
    "jobs": {"02_unlearn": 2},
    "threads": 1,
    "minutes": 5,
}
CALM = ("PYTHON", "PYTEST", "MAKE", "SPOTTER", "MFLAGS", "SNAKEMAKE")
"""Beginnings of environment variables that a study in a test must not see."""


def surroundings(**more):
    """Return the environment that a study is started in."""
    found = {k: v for k, v in os.environ.items() if not k.startswith(CALM)}
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"
    return found | more


def processes_in(folder):
    """Return the processes that were started in a folder, or in one that it holds."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            at, state = (entry / "cwd").readlink(), (entry / "stat").read_text()
        except OSError:  # gone, or another user's
            continue
        if at.is_relative_to(folder) and state.rpartition(")")[2].split()[0] != "Z":
            found.append(int(entry.name))
    return found


def end(pids):
    """Kill the processes, and wait until they are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


# --- what is done to files ------------------------------------------------------------------------


def jump(folder, days, which=slice(None, None, 2)):
    """Move the times of files by so many days, as if a clock had jumped after they were made.

    Args:
        folder: Whose files, at any depth.
        days: Ahead, or back if negative.
        which: Of the files in the order of their names; every second one by default.
    """
    for path in sorted(p for p in folder.rglob("*") if p.is_file())[which]:
        moved = path.stat().st_mtime + 86400 * days
        os.utime(path, (moved, moved))


def cut_short(paths):
    """Leave nothing of a file, a byte, half of it, all but a byte, in turn."""
    for index, path in enumerate(paths):
        size = path.stat().st_size
        os.truncate(path, [0, 1, size // 2, size - 1][index % 4])


@contextlib.contextmanager
def edited(path, code="EDITED = 1"):
    """Add code to a file; it is taken away at the end."""
    before = path.read_bytes()
    path.write_bytes(before + f"\n\n{code}\n".encode())
    try:
        yield
    finally:
        path.write_bytes(before)


# --- studies --------------------------------------------------------------------------------------


class Faulty:
    """The project, with a small profile of its own, in a folder of its own."""

    def __init__(self, folder, name="faults"):
        self.folder = folder.resolve()
        self.name = name
        self.run = self.folder / "runs" / name
        self.environment = {}

    @classmethod
    def copied(cls, folder, **settings):
        """Copy the project into a folder in which nothing is done yet."""
        ignore = shutil.ignore_patterns("__pycache__")
        for name in ("spotter_core", "profiles"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        (folder / "notebooks").mkdir()
        for path in (ROOT / "notebooks").glob("*.ipynb"):
            shutil.copy(path, folder / "notebooks")
        for name in ("Snakefile", "Makefile"):
            shutil.copy(ROOT / name, folder)
        made = cls(folder)
        made.profile(**settings)
        # a training of a second is saved, too: shipped code would begin it again
        made.edit("progress.py", f"SAVE_EVERY = {SAVE_EVERY}", "SAVE_EVERY = 0.0")
        return made

    def profile(self, name="faults", **settings):
        """Write the profile of a small study."""
        about = yaml.safe_load((ROOT / "profiles" / "digits.yaml").read_text(encoding="utf-8"))
        text = yaml.safe_dump(about | SMALL | settings, sort_keys=False)
        (self.folder / "profiles" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def edit(self, name, old, new):
        """Change a file of the core; as an editor does it, in one step."""
        path = self.folder / "spotter_core" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        made = path.with_suffix(".edited")
        made.write_text(text.replace(old, new), encoding="utf-8")
        made.replace(path)

    def done_file(self, step, job="all"):
        return self.run / "jobs" / step / f"{job}.done"

    def command(self, *options, target=CHAIN[-1], **process):
        """The arguments of a process that is `make study`, up to a notebook."""
        words = ["make", "--silent", "-o", ".venv/.ready", "study", f"PROFILE={self.name}"]
        wanted = ["--", str(self.done_file(target).relative_to(self.folder))] if target else []
        words.append(f"ARGS={' '.join([*options, *wanted])}")
        environment = surroundings(**self.environment)
        return {"args": words, "cwd": self.folder, "env": environment} | process

    def begin(self, *options, **process):
        """Start and go on; what is printed goes to a file."""
        with open(self.folder / "printed.txt", "a", encoding="utf-8") as printed:
            return subprocess.Popen(
                **self.command(*options, **process),
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self, *options, **process):
        """Start and wait; return exit status and what was printed."""
        together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        ended = subprocess.run(**self.command(*options, **process), **together, check=False)
        return ended.returncode, ended.stdout

    def planned(self, **options):
        """The jobs that a start would run."""
        status, text = self.start("--dry-run", **options)
        assert status == 0, text
        return set(re.findall(r"^ *Job \d+: (.* \(\w+\))$", text, flags=re.MULTILINE))

    def limit_cells(self, seconds):
        """Let no cell of a notebook run longer than so many seconds, whatever the profile says."""
        path = self.folder / "Snakefile"
        text = path.read_text(encoding="utf-8")
        assert "$((60 * (" in text
        path.write_text(text.replace("$((60 * (", f"$(({seconds} + 0 * ("), encoding="utf-8")

    def kill(self, running, *, after, orphans):
        """Kill the whole tree after so many seconds; return whether it was still at work.

        What left its process group, such as kernels, is killed with it, or else stays as orphans.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(after)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        if not orphans:
            self.end_all()
        return running.returncode == -signal.SIGKILL

    def end_all(self):
        """Kill whatever was started in the folder, until nothing is left."""
        while left := processes_in(self.folder):
            end(left)
            time.sleep(0.05)

    def finished(self):
        """Time stamps of the files that were finished: models, rows, failures."""
        kinds = ("models/*/*.safetensors", "models/*/*.diverged.json", "rows/*/*.json")
        paths = [path for kind in kinds for path in self.run.glob(kind)]
        wanted = [p for p in paths if not p.name.startswith(".") and ".partial" not in p.name]
        return {str(p.relative_to(self.run)): p.stat().st_mtime_ns for p in wanted}

    def content(self):
        """What was made, by name: tensors as lists of bytes, rows and failures as they are."""
        found = {}
        for name in self.finished():
            path = self.run / name
            if name.endswith(".safetensors"):
                tensors = load_file(path)
                found[name] = {
                    k: (v.dtype, v.shape, bytes(v.flatten().view(-1).numpy().tobytes()))
                    for k, v in tensors.items()
                }
            else:
                found[name] = path.read_bytes()
        for path in sorted((self.folder / "figures" / self.name).glob("*.json")):
            found[f"figures/{path.name}"] = path.read_bytes()
        return found

    def seconds(self):
        """How long the models took that are there, by name."""
        found = {}
        for path in self.run.glob("models/*/*.safetensors"):
            if path.name.startswith(".") or ".partial" in path.name:
                continue
            with safe_open(path, framework="pt") as file:
                found[str(path.relative_to(self.run))] = json.loads(file.metadata()["record"])[
                    "seconds"
                ]
        return found


KILLS = 3
"""Of one study at most: those that come later would all meet its start."""


@dataclass(frozen=True)
class Start:
    """A start of a study that was to be killed.

    Attributes:
        killed: Whether the kill met it at work; it had ended before, else.
        status: Its exit status.
        seconds: How long it ran.
        before: How many files were finished before it.
        again: Those of them that it made again, or lost.
    """

    killed: bool
    status: int
    seconds: float
    before: int
    again: list[str]


def killed_studies(fresh, whole, length, *, times=10, seed=0, orphans=False):
    """Kill studies until so many kills met one at work; yield each that is to be completed.

    A moment is drawn over what the study still takes, by the files that it lacks.

    Args:
        fresh: Returns another study, in which nothing is done.
        whole: How many files a study finishes.
        length: How many seconds it takes.
        times: Kills in all.
        seed: Of the moments.
        orphans: Whether every other kill leaves what left the process group.

    Yields:
        A study and its starts; of these only the last may have ended before it was killed.
    """
    draw, met = random.Random(seed), 0
    while met < times:
        study, starts = fresh(), []
        while met < times and len(starts) < KILLS and all(start.killed for start in starts):
            before = study.finished()
            moment = draw.uniform(0.0, length * max(1.0 - len(before) / whole, 0.1))
            begun, running = time.monotonic(), study.begin()
            killed = study.kill(running, after=moment, orphans=orphans and met % 2 == 1)
            spent, now = time.monotonic() - begun, study.finished()
            again = sorted(str(name) for name in before if now.get(name) != before[name])
            starts.append(Start(killed, running.returncode, spent, len(before), again))
            met += killed
        yield study, starts


class Disk:
    """A small disk in memory."""

    def __init__(self, folder):
        self.folder = folder

    def _mount(self, options, *rest):
        words = ["mount", "-t", "tmpfs", "-o", options, *rest, "faults", str(self.folder)]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            raise PermissionError(f"no disk can be made here: {made.stderr.strip()}")

    def resize(self, size):
        self._mount(f"remount,size={size}")

    def read_only(self):
        self._mount("remount,ro")

    def writable(self):
        self._mount("remount,rw")


@contextlib.contextmanager
def disk(folder, size):
    """Put a disk of that size where a folder is; ``PermissionError`` where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    own = Disk(folder)
    own._mount(f"size={size}")
    try:
        yield own
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
