"""Measures what a fault costs: `make faults`. A table and its numbers are left in runs/faults/.

Each fault meets the small study of ``faulty.py``; the next start must end it with equal rows.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from faulty import CHAIN, ROOT, Faulty, cut_short, disk, edited, jump, killed_studies

from spotter_core.progress import SAVE_EVERY

SLOW_CELL = """import signal, time

signal.signal(signal.SIGINT, signal.SIG_IGN)
time.sleep(1000)"""
HEAD = (
    "fault",
    "finished before the next start",
    "made again",
    "seconds lost in all",
    "next start, seconds",
)


class Bench:
    """An undisturbed study, and copies of it, or of the project before it, to be disturbed."""

    def __init__(self, folder):
        self.folder = folder
        self.lengths = []
        self.whole = self.undisturbed()
        self.content = self.whole.content()

    @property
    def seconds(self):
        """How long it takes undisturbed; measured before all faults and behind, as others work."""
        return sum(self.lengths) / len(self.lengths)

    def undisturbed(self):
        study = Faulty.copied(self.folder / f"undisturbed{len(self.lengths)}")
        begun = time.monotonic()
        status, text = study.start()
        assert status == 0, text
        self.lengths.append(time.monotonic() - begun)
        print(f"undisturbed {self.lengths[-1]:.1f} s", flush=True)
        return study

    def fresh(self, name):
        return Faulty.copied(self.folder / name)

    def finished(self, name):
        shutil.copytree(self.whole.folder, self.folder / name)
        return Faulty(self.folder / name)

    def recovered(self, study, fault, before, spent):
        """Start once more and say what that took; ``spent`` seconds were worked before it."""
        begun = time.monotonic()
        status, text = study.start()
        took = time.monotonic() - begun
        if status != 0:
            print(text)
        now = study.finished()
        again = sorted(name for name, stamp in before.items() if now.get(name) != stamp)
        return self.record(study, fault, len(before), again, spent, took, status)

    def record(self, study, fault, before, again, spent, took, status):
        """Say what the start took that completed a study, and whether it is as the undisturbed."""
        record = {
            "fault": fault,
            "finished before": before,
            "made again": again,
            "before": spent,
            "next start": took,
            "completes": status == 0,
            "equal": study.content() == self.content,
        }
        print(json.dumps(record), flush=True)
        return record


def add_to_notebook(study, name, code):
    """Add a cell of code to a notebook; return what takes it away."""
    path = study.folder / "notebooks" / f"{name}.ipynb"
    before = path.read_bytes()
    content = json.loads(before)
    cell = {"cell_type": "code", "id": "fault", "metadata": {}, "source": code}
    content["cells"].append(cell | {"outputs": [], "execution_count": None})
    path.write_text(json.dumps(content), encoding="utf-8")
    return lambda: path.write_bytes(before)


def killed(bench, times=10):
    """`kill -9` of the whole tree at random moments; every other time what left its group stays."""
    number, records = itertools.count(), []
    whole = len(bench.whole.finished())
    studies = killed_studies(
        lambda: bench.fresh(f"killed{next(number)}"),
        whole,
        bench.seconds,
        times=times,
        orphans=True,
    )
    for study, starts in studies:
        cut_off = [start for start in starts if start.killed]
        fault = f"`kill -9` of the whole tree, in one study: {len(cut_off)}"
        again = sorted({name for start in starts for name in start.again})
        spent = sum(start.seconds for start in cut_off)
        if starts[-1].killed:
            record = bench.recovered(study, fault, study.finished(), spent)
            record["made again"] = sorted({*record["made again"], *again})
        else:  # it completed before its kill came
            last = starts[-1]
            record = bench.record(
                study, fault, last.before, again, spent, last.seconds, last.status
            )
        records.append(record | {"starts": [asdict(start) for start in starts]})
    assert sum(start["killed"] for one in records for start in one["starts"]) == times
    return records


def filled(bench):
    """A disk of 200 KB for `runs/`, made larger afterwards."""
    study = bench.fresh("filled")
    with disk(study.folder / "runs", "200k") as small:
        begun = time.monotonic()
        status, text = study.start()
        assert status != 0
        assert "No space left" in text, text
        assert "Traceback" not in text, text
        spent = time.monotonic() - begun
        small.resize("200m")
        return [bench.recovered(study, "a full disk, then made larger", study.finished(), spent)]


def locked_away(bench):
    """`runs/` becomes read-only once notebook 01 has ended."""
    study = bench.fresh("readonly")
    with disk(study.folder / "runs", "200m") as own:
        begun = time.monotonic()
        assert study.start(target=CHAIN[0])[0] == 0
        own.read_only()
        status, text = study.start()
        assert status != 0
        assert "Read-only file system" in text, text
        spent = time.monotonic() - begun
        own.writable()
        return [bench.recovered(study, "a read-only folder", study.finished(), spent)]


def cut(bench):
    """Checkpoints and rows of a finished study are cut short; a job that needs them is begun."""
    study = bench.finished("cut")
    names = sorted(study.finished())
    cut_short(study.run / name for name in names[::3])
    for step in study.run.glob("jobs/0*/*.done"):
        step.unlink()
    return [
        bench.recovered(study, f"{len(names[::3])} files cut short", study.finished(), None)
        | {"cut": names[::3]}
    ]


def raising(bench):
    study = bench.fresh("raising")
    mend = add_to_notebook(study, CHAIN[1], "raise KeyError('weights')")
    begun = time.monotonic()
    status, text = study.start()
    assert status != 0
    assert "FAILED 02_unlearn.ipynb: cell" in text, text
    spent = time.monotonic() - begun
    mend()
    return [bench.recovered(study, "a notebook that raises", study.finished(), spent)]


def hanging(bench, limit=20):
    study = bench.fresh("hanging")
    study.limit_cells(limit)
    mend = add_to_notebook(study, CHAIN[2], SLOW_CELL)
    begun = time.monotonic()
    status, text = study.start()
    assert status != 0
    assert f"FAILED 03_over_unlearning.ipynb: a cell ran longer than the limit of {limit} s" in text
    spent = time.monotonic() - begun
    mend()
    fault = f"a cell that hangs, and hears no interrupt (limit {limit} s)"
    return [bench.recovered(study, fault, study.finished(), spent)]


def twice(bench):
    """A second study beside the first, and then a third that goes round the lock."""
    study = bench.fresh("twice")
    begun = time.monotonic()
    first = study.begin()
    while not (study.folder / ".runlock").exists():
        time.sleep(0.1)
    time.sleep(1)
    status, text = study.start()
    assert status != 0
    assert "Another `make study` is running in this folder" in text, text
    while not study.run.joinpath("jobs", "data.json").exists():
        time.sleep(0.1)
    words = ["snakemake", "--nolock", "--config", "profile=faults", "--"]
    words.append(str(study.done_file(CHAIN[2]).relative_to(study.folder)))
    beside = study.command()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    second = subprocess.Popen(words, cwd=beside["cwd"], env=beside["env"], **quiet)
    second.wait()
    first.wait()
    spent = time.monotonic() - begun
    return [bench.recovered(study, "two studies at once, lock gone round", study.finished(), spent)]


def jumped(bench):
    """A day that the clock was ahead for half of the files, a year that it was behind."""
    records = []
    for days in (1, -365):
        study = bench.finished(f"jumped{days}")
        jump(study.run, days)
        study.done_file(CHAIN[2]).unlink()
        fault = f"a clock that jumped by {days:+} days"
        records.append(bench.recovered(study, fault, study.finished(), None))
    return records


def changed(bench):
    """A measurement is edited while notebook 01 runs, and the edit taken back afterwards."""
    study = bench.fresh("changed")
    begun = time.monotonic()
    running = study.begin()
    while not list(study.run.glob("models/*/retrain.safetensors")):
        time.sleep(0.1)
    with edited(study.folder / "spotter_core" / "divergence.py"):
        assert running.wait() != 0
    spent = time.monotonic() - begun
    return [bench.recovered(study, "a core file edited in the middle", study.finished(), spent)]


FAULTS = (killed, filled, locked_away, cut, raising, hanging, twice, jumped, changed)


def lost(one, seconds):
    """Return the seconds that a study took longer; all of the next start, where it had ended."""
    return one["next start"] + (0.0 if one["before"] is None else one["before"] - seconds)


def table(records, lengths):
    """Return the measurements as a Markdown table."""
    seconds = sum(lengths) / len(lengths)
    lines = [
        f"Undisturbed, before and behind: {' and '.join(f'{x:.0f} s' for x in lengths)}. Lost is "
        "what a disturbed study took longer than their mean, known no better than these two agree, "
        "so it may be below 0. A training is saved after each of its epochs here; in shipped code "
        f"{SAVE_EVERY:g} s after the last saving: up to {SAVE_EVERY:g} s and an epoch are lost, "
        "and a shorter training begins again.",
        "",
        f"| {' | '.join([*HEAD, 'rows equal'])} |",
        f"|{'---|' * (len(HEAD) + 1)}",
    ]
    for one in records:
        values = [one["fault"], one["finished before"], len(one["made again"])]
        values += [f"{lost(one, seconds):+.0f}", f"{one['next start']:.0f}"]
        values.append("yes" if one["completes"] and one["equal"] else "NO")
        lines.append(f"| {' | '.join(map(str, values))} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[f.__name__ for f in FAULTS])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "faults")
    options = parser.parse_args()
    chosen = [f for f in FAULTS if not options.only or f.__name__ in options.only]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        records = []
        for fault in chosen:
            try:
                records += fault(bench)
            except PermissionError as error:
                print(f"{fault.__name__}: left out, {error}", file=sys.stderr)
        bench.undisturbed()
    text = table(records, bench.lengths)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "faults.md").write_text(text, encoding="utf-8")
    numbers = {"undisturbed": bench.lengths, "faults": records}
    (options.out / "faults.json").write_text(json.dumps(numbers, indent=1), encoding="utf-8")
    print(text)
    return int(not all(one["completes"] and one["equal"] for one in records))


if __name__ == "__main__":
    sys.exit(main())
