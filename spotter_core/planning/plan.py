"""A study's plan: its jobs, what they cost, when they would end, and what goes wrong like this.

Without torch. The jobs are those of :class:`~spotter_core.graph.Graph`, which the
Snakefile runs; what they cost is in ``profiles/NAME.costs.json``; when they end on so many workers
is simulated. ``planning`` tells it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spotter_core.graph import NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.planning.costs import Costs, disk_space, expected, models_of_cells
from spotter_core.planning.scheduling import Schedule, Task, simulate

NEAR = 0.8
"""Share of a job's limit from which it is said to be near it: costs are means, not the most."""


@dataclass(frozen=True)
class Way:
    """How a study would be run.

    Attributes:
        rate: TFLOP/s of a GPU; ``None`` for the one that the costs assume. A job computes on one,
            however many it takes.
        startup: Seconds on top of every job: a container to be started, a disk that is far.
        queue: Seconds that every job waits in the cluster's queue.
        source: Who measured the rate; empty where it is assumed.
        groups: Folder of ``profiles/`` that hands several jobs to a cluster as one; empty where
            none does. When the study ends is told as if each were handed over alone.
    """

    rate: float | None = None
    startup: float = 0.0
    queue: float = 0.0
    source: str = ""
    groups: str = ""


@dataclass(frozen=True)
class Step:
    """One line of the plan.

    Attributes:
        name: Of the step.
        cells: That its jobs make, or originals.
        parts: Jobs that make cells.
        draws: Whether one more job runs over all of them.
        gpu: Whether its jobs take a GPU.
        cell_minutes: That a cell adds to a part which makes it; one of the hard ones.
        minutes: That a part is expected to take; the longest of them. ``None``: not known.
        all_minutes: The same of the job over all cells.
        gpu_hours: Of all its jobs, by what they take: two for an hour on two GPUs.
        core_hours: The same by the threads that they take.
        memory: MB that were measured; 0 where they were not.
        done: Jobs that have ended well.
    """

    name: str
    cells: int
    parts: int
    draws: bool
    gpu: bool
    cell_minutes: float | None
    minutes: float | None
    all_minutes: float | None
    gpu_hours: float | None
    core_hours: float | None
    memory: float
    done: int


