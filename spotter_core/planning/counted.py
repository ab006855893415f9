"""The costs of a study that nobody has run: operations counted on a miniature of it.

    python -m spotter_core.planning.counted cifar10

Torch counts the operations of convolutions while every notebook's code is executed on two
miniatures; what it counted is then scaled:

- to the data set's size, along the straight line through both: what does not grow with the images
  stays as it is;
- to the profile's width, by the ratio of one pass forward of both networks.

What this is too high in: a step is counted alone, on a copy of what notebook 02 leaves, and rows
that two notebooks share are counted for both; and the miniatures' measurements read more images
than their share. What it is too low in: work that is no convolution (norms, matrix products,
distances, averages) is left out wherever cells are made, but for the battery's algebra, which is
timed. That of a profile that was run can't be carried over: there it is one number with the
training. Seconds to start, load and draw are those that were measured on such a profile. The rate
that turns operations into seconds is an assumption, and the plan says so.
"""

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from spotter_core.graph import FIRST, NOTEBOOKS, ORIGINALS
from spotter_core.models import Classifier, build_model
from spotter_core.planning.algebra import attack_seconds
from spotter_core.planning.costs import Costs, StepCost, Work, costs_path, load_costs, make_costs
from spotter_core.planning.countable import KNOWN, refuse_uncountable
from spotter_core.planning.miniature import (
    CELL,
    EPOCHS,
    NAME,
    WIDTH,
    Counts,
    attacks_of_one_network,
    counted,
    execute_here,
    miniature,
)
from spotter_core.profiles import Cell, Profile, load_profile
from spotter_core.study import Study

SHARES = (40, 32)
"""The two miniatures hold so small a part of the data set's images."""
RATE = 20.0
"""TFLOP/s that a GPU is assumed to reach in training where nobody measured it."""
BATTERY = "04b_relearning_battery"
TRAINING = "04b by training, a network"


def counts_of(profile: Profile, share: int) -> Counts:
    """Return the operations of every step on one cell of the miniature of that share."""
    again: dict[str, float] = {}
    made: dict[str, float] = {}
    untrue: list[int] = []
    with miniature(profile, share) as project:
        whole = project / "whole"
        study = Study(load_profile(NAME), root=whole)
        cell = Cell.parse(CELL)
        study.split(cell)
        made[ORIGINALS] = counted(lambda: study.model(cell, "original"))
        for name in NOTEBOOKS_IN_ORDER:
            run = whole if name in (FIRST, "02_unlearn") else project / name
            if run != whole:
                shutil.copytree(whole, run)
                keep_needed(run, name)
            print(f"counting on 1/{share} of the images: {name}", file=sys.stderr, flush=True)
            first, again[name] = (counted(partial(executed, name, run, untrue)) for _ in range(2))
            made[name] = max(0.0, first - again[name])
            shutil.copytree(run, whole, dirs_exist_ok=True) if run != whole else None
    return Counts(again, made, sum(untrue))


NOTEBOOKS_IN_ORDER = (
    FIRST,
    "02_unlearn",
    *(name for name in NOTEBOOKS if name not in (FIRST, "02_unlearn", "08_summary", "10_demo")),
    "08_summary",
    "10_demo",
)
"""Each behind those whose rows it needs."""


def executed(name: str, run: Path, untrue: list[int]) -> None:
    """Execute a notebook here, and note how many of its checks fail."""
    untrue.append(execute_here(name, run))


def keep_needed(run: Path, name: str) -> None:
    """Remove from a copy of a run the rows that a notebook does not wait for, models apart."""
    if name not in ("08_summary", "10_demo"):
        for rows in (run / "rows").glob("*"):
            if rows.name != "accuracies":
                shutil.rmtree(rows)
        for made in ("maps", "motion", "audit"):
            shutil.rmtree(run / made, ignore_errors=True)


def line(shares: Sequence[int], values: Sequence[float]) -> float:
    """Return what a value that is a straight line in the images is for all of them.

    >>> round(line((40, 32), (2 + 100 / 40, 2 + 100 / 32)), 6)
    102.0
    """
    (x0, x1), (y0, y1) = (1 / shares[0], 1 / shares[1]), values
    slope = (y1 - y0) / (x1 - x0)
    return max(0.0, y0 + slope * (1.0 - x0))


def width_ratio(profile: Profile) -> float:
    """Return how many times the operations of the miniature's network the profile's takes."""
    full = KNOWN[profile.dataset]
    images = torch.zeros(1, 3, full.side, full.side)
    narrow = replace(profile, model={**profile.model, "width": WIDTH})
    networks = [network_of(p).eval() for p in (profile, narrow)]
    wide, small = (counted(partial(network, images)) for network in networks)
    return wide / small


