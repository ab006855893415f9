"""Attacks that train, and transformations that cost nothing, on every model and a control.

Layer 8.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from spotter_core.attacks import draw_support
from spotter_core.data import ImageSet
from spotter_core.measurements.battery import UNTRAINED, model_of, row_of
from spotter_core.profiles import Cell
from spotter_core.relearning import FREE, Curve, FineTuning, Held, share_right
from spotter_core.results import Row
from spotter_core.runtime import seeded_generator
from spotter_core.study import Study

SHOTS = (0, 5, 50)
"""Forget images of the attacker's; 0: he trains on retained ones alone."""
MOST = 2000
"""Retained images that he holds of either kind, and that he is scored on."""


def training_attacks(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """What fine-tuning brings back, by number of forget images, and what comes back for nothing.

    ``relearned`` on forget and retained test images where the attacker stopped (``fine_tuning``, or
    ``retain_only`` without a forget image), and after each transformation of
    :data:`~spotter_core.relearning.FREE`; of his learning rate's curve on forget test images the
    steps to 50 % (a row only where it gets there) and the area. Every model is attacked with the
    same images in the same order; the untrained network is the control.
    """
    attack, rows = FineTuning(), []
    parts = {
        where: some_of(study.part(cell, where), where)
        for where in ("retain/train", "forget/validation", "retain/validation")
    }
    supports = {shots: drawn(study.part(cell, "forget/train"), cell, shots) for shots in SHOTS}
    targets = {w: some_of(study.part(cell, w), w) for w in ("forget/test", "retain/test")}
    for method in [*methods, UNTRAINED]:
        model = model_of(study, cell, method)
        for shots, support in supports.items():
            held = Held(
                support,
                parts["retain/train"],
                parts["forget/validation"],
                parts["retain/validation"],
            )
            found = attack(model, held, targets, followed=["forget/test"], seed=cell.seed)
            name = "fine_tuning" if shots else "retain_only"
            (curve,) = [c for c in found.curves if c.learning_rate == found.learning_rate]
            at = {"attack": name, "shots": shots, "support": "own"}
            rows += rows_of(study, cell, method, found.accuracy, at)
            rows += curve_rows(study, cell, method, curve, at)
        for name, transform in FREE.items():
            changed = transform(model, parts["retain/train"], cell.seed)
            reached = {where: share_right(changed, samples) for where, samples in targets.items()}
            at = {"attack": name, "shots": 0, "support": "own"}
            rows += rows_of(study, cell, method, reached, at)
    return rows


def some_of(samples: ImageSet, name: str) -> ImageSet:
    """Return :data:`MOST` of the samples, drawn once for all models, or all of fewer."""
    if len(samples) <= MOST:
        return samples
    index = torch.randperm(len(samples), generator=seeded_generator("some of", name))[:MOST]
    return samples.subset(index.sort().values.to(samples.labels.device))


def drawn(pool: ImageSet, cell: Cell, shots: int) -> ImageSet | None:
    """Return that many images of each forget class, as many as there are, or ``None`` of none."""
    if shots == 0:
        return None
    counts = pool.labels.unique(return_counts=True)[1]
    most = min(shots, int(counts.min()))
    draw = seeded_generator("support", cell)
    return pool.subset(draw_support(pool.labels, cell.forget, most, draw).flatten())


def rows_of(
    study: Study, cell: Cell, method: str, reached: dict[str, float], at: dict[str, Any]
) -> list[Row]:
    """Return a row of every target."""
    return [
        row_of(study, cell, method, where, "relearned", value, "fraction", **at)
        for where, value in reached.items()
    ]


def curve_rows(
    study: Study, cell: Cell, method: str, curve: Curve, at: dict[str, Any]
) -> list[Row]:
    """Return the accuracy at every step, the steps to one half, and the area."""
    where = "forget/test"
    key = study, cell, method, where
    rows = [
        row_of(*key, "relearning_curve", value, "fraction", step=step, **at)
        for step, value in zip(curve.steps, curve.accuracy[where], strict=True)
    ]
    half = curve.steps_to(0.5, where)
    if math.isfinite(half):
        rows.append(row_of(*key, "steps_to_half", half, "steps", **at))
    rows.append(row_of(*key, "relearning_area", curve.area(where), "fraction", **at))
    return rows