class Plan:
    """What a profile's study consists of and costs.

    Args:
        graph: Of the study.
        costs: Of its profile, if they are known.
        run: Its run folder: what is done there is counted.
        way: How it would be run.
    """

    def __init__(
        self, graph: Graph, costs: Costs | None, run: Path, way: Way | None = None
    ) -> None:
        self.graph, self.costs, self.run, self.way = graph, costs, run, way or Way()

    @cached_property
    def seconds(self) -> dict[Job, float]:
        """Seconds of every job; empty where no costs are known."""
        if self.costs is None:
            return {}
        known = expected(self.graph, self.costs, self.way.rate)
        return {job: took + self.way.startup for job, took in known.items()}

    @cached_property
    def tasks(self) -> list[Task]:
        """The jobs as the scheduler sees them, each behind those that it needs."""
        return [
            Task(
                job,
                self.seconds[job],
                tuple(needs),
                "gpu" if self.graph.takes(job.step).gpus else "cpu",
                self.graph.urgency(job.step),
            )
            for job, needs in self.graph.waits.items()
        ]

    def on(self, workers: int) -> Schedule:
        """Return when everything runs on so many workers: GPUs if it takes any, else job slots.

        Beside jobs on GPUs as many may run at once that need none. The study begins with nothing,
        whatever is done.

        Raises:
            ValueError: If the GPUs can't be shared out among jobs.
        """
        slots, left = divmod(workers, max(1, self.graph.profile.gpus))
        if left or slots < 1:
            raise ValueError(
                f"a job takes {self.graph.profile.gpus} GPUs: --workers must be multiples of "
                f"that, got {workers}"
            )
        kinds = {"gpu": slots, "cpu": slots} if self.graph.profile.gpus else {"cpu": slots}
        return simulate(self.tasks, kinds, queue=self.way.queue)

    @cached_property
    def hours(self) -> dict[str, float]:
        """Hours of all jobs of a step, by the clock; empty where no costs are known."""
        found: dict[str, float] = {}
        for job, seconds in self.seconds.items():
            found[job.step] = found.get(job.step, 0.0) + seconds / 3600
        return found

    def gpu_hours(self, step: str) -> float | None:
        """Return the hours of a step's jobs times the GPUs that each takes, if that is known."""
        return self.hours[step] * self.graph.takes(step).gpus if self.seconds else None

    def core_hours(self, step: str) -> float | None:
        """Return the hours of a step's jobs times the threads that each takes, if that is known."""
        return self.hours[step] * self.graph.takes(step).threads if self.seconds else None

    @property
    def models(self) -> int:
        """How many models are made: originals, all methods of all cells, the ablation's."""
        return len(self.graph.profile.seeds) + models_of_cells(self.graph)

    @cached_property
    def done(self) -> set[Job]:
        """Jobs with a ``.done`` in the run folder; Snakemake tells whether one is out of date.

        When the study ends is told as if there were none.
        """
        paths = self.run.glob("jobs/*/*.done")
        return {Job(path.parent.name, path.stem) for path in paths} & set(self.graph.jobs)

    @cached_property
    def steps(self) -> list[Step]:
        """The plan's lines."""
        found = []
        by_step: dict[str, list[Job]] = {name: [] for name in (ORIGINALS, *NOTEBOOKS)}
        for job in self.graph.jobs:
            by_step[job.step].append(job)
        for name, jobs in by_step.items():
            if not jobs:
                continue
            divided = [job for job in jobs if not job.draws]
            whole = [job for job in jobs if job.draws]
            known = self.costs.steps[name] if self.costs and self.seconds else None
            found.append(
                Step(
                    name,
                    self._cells(name),
                    len(divided),
                    bool(whole),
                    bool(self.graph.takes(name).gpus),
                    self._cell_minutes(name),
                    self._longest(divided),
                    self._longest(whole),
                    self.gpu_hours(name),
                    self.core_hours(name),
                    known.memory if known else 0.0,
                    len(self.done & set(jobs)),
                )
            )
        return found

    def _cells(self, name: str) -> int:
        profile = self.graph.profile
        return len(profile.seeds if name == ORIGINALS else self.graph.own_cells(name))

    def _cell_minutes(self, name: str) -> float | None:
        if self.costs is None:
            return None
        cost = self.costs.steps[name]
        return (cost.made.at(self._rate) + cost.shown.at(self._rate)) / 60

    @property
    def _rate(self) -> float | None:
        if self.way.rate is not None:
            return self.way.rate
        return self.costs.rate if self.costs else None

    def _longest(self, jobs: Sequence[Job]) -> float | None:
        if not jobs or not self.seconds:
            return None
        return max(self.seconds[job] for job in jobs) / 60

    @property
    def disk(self) -> float | None:
        """MB that the study leaves in its run folder, if that is known."""
        return disk_space(self.graph, self.costs) if self.costs else None

    @cached_property
    def warnings(self) -> list[str]:
        """What will go wrong if it is run like this, and what to change."""
        profile, found = self.graph.profile, []
        for step in self.steps:
            takes = self.graph.takes(step.name)
            for minutes, which in ((step.minutes, "part"), (step.all_minutes, "all")):
                if minutes is None or minutes <= NEAR * takes.minutes:
                    continue
                over = minutes > takes.minutes
                word = "over" if over else "near"
                scale = profile.minutes / takes.minutes
                least = 10 * int(-(-scale * minutes / NEAR // 10))
                found.append(
                    f"{step.name} ({which}) is expected to take {minutes:.0f} min, {word} the "
                    f"limit of {takes.minutes}: {self._advice(step, which, least)}"
                )
            if step.memory > takes.memory:
                enough = round(1.25 * step.memory * profile.memory / takes.memory, -2)
                found.append(
                    f"{step.name} took {step.memory:.0f} MB where it was measured, over the "
                    f"declared {takes.memory}: set memory: {enough:.0f}"
                )
        return found

    def _advice(self, step: Step, which: str, least: int) -> str:
        """Return how a job of a step is brought under its limit."""
        parts = self._parts(step.name)
        if parts is not None and not step.parts:  # one part is what it is now
            parts = max(2, parts)
        if (which == "part" or not step.parts) and parts is not None and parts > step.parts:
            return f"set jobs: {{{step.name}: {parts}}}, or minutes: {least}"
        return f"set minutes: {least}"

    def _parts(self, name: str) -> int | None:
        """Return how many parts keep one of them well within its limit; ``None`` where none do."""
        if self.costs is None or name == ORIGINALS:
            return None
        cost, own = self.costs.steps[name], len(self.graph.own_cells(name))
        hard = len(self.graph.hard_cells(name))
        rate = self._rate
        room = NEAR * 60 * self.graph.takes(name).minutes - self.way.startup - cost.start.at(rate)
        shared = cost.shown.at(rate) * own + cost.rest.at(rate) * (own - hard)
        each = cost.made.at(rate) + shared / hard
        most = math.floor(room / each) if each else hard
        return math.ceil(hard / most) if most >= 1 and hard > 1 else None
