"""What the jobs of a study cost: seconds a job and a cell, by step; kept beside the profile.

Without torch. ``profiles/NAME.costs.json`` says where its numbers are from: *measured* on a run of
the profile (``python -m spotter_core.planning.measured NAME``), or *derived* for a machine that
nobody had, from counted operations (``python -m spotter_core.planning.counted NAME``).

A job's time has three parts: what it takes to start, to load and draw so many cells that are made,
and to make so many. Each is seconds of the machine that was measured, and operations, where these
are what was counted; a rate turns the latter into seconds.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from spotter_core.files import write_text_atomically
from spotter_core.graph import FIRST, NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.profiles import profiles_folder

FORMAT = "spotter-costs-1"
Kind = Literal["measured", "derived"]


@dataclass(frozen=True)
class Work:
    """Something that takes time.

    Attributes:
        seconds: On the machine that was measured, whatever the rate of another.
        tflop: Operations, in 10^12, of convolutions: no others are counted.
    """

    seconds: float = 0.0
    tflop: float = 0.0

    def at(self, rate: float | None) -> float:
        """Return its seconds where ``rate`` TFLOP are done in a second.

        Raises:
            ValueError: If operations were counted and no positive rate is given.
        """
        if not self.tflop:
            return self.seconds
        if rate is None or rate <= 0.0:
            raise ValueError(f"a rate in TFLOP/s is needed for counted work, got {rate}")
        return self.seconds + self.tflop / rate


@dataclass(frozen=True)
class StepCost:
    """What the jobs of one step take.

    Attributes:
        start: Of a job, whatever its cells: interpreter, imports, data, pictures of a toy.
        shown: Of a cell that is made, to be loaded, averaged and drawn.
        made: Of a cell that is to be made, in addition.
        rest: The same of one that is not among the notebook's hard cells.
        memory: MB at its peak; 0 where it was not measured.
        jobs: That the numbers are from.
    """

    start: Work = Work()
    shown: Work = Work()
    made: Work = Work()
    rest: Work = Work()
    memory: float = 0.0
    jobs: int = 1

    def seconds(self, cells: int, hard: int, rest: int = 0, *, rate: float | None = None) -> float:
        """Return the seconds of a job on ``cells``, of which it makes ``hard`` and ``rest``."""
        parts = (self.start, 1), (self.shown, cells), (self.made, hard), (self.rest, rest)
        return sum(work.at(rate) * times for work, times in parts)


@dataclass(frozen=True)
class Costs:
    """What a profile's study costs, and how that is known.

    Attributes:
        kind: Whether it was measured, or derived from other measurements.
        about: Hardware, versions, date, and in words how the numbers came to be.
        steps: By the name of a notebook, and of :data:`~spotter_core.graph.ORIGINALS`.
        disk: MB of an ``original``, of any other ``model``, of a cell's ``rows``, of a ``job``'s
            copy and log; empty where they were not measured.
        rate: TFLOP/s to be assumed where nobody says another, if operations were counted.
    """

    kind: Kind
    about: dict[str, Any]
    steps: dict[str, StepCost]
    disk: dict[str, float] = field(default_factory=dict)
    rate: float | None = None


def costs_path(profile: str) -> Path:
    """Return where the costs of a profile are kept."""
    return profiles_folder() / f"{profile}.costs.json"


def save_costs(costs: Costs, path: Path) -> None:
    """Write costs whole or not at all."""
    content = {"format": FORMAT, **asdict(costs)}
    write_text_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def make_costs(profile: str, make: Callable[[], Costs]) -> int:
    """Have the costs of a profile made and written, for a command; return its exit status.

    Args:
        profile: Its name.
        make: Called for the costs; where it raises ``ValueError`` or a command fails, that is told.
    """
    path = costs_path(profile)
    try:
        save_costs(make(), path)
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"written: {path}")
    return 0


def load_costs(path: Path) -> Costs:
    """Return the costs that a file holds.

    Raises:
        ValueError: If it is no file of costs, cut short, or of another format.
    """
    advice = "delete it, or have it made anew; see spotter_core/planning/costs.py"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        steps = {name: _step_cost(step) for name, step in content.pop("steps").items()}
        costs = Costs(steps=steps, **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"costs file {path} can't be used ({error}): {advice}") from error
    if costs.kind not in ("measured", "derived"):
        raise ValueError(f"costs file {path}: kind is {costs.kind!r}: {advice}")
    return costs


def _step_cost(content: Mapping[str, Any]) -> StepCost:
    works = {name: Work(**content[name]) for name in ("start", "shown", "made", "rest")}
    return StepCost(**{**content, **works})


def to_make(graph: Graph, job: Job) -> tuple[int, int]:
    """Return how many hard cells a job makes, and how many others.

    What runs over all cells of a divided notebook finds them made by its parts.
    """
    if job.step == ORIGINALS:
        return 1, 0
    if job.draws and graph.is_divided(job.step):
        return 0, 0
    made = graph.own_cells(job.step) if job.draws else graph.cells(job)
    if NOTEBOOKS[job.step].of != "attacked":  # all are alike; of very many, nobody need look
        return len(made), 0
    hard = graph.count_hard(job.step, made)
    return hard, len(made) - hard


def expected(graph: Graph, costs: Costs, rate: float | None = None) -> dict[Job, float]:
    """Return the seconds that every job takes by what is known.

    Args:
        graph: Of the study.
        costs: Of its profile, or of another of the same kind.
        rate: TFLOP/s; default the one that the costs assume.

    Raises:
        ValueError: If a step's cost is not known.
    """
    rate = costs.rate if rate is None else rate
    if unknown := sorted({job.step for job in graph.jobs} - set(costs.steps)):
        raise ValueError(f"no cost is known of {', '.join(unknown)}: measure or count them")
    found = {}
    for job in graph.jobs:
        step = costs.steps[job.step]
        cells = 1 if job.step == ORIGINALS else len(graph.cells(job))
        found[job] = step.seconds(cells, *to_make(graph, job), rate=rate)
    if not graph.parts(ORIGINALS):  # then whoever trains oracles trains the originals as well
        first = next(job for job in graph.jobs if job.step == FIRST)
        found[first] += len(graph.profile.seeds) * costs.steps[ORIGINALS].made.at(rate)
    return found


def models_of_cells(graph: Graph) -> int:
    """Return how many models a study makes besides originals: all methods', and the ablation's."""
    profile = graph.profile
    varied = sum(map(len, profile.ablation.values())) * len(graph.own_cells("07_ablation"))
    return len(graph.all_cells) * len(profile.methods) + varied


def disk_space(graph: Graph, costs: Costs) -> float | None:
    """Return the MB that the study leaves below its run folder; ``None`` where it is not known."""
    counts = {
        "original": len(graph.profile.seeds),
        "model": models_of_cells(graph),
        "rows": len(graph.all_cells),
        "job": len(graph.jobs),
    }
    if not set(counts) <= set(costs.disk):
        return None
    return sum(costs.disk[name] * count for name, count in counts.items())
