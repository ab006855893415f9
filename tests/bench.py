"""How long the parts take, as a Markdown table: `python tests/bench.py`.

Each row is the median of several runs beside the same work done plainly, in the same process; where
the plain way would take minutes it does a part of the work and is scaled up. Both results are
compared, so that a fast row is also a right one. Rows of single parts run on one thread, those of
whole networks on all cores; `--only spotter,attacks` measures some of them.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from benchmarks.graph import graph_rows
from benchmarks.network import Stage, neighborhood_row, spotter_rows
from benchmarks.parts import digits_row, dispersion_rows, import_row, over_unlearning_row, sweep_row
from benchmarks.table import HEAD, RATES, Alone, Rate, Row, Skipped
from benchmarks.whole import attacks_row, dataset_row, training_rate

from spotter_core.runtime import describe_run

CPU = torch.device("cpu")


@dataclass
class Bench:
    """What the rows share.

    Attributes:
        runs: That a median is taken of; a third where a run takes seconds, a quarter where many.
        cores: Threads for whole networks.
        width: Of the paper's network; smaller for a look at whether it all runs.
        images: Forget images, one batch.
    """

    runs: int
    cores: int
    width: int
    images: int

    @property
    def few(self) -> int:
        """Runs where one takes seconds."""
        return max(1, self.runs // 3)

    @cached_property
    def stage(self) -> Stage:
        """The paper's network and a batch of forget images."""
        return Stage(CPU, self.width, self.images, max(1, self.runs // 4))


Made = Row | Alone | Rate | Skipped
PARTS: dict[str, Callable[[Bench], list[Made]]] = {
    "sweep": lambda bench: [sweep_row(bench.runs)],
    "over_unlearning": lambda bench: [over_unlearning_row(bench.runs)],
    "dispersion": lambda bench: [*dispersion_rows(bench.runs)],
    "digits": lambda bench: [digits_row(bench.runs)],
    "import": lambda bench: [import_row(bench.runs)],
    "graph": lambda bench: [row for parts in (200, 1000) for row in graph_rows(parts)],
}
"""Rows of one thread."""
NETWORKS: dict[str, Callable[[Bench], list[Made]]] = {
    "spotter": lambda bench: [*spotter_rows(bench.stage)],
    "neighborhood": lambda bench: [neighborhood_row(bench.stage)],
    "attacks": lambda bench: [attacks_row(CPU, bench.few)],
    "dataset": lambda bench: [dataset_row(bench.few)],
    "training": lambda bench: [training_rate(CPU, 16, 1024, 128)],
}
"""Rows of all cores."""


def chosen(text: str) -> list[str]:
    """Return the names of the rows that ``--only`` names, by commas; all if it names none."""
    names = [name for name in text.split(",") if name] or [*PARTS, *NETWORKS]
    if unknown := sorted(set(names) - {*PARTS, *NETWORKS}):
        raise argparse.ArgumentTypeError(
            f"unknown rows {', '.join(unknown)}; known: {', '.join([*PARTS, *NETWORKS])}"
        )
    return names


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="runs that a median is taken of")
    parser.add_argument("--threads", type=int, default=1, help="threads for single parts")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument("--cores", type=int, default=cores, help="threads for whole networks")
    parser.add_argument("--only", type=chosen, default=chosen(""), help="rows, by commas")
    parser.add_argument("--width", type=int, default=64, help="of the network of Spotter's step")
    parser.add_argument("--images", type=int, default=128, help="forget images a step")
    given = parser.parse_args(arguments)
    bench = Bench(given.runs, given.cores, given.width, given.images)
    torch.set_num_threads(max(given.cores, given.threads))
    about = describe_run()
    print(f"torch {about['torch']}, {about['hardware']}; medians of up to {given.runs} runs\n")
    print(HEAD)
    rates = []
    for name in given.only:
        torch.set_num_threads(given.threads if name in PARTS else given.cores)
        for made in ({**PARTS, **NETWORKS})[name](bench):
            if isinstance(made, Rate):
                rates.append(made)
            else:
                print(made, flush=True)
    if rates:
        print("", RATES, *rates, sep="\n")


if __name__ == "__main__":
    main()
