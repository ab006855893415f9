"""The costs of a study that has run: what its jobs took, and what they take once all is made.

    python -m spotter_core.planning.measured digits

Without torch. Every notebook is executed twice more, on one cell and on all of them, when
everything is made: the difference of these two is what a cell takes to be loaded and drawn, and
what the first run took beyond them is what the cells took to be made. The result is written to
``profiles/NAME.costs.json``. Run the study one job at a time: ``make study ARGS="--cores 1"``,
in an empty folder and to its end: a job that was cut off and started again took less than its cells
did, and such a run is refused.

A job of one thread is counted by its processor time, which other work on the machine moves less
than the clock; one of several threads, or on a GPU, by the clock.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

from safetensors import safe_open

from spotter_core.files import project_root, settings_hash, write_text_atomically
from spotter_core.graph import FIRST, NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.planning.costs import (
    Costs,
    StepCost,
    Work,
    make_costs,
    models_of_cells,
    to_make,
)
from spotter_core.profiles import load_profile
from spotter_core.results import load_about
from spotter_core.sources import code_fingerprint, notebook_fingerprint
from spotter_core.usage import KEY, Usage, read_usage, usage_since

log = logging.getLogger(__name__)
AGAIN = "again"
"""Folder of the copies that were executed when everything was made."""
CLOCKS = 2.0
"""Seconds that the clocks of a disk and of the machine that writes to it may differ."""


def usage_of(path: Path) -> Usage:
    """Return what a job took that left this executed copy.

    Raises:
        ValueError: If it is not there, or says nothing of it.
    """
    advice = "run the study to its end first, on a system that counts processor time"
    try:
        found = read_usage(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ValueError(f"executed copy {path} can't be read ({error}): {advice}") from error
    if found is None:
        raise ValueError(f"executed copy {path} does not say what it took: {advice}")
    return found


def span_of(path: Path) -> tuple[float, float]:
    """Return when a job began and ended that left this executed copy, in seconds of the epoch.

    Raises:
        ValueError: If the copy does not say so.
    """
    told = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
    try:
        begin, end = (datetime.fromisoformat(told[key]) for key in ("start_time", "end_time"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"executed copy {path} does not say when it was made: {error!r}"
        ) from error
    return begin.timestamp(), end.timestamp()


# --- once more, with everything made --------------------------------------------------------------


def execute_again(graph: Graph, run: Path, name: str, cells: Sequence[str], copy: Path) -> None:
    """Execute a notebook on cells that are made; its pictures go beside the copy."""
    log.info("%s once more, on %d cell(s)", name, len(cells))
    values = {
        "profile": graph.profile.name,
        "run": str(run.resolve()),
        "cells": list(cells),
        "figures": str(copy.parent.resolve()),
    }
    given = [word for key, value in values.items() for word in ("-p", key, json.dumps(value))]
    command = ["spotter_core.execute", f"notebooks/{name}.ipynb", str(copy.resolve())]
    command += ["--log", str(copy.with_suffix(".log").resolve()), *given]
    subprocess.run([sys.executable, "-m", *command], check=True, cwd=project_root())


def prepare_again(graph: Graph, run: Path, kept: Path) -> None:
    """Start the job that trains an original, which is there, and keep what that took."""
    words = ["spotter_core.prepare", graph.profile.name, str(graph.all_cells[0])]
    words += ["--run", str(run.resolve()), "--methods", "original"]
    before, start = usage_since(0.0), time.time()
    subprocess.run([sys.executable, "-m", *words], check=True, cwd=project_root())
    after = usage_since(start)
    if before is None or after is None:
        raise ValueError("this system does not count processor time: measure on another one")
    took = {"seconds": after.seconds, "processor": after.processor - before.processor}
    write_text_atomically(kept, json.dumps({"metadata": {KEY: {**took, "memory": 0.0}}}))


def made_by(graph: Graph, step: str) -> str:
    """Return what identifies the code and the settings that a step is executed again with."""
    if step == ORIGINALS:
        code = code_fingerprint("spotter_core.prepare")
    else:
        code = notebook_fingerprint(project_root() / "notebooks" / f"{step}.ipynb")
    return settings_hash([code, asdict(graph.profile)])


def make_once(copy: Path, code: str, make: Callable[[], None]) -> None:
    """Have a copy made, unless it was already, and by this code; what made it is kept beside it."""
    kept = copy.with_suffix(".code")
    if copy.is_file() and kept.is_file() and kept.read_text(encoding="utf-8") == code:
        return
    kept.unlink(missing_ok=True)
    make()
    write_text_atomically(kept, code)


def make_again(graph: Graph, run: Path) -> None:
    """Execute what was not executed again yet; what was is kept, so that this can be cut off."""
    folder, cells = run / AGAIN, [str(cell) for cell in graph.all_cells]
    for name in NOTEBOOKS:
        for some, job in ((cells[:1], "one"), (cells, "all")):
            copy = folder / name / f"{job}.ipynb"
            make_once(
                copy, made_by(graph, name), partial(execute_again, graph, run, name, some, copy)
            )
    originals = folder / ORIGINALS / "one.json"
    make_once(originals, made_by(graph, ORIGINALS), partial(prepare_again, graph, run, originals))


# --- what that says -------------------------------------------------------------------------------


class Reader:
    """Reads the costs of a run.

    Args:
        graph: Of its study.
        run: Folder of its models, rows and jobs.
    """

    def __init__(self, graph: Graph, run: Path) -> None:
        self.graph, self.run = graph, run
        profile = graph.profile
        self.clock = "processor" if profile.threads == 1 and not profile.gpus else "seconds"

    def copies(self) -> list[Path]:
        """Return where the executed copies of all jobs lie; originals are trained without one."""
        jobs = [job for job in self.graph.jobs if job.step != ORIGINALS]
        return [self.run / "jobs" / job.step / f"{job.name}.ipynb" for job in jobs]

    def refuse_strays(self) -> None:
        """Raise ``ValueError`` if a model or rows were not written by jobs whose copies are kept.

        Then a job was cut off, and the copy is of the one that found its work done; or something
        was made once more, by other code.
        """
        spans = [span_of(path) for path in self.copies()]
        patterns = ["models/forget*/*.safetensors", "rows/*/*.json"]
        if not self.graph.parts(ORIGINALS):  # which leave no copy
            patterns.append("models/seed*/*.safetensors")
        strays = []
        for path in (path for pattern in patterns for path in sorted(self.run.glob(pattern))):
            written = path.stat().st_mtime
            if not any(begin - CLOCKS <= written <= end + CLOCKS for begin, end in spans):
                strays.append(str(path.relative_to(self.run)))
        if strays:
            raise ValueError(
                f"{len(strays)} files of {self.run}, such as {strays[0]}, were not written by the "
                "jobs whose executed copies are there: a job was cut off and started again, or "
                "something was made again by other code. What they took is not known: run the "
                "study to its end in an empty folder, and don't copy it"
            )

    def took(self, path: Path) -> float:
        """Return the seconds of a job by the clock that counts."""
        return float(getattr(usage_of(path), self.clock))

    @cached_property
    def training(self) -> list[float]:
        """Seconds that each original took to be trained, by its own record and the clock here."""
        found = []
        for path in sorted((self.run / "models").glob("seed*/original.safetensors")):
            with safe_open(path, framework="numpy") as file:
                found.append(float(json.loads(file.metadata()["record"])["seconds"]))
        if not found:
            raise ValueError(f"there is no original in {self.run}: run the study first")
        if self.graph.parts(ORIGINALS):  # trained in a job without a kernel, hence without a count
            return found
        job = self.run / "jobs" / FIRST / "all.ipynb"
        return [seconds * self.took(job) / usage_of(job).seconds for seconds in found]

    def step(self, name: str) -> StepCost:
        """Return the cost of a notebook."""
        again, jobs = self.run / AGAIN / name, self.graph.parts(name)
        copies = [self.run / "jobs" / job.step / f"{job.name}.ipynb" for job in jobs]
        count = len(self.graph.all_cells)
        one, whole = (self.took(again / f"{job}.ipynb") for job in ("one", "all"))
        shown = max(0.0, (whole - one) / (count - 1)) if count > 1 else 0.0
        start = max(0.0, one - shown)
        made = fmean(
            self.made(job, self.took(copy), start, shown)
            for job, copy in zip(jobs, copies, strict=True)
        )
        works = (Work(seconds=round(part, 2)) for part in (start, shown, made))
        return StepCost(
            start=next(works),
            shown=next(works),
            made=next(works),
            memory=max(usage_of(copy).memory for copy in copies),
            jobs=len(jobs),
        )

    def made(self, job: Job, took: float, start: float, shown: float) -> float:
        """Return the seconds that a job took for each cell that it made."""
        left = took - start - shown * len(self.graph.cells(job))
        if job.step == FIRST and not self.graph.parts(ORIGINALS):
            left -= sum(self.training)
        hard, _ = to_make(self.graph, job)  # the others' share is theirs, too: one run can't tell
        return max(0.0, left / max(1, hard))

    def originals(self) -> StepCost:
        """Return the cost of training an original in a job of its own."""
        each = self.training
        start = self.took(self.run / AGAIN / ORIGINALS / "one.json")
        made = Work(round(fmean(each), 2))
        return StepCost(start=Work(round(start, 2)), made=made, jobs=len(each))

    def disk(self) -> dict[str, float]:
        """Return MB of an original, of another model, of a cell's rows, of a job's copy and log."""

        def size(pattern: str) -> float:
            return sum(p.stat().st_size for p in self.run.glob(pattern) if p.is_file()) / 1e6

        found = {
            "original": size("models/seed*/*") / len(self.graph.profile.seeds),
            "model": size("models/forget*/*") / models_of_cells(self.graph),
            "rows": size("rows/*/*") / len(self.graph.all_cells),
            "job": size("jobs/*/*") / len(self.graph.jobs),
        }
        return {name: round(value, 4) for name, value in found.items()}

    def about(self, note: str) -> dict[str, Any]:
        """Return hardware and versions of the run, and in words how its costs were measured."""
        rows = next(iter(sorted((self.run / "rows").glob("*/*.json"))), None)
        known: dict[str, Any] = load_about(rows) if rows else {}
        facts: dict[str, Any] = {k: known[k] for k in ("hardware", "torch", "python") if k in known}
        how = {
            "processor": "processor time of one thread, as by the clock on a machine of its own",
            "seconds": "by the clock",
        }
        used = [usage_of(path) for path in self.copies() if path.is_file()]
        return {
            **facts,
            "threads": self.graph.profile.threads,
            "date": datetime.now(UTC).date().isoformat(),
            "seconds are": how[self.clock],
            "all jobs by the clock, s": round(sum(u.seconds for u in used), 1),
            "all jobs in processor time, s": round(sum(u.processor for u in used), 1),
            "note": note,
        }

    def costs(self, note: str = "") -> Costs:
        """Return all of it."""
        steps = {ORIGINALS: self.originals()} | {name: self.step(name) for name in NOTEBOOKS}
        return Costs("measured", self.about(note), steps, self.disk())


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute again what was not yet, write the profile's costs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m spotter_core.planning.measured", description=__doc__
    )
    parser.add_argument("profile", help="a file of profiles/ whose study has run")
    parser.add_argument("--run", type=Path, help="run folder; default runs/PROFILE")
    parser.add_argument("--note", default="", help="what a reader must know of the machine")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

    def make() -> Costs:
        graph = Graph(load_profile(options.profile))
        run = options.run or project_root() / "runs" / options.profile
        reader = Reader(graph, run)
        for path in reader.copies():
            usage_of(path)  # all that is lacking is told before the first is executed again
        reader.refuse_strays()
        make_again(graph, run)
        reader.refuse_strays()  # where code was changed, that has made anew what it should find
        return reader.costs(options.note)

    return make_costs(options.profile, make)


if __name__ == "__main__":
    sys.exit(main())
