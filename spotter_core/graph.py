"""The shape of a study: its steps, what each waits for, how the cells are divided among jobs.

Layer 2, without torch: the Snakefile and the plan of a study both stand on it, so that what is
planned is what is run.

A *job* executes one notebook on some of the study's cells. Where the profile divides a notebook
(``jobs: {02_unlearn: 30}``), its jobs ``part0``, ``part1``, … make models and rows of a share of
the cells each, at the same time on as many machines, and one more, ``all``, runs over all cells
once they are there: it finds everything made, averages and draws.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import NamedTuple

from spotter_core.profiles import Cell, Profile

ORIGINALS = "originals"
"""The step that trains the original of each seed, where notebook 01 is divided among jobs: the
parts of one seed would else train it several times."""
MOST_URGENT = 40
"""The originals' urgency: everything waits for them."""
FIRST = "01_train_and_retrain"
OF_ONE_CELL = (
    "02_unlearn",
    "03_over_unlearning",
    "04_prototypical_relearning",
    "06_neighborhood_damage",
)
"""What is done with a cell in one go: the models are made, and measured right away."""
LONGEST_TEXT = 100_000
"""Characters of cells that a job's command names one by one; the whole command is one argument,
which the system limits to 128 KiB."""


@dataclass(frozen=True)
class Notebook:
    """What the graph knows of a notebook.

    Attributes:
        needs: Notebooks whose models or rows it needs.
        shows: Notebooks whose rows it shows besides, or measures if they are not there: its parts
            do of their few cells, the job over all cells waits for them.
        urgent: The longest way to the end goes first.
        computes: Whether with networks; one that draws from rows wants no GPU, and little else.
        brief: Whether it shows what is there, of one cell, and is done before a job has started.
        of: Which cells are divided among its parts: ``"all"``; ``"ablation"``, those of the
            profile's ablation seeds, as the rest makes it no work; ``"attacked"``, those of the
            attacked classes, of which it looks closely at those of the ablation seeds. ``"first"``:
            it looks at the first cell alone, whatever else it is given, and is never divided.
    """

    needs: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    urgent: int = 0
    computes: bool = True
    brief: bool = False
    of: str = "all"


UNLEARNED = ("02_unlearn",)
MEASURED = ("03_over_unlearning", "04_prototypical_relearning", "05_embedding_dispersion")
NOTEBOOKS = {
    "00_tour": Notebook(UNLEARNED, brief=True, of="first"),
    "01_train_and_retrain": Notebook(urgent=30),
    "02_unlearn": Notebook((FIRST,), urgent=20),
    "03_over_unlearning": Notebook(UNLEARNED),
    "04_prototypical_relearning": Notebook(UNLEARNED),
    "04b_relearning_battery": Notebook(UNLEARNED, urgent=15, of="attacked"),
    "05_embedding_dispersion": Notebook(UNLEARNED, urgent=10),
    "05b_forgetting_by_epoch": Notebook(UNLEARNED, urgent=14),
    "06_neighborhood_damage": Notebook(UNLEARNED),
    "07_ablation": Notebook(UNLEARNED, MEASURED, urgent=12, of="ablation"),
    "08_summary": Notebook(
        (*MEASURED, "04b_relearning_battery", "06_neighborhood_damage", "07_ablation"),
        computes=False,
    ),
    "09_audit": Notebook(UNLEARNED, of="first"),
    "10_demo": Notebook(("02_unlearn", "05_embedding_dispersion"), brief=True, of="first"),
}
"""All notebooks that a study executes, by name."""


class Job(NamedTuple):
    """One job: a notebook, or :data:`ORIGINALS`, and ``"all"``, ``"part3"`` or ``"seed0"``."""

    step: str
    name: str

    @property
    def draws(self) -> bool:
        """Whether it runs over all cells and draws the pictures."""
        return self.name == "all"


class Takes(NamedTuple):
    """What one job takes: threads, minutes, memory in MB, GPUs."""

    threads: int
    minutes: int
    memory: int
    gpus: int


