"""A small study with real notebooks, models and rows, in a folder of its own, to be disturbed.

It is started by `make study`. Shared by the tests and by the command that measures the faults.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from safetensors import safe_open
from safetensors.torch import load_file

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
        # a training of a second is saved, too
        made.edit("progress.py", "SAVE_EVERY = 10.0", "SAVE_EVERY = 0.0")
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
        return set(re.findall(r"^Job \d+: (.* \(\w+\))$", text, flags=re.MULTILINE))

    def kill(self, running, *, orphans):
        """Kill the whole tree; with what left its process group, such as kernels, or without."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        if not orphans:
            self.end_all()

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