def scaled_counts(profile: Profile) -> Counts:
    """Return TFLOP of every step with a cell that is made, and in addition of one that is not."""
    small, large = (counts_of(profile, share) for share in SHARES)
    ratio = width_ratio(profile)
    again, made = (
        {name: ratio * line(SHARES, (a[name], b[name])) for name in a}
        for a, b in ((small.again, large.again), (small.made, large.made))
    )
    for name in (ORIGINALS, FIRST):
        made[name] *= profile.recipe["epochs"] / EPOCHS
    with miniature(profile, SHARES[0]) as project:
        made[TRAINING] = ratio * attacks_of_one_network(project / "run")
    return Counts(again, made, small.untrue)


# --- costs ----------------------------------------------------------------------------------------


def network_of(profile: Profile) -> Classifier:
    """Return an untrained network of the profile."""
    full = KNOWN[profile.dataset]
    return build_model(
        **profile.model, num_classes=full.classes, input_shape=(3, full.side, full.side)
    )


def battery_costs(profile: Profile, made: Mapping[str, float]) -> tuple[Work, Work]:
    """Return what the battery takes of a cell that is looked at closely, and of another."""
    head, sweep = attack_seconds(
        network_of(profile), KNOWN[profile.dataset].side, draws=profile.supports
    )

    def networks(chosen: Sequence[str] | None) -> int:
        """How many take part; the original and random features do wherever any does."""
        names = profile.methods if chosen is None else chosen
        return len(names) + 2 if names else 0

    rest = Work(round(networks(None) * head), round(made[BATTERY], 1))
    more = networks(profile.by_training) * made[TRAINING]
    close = Work(
        round(rest.seconds + networks(profile.by_stage) * sweep), round(rest.tflop + more, 1)
    )
    return close, rest


def derived(profile: Profile, counts: Counts, measured: Costs, source: str) -> Costs:
    """Return the costs of a profile.

    Args:
        profile: Whose study nobody has run.
        counts: TFLOP at its size.
        measured: Costs of a profile that was run, for the seconds that no GPU shortens.
        source: Its name.
    """
    more = (len(profile.methods) + 1) / (len(load_profile(source).methods) + 1)
    steps = {}
    for name in (ORIGINALS, *NOTEBOOKS):
        known = measured.steps[name]
        steps[name] = StepCost(
            start=Work(known.start.seconds, round(counts.again.get(name, 0.0), 2)),
            shown=Work(round(more * known.shown.seconds, 2)),
            made=Work(tflop=round(counts.made[name], 1)),
        )
    close, rest = battery_costs(profile, counts.made)
    steps[BATTERY] = replace(steps[BATTERY], made=close, rest=rest)
    size = round(4 * sum(p.numel() for p in network_of(profile).parameters()) / 1e6, 1)
    disk = {
        "original": size,
        "model": size,
        "rows": round(more * measured.disk["rows"], 2),
        "job": measured.disk["job"],
    }
    return Costs("derived", about(counts, measured, source), steps, disk, RATE)


def about(counts: Counts, measured: Costs, source: str) -> dict[str, Any]:
    """Return in words how the numbers came to be."""
    return {
        "operations": (
            f"counted (torch {torch.__version__}) on miniatures of 1/{SHARES[0]} and "
            f"1/{SHARES[1]} of the images, scaled to the profile's images and width"
        ),
        "seconds to start, load and draw": f"measured on {source}, {measured.about['hardware']}",
        "seconds of the battery's algebra": "measured on one thread of a CPU, at the study's size",
        "too high in": "rows that two notebooks share, counted for both",
        "left out": (
            "work that is no convolution, where cells are made, but for the battery's algebra; "
            "what a GPU waits for, as small batches reach no such rate"
        ),
        "date": datetime.now(UTC).date().isoformat(),
        "checks of notebooks that fail on made images": counts.untrue,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, and write the profile's costs; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m spotter_core.planning.counted", description=__doc__
    )
    parser.add_argument("profile", help="a file of profiles/")
    parser.add_argument("--seconds-of", default="digits", help="profile whose costs were measured")
    options = parser.parse_args(arguments)

    def make() -> Costs:
        profile = load_profile(options.profile)
        refuse_uncountable(profile)
        measured = load_costs(costs_path(options.seconds_of))
        if lacking := sorted({"rows", "job"} - set(measured.disk)):
            raise ValueError(
                f"the costs of {options.seconds_of} don't say what {', '.join(lacking)} take on "
                f"disk: python -m spotter_core.planning.measured {options.seconds_of} first"
            )
        return derived(profile, scaled_counts(profile), measured, options.seconds_of)

    return make_costs(options.profile, make)


if __name__ == "__main__":
    sys.exit(main())