def even_shares(cells: Sequence[Cell], count: int) -> list[list[Cell]]:
    """Return the cells in ``count`` runs of neighbors whose lengths differ by one at most."""
    return [
        list(cells[len(cells) * i // count : len(cells) * (i + 1) // count]) for i in range(count)
    ]


def length(cells: Iterable[Cell]) -> int:
    """Return the characters of cells that are named in a list."""
    return sum(len(str(cell)) + 4 for cell in cells)  # quotes, comma, space


class Graph:
    """The jobs of one study.

    Args:
        profile: Its ``jobs`` says which notebooks are divided, and into how many parts.

    Raises:
        ValueError: If ``jobs`` names a notebook that does not exist, or no positive number, or so
            few parts that a command could not name the cells of one.
    """

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.all_cells = profile.cells  # which the profile makes anew for everybody who asks
        wanted = dict(profile.jobs or {})
        if unknown := sorted(set(wanted) - set(NOTEBOOKS)):
            raise ValueError(
                f"profile {profile.name!r}: jobs names {unknown}; notebooks: {sorted(NOTEBOOKS)}"
            )
        for name, count in wanted.items():
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ValueError(
                    f"profile {profile.name!r}: jobs of {name} must be a number of parts, at "
                    f"least 1, got {count!r}"
                )
        self.shares = {name: self._divided(name, wanted.get(name, 1)) for name in NOTEBOOKS}
        self._refuse_long_commands()

    def _refuse_long_commands(self) -> None:
        """Raise ``ValueError`` where a part has more cells than its command can name."""
        for name, shares in self.shares.items():
            longest = max(map(length, shares))
            if len(shares) > 1 and longest > LONGEST_TEXT:
                least = math.ceil(len(shares) * longest / LONGEST_TEXT) + 1
                raise ValueError(
                    f"profile {self.profile.name!r}: a part of {name} has too many cells to be "
                    f"named in one command: set jobs of {name} to {least} or more, or to 1"
                )

    def own_cells(self, notebook: str) -> list[Cell]:
        """Return the cells that are divided among a notebook's parts, as the study chooses them."""
        return self._own[NOTEBOOKS[notebook].of]

    def hard_cells(self, notebook: str) -> list[Cell]:
        """Return those of its own cells that take a notebook longest."""
        return self._hard[NOTEBOOKS[notebook].of]

    def count_hard(self, notebook: str, cells: Iterable[Cell]) -> int:
        """Return how many of these cells are among those that take a notebook longest."""
        hard = self._hard_sets[NOTEBOOKS[notebook].of]
        return sum(cell in hard for cell in cells)

    @cached_property
    def _own(self) -> dict[str, list[Cell]]:
        """By :attr:`Notebook.of`: the cells that are divided."""
        every = self.all_cells
        classes = {tuple(sorted(c)) for c in self.profile.attacked}
        return {
            "all": every,
            "first": every[:1],
            "ablation": self._of_ablation(every),
            "attacked": [c for c in every if c.forget in classes] or every,
        }

    @cached_property
    def _hard(self) -> dict[str, list[Cell]]:
        """By :attr:`Notebook.of`: those of them that take longest."""
        return {**self._own, "attacked": self._of_ablation(self._own["attacked"])}

    @cached_property
    def _hard_sets(self) -> dict[str, frozenset[Cell]]:
        """The same to look one up: of 10,000 cells, a list would be gone through for each."""
        return {of: frozenset(cells) for of, cells in self._hard.items()}

    def _of_ablation(self, cells: list[Cell]) -> list[Cell]:
        return [c for c in cells if c.seed in self.profile.ablation_seeds] or cells

    def _divided(self, notebook: str, count: int) -> list[list[Cell]]:
        """Return the cells of a notebook's parts.

        Of hard cells every part has its share, and one at least: whoever is handed none of them
        would take all that he has for hard. Of the others he has neighbors, which few jobs make.
        """
        own, hard = self.own_cells(notebook), self.hard_cells(notebook)
        if len(hard) == len(own):
            return even_shares(own, min(count, len(own)))
        count = min(count, len(hard))
        among_hard = self._hard_sets[NOTEBOOKS[notebook].of]
        rest = [cell for cell in own if cell not in among_hard]
        both = zip(even_shares(hard, count), even_shares(rest, count), strict=True)
        return [of_hard + of_rest for of_hard, of_rest in both]

    def is_divided(self, notebook: str) -> bool:
        """Return whether a notebook's cells are divided among several jobs."""
        return len(self.shares[notebook]) > 1

    def parts(self, step: str) -> list[Job]:
        """Return the jobs that make a step's models and rows; one of them, if it is undivided."""
        if step == ORIGINALS:
            divided = self.is_divided(FIRST)
            return [Job(ORIGINALS, f"seed{s}") for s in self.profile.seeds] if divided else []
        if not self.is_divided(step):
            return [Job(step, "all")]
        return [Job(step, f"part{i}") for i in range(len(self.shares[step]))]

    @cached_property
    def waits(self) -> dict[Job, list[Job]]:
        """All jobs with those that each waits for, behind these."""
        found = [*self.parts(ORIGINALS)]
        for name in NOTEBOOKS:
            found += self.parts(name)
            if self.is_divided(name):
                found.append(Job(name, "all"))
        needs = {job: self.needs(job) for job in found}
        return {job: needs[job] for job in TopologicalSorter(needs).static_order()}

    @property
    def jobs(self) -> list[Job]:
        """All jobs, each behind those that it waits for."""
        return list(self.waits)

    def takes(self, step: str) -> Takes:
        """Return what a job of a step takes; one that only draws, a part of what the others do."""
        p = self.profile
        if step == ORIGINALS or NOTEBOOKS[step].computes:
            return Takes(p.threads, p.minutes, p.memory, p.gpus)
        minutes, memory = math.ceil(p.minutes / 4), p.memory // 2
        return Takes(1, max(minutes, min(p.minutes, 10)), max(memory, min(p.memory, 2000)), gpus=0)

    def group(self, job: Job) -> str | None:
        """Return the name under which a cluster joins jobs into one; ``None`` for a job alone.

        A job takes 15 to 20 s to start there. ``"cells"`` is all that is done with the cells of a
        part in one go: what needs their models alone waits for their measurements, too, which
        are short beside them. ``"pictures"`` is what draws them and the notebooks that are
        brief: jobs that nothing waits for.
        """
        step, parts = job.step, {name: len(self.shares[name]) for name in OF_ONE_CELL}
        if step in OF_ONE_CELL and self.is_divided(step):
            if job.draws:
                return "pictures"
            return "cells" if parts[step] == parts["02_unlearn"] else None
        return "pictures" if step != ORIGINALS and NOTEBOOKS[step].brief else None

    def urgency(self, step: str) -> int:
        """Return how urgent the jobs of a step are; the greater goes first."""
        return MOST_URGENT if step == ORIGINALS else NOTEBOOKS[step].urgent

    def cells(self, job: Job) -> list[Cell]:
        """Return the cells of a job."""
        if job.step == ORIGINALS:
            seed = int(job.name.removeprefix("seed"))
            return [cell for cell in self.all_cells if cell.seed == seed]
        if job.draws:
            return self.all_cells
        return self.shares[job.step][int(job.name.removeprefix("part"))]

    def parameters(self, job: Job, run: str, figures: str) -> dict[str, object]:
        """Return the parameters that a job's notebook is given.

        Args:
            job: Of a notebook.
            run: Folder of the study's models and rows.
            figures: Folder for the pictures.
        """
        cells = self.cells(job)
        short = job.draws and length(cells) > LONGEST_TEXT
        names = ["all"] if short else [str(cell) for cell in cells]
        return {"profile": self.profile.name, "run": run, "cells": names, "figures": figures}

    @cached_property
    def _part_of(self) -> dict[str, dict[Cell, Job]]:
        """By notebook and cell: the part that makes it."""
        return {
            name: {
                cell: job
                for job, cells in zip(self.parts(name), self.shares[name], strict=True)
                for cell in cells
            }
            for name in NOTEBOOKS
        }

    def needs(self, job: Job) -> list[Job]:
        """Return the jobs that a job waits for, those left out for which one of these waits anyway.

        A part waits for the parts that make the same cells; what runs over all cells waits for its
        own parts, and of what it needs for the parts that none of its own waits for; what looks at
        the first cell, for the parts that make this one.
        """
        if job.step == ORIGINALS:
            return []
        notebook = NOTEBOOKS[job.step]
        cells = self.own_cells(job.step) if notebook.of == "first" else self.cells(job)
        if job.step == FIRST and not job.draws:
            seeds = {cell.seed for cell in cells}
            return [Job(ORIGINALS, f"seed{seed}") for seed in sorted(seeds)]
        own: list[Job] = []
        others: dict[Job, None] = {}
        if job.draws and self.is_divided(job.step):
            own = self.parts(job.step)
            for other in notebook.shows:
                others |= dict.fromkeys(self.parts(other))
        for other in notebook.needs:
            made_by = self._part_of[other]
            others |= {made_by[cell]: None for cell in cells if cell in made_by}
        awaited = {other for part in own for other in self.needs(part)}
        return own + [other for other in others if other not in awaited]
