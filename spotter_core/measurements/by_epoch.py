"""Epoch by epoch: how much of everything is lost or left at some moments of every run.

Layer 8. A run is made once more to be looked at on its way; it ends with the study's own network.
"""

import logging
from collections.abc import Sequence

from spotter_core.cells import YARDSTICKS
from spotter_core.methods import DescentMethod
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study
from spotter_core.trajectory import Moment, follow, moment, moments_of

log = logging.getLogger(__name__)
SIGNS = (
    ("forget/test", "accuracy", "forget_accuracy", "fraction"),
    ("retain/test", "accuracy", "retain_accuracy", "fraction"),
    ("forget/test", "over_unlearning", "over_unlearning", "nats"),
    ("forget/test", "mean_cosine", "mean_cosine", "cosine"),
)
"""Split and measure of a row, the moment's attribute, and its unit."""


def by_epoch(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Forget and retain accuracy, OU, mean cosine and every loss on the way, by ``epoch``.

    At up to fourteen moments of a run, dense at its start (:func:`~trajectory.moments_of`). A
    yardstick has the four numbers once, without an epoch: the original is where all start, the
    oracle where they would end. Of every other method there is the measure ``epochs``, how many its
    run had; one that doesn't descend has 0 and nothing else. Losses are the means over the last
    epoch, on what the method reads, and named by ``term``; their units are the methods' own.
    """
    rows: list[Row] = []
    for method in methods:
        if method in YARDSTICKS:
            seen = moment(study, cell, study.model(cell, method), epoch=0, losses={})
            rows += signs_of(study, cell, method, seen)
        else:
            rows += run_of(study, cell, method)
    return rows


def run_of(study: Study, cell: Cell, method: str) -> list[Row]:
    """Return the rows of one run, and of how many epochs it had."""
    descent, rows, epochs = study.method(method), list[Row](), 0
    if isinstance(descent, DescentMethod):

        def see(seen: Moment, _: Classifier) -> None:
            nonlocal epochs, rows
            epochs = seen.epoch
            rows += signs_of(study, cell, method, seen, epoch=seen.epoch)
            for term, value in seen.losses.items():
                at = {"epoch": seen.epoch, "term": term}
                rows.append(study.row(cell, method, "train", "training_loss", value, "loss", **at))

        follow(study, cell, method, see, at=moments_of(descent.epochs))
    else:
        log.warning("%s %s is not followed: it does not descend by epochs", cell, method)
    return [study.row(cell, method, "train", "epochs", epochs, "epochs"), *rows]


def signs_of(study: Study, cell: Cell, method: str, seen: Moment, **at: object) -> list[Row]:
    """Return the four rows of one moment."""
    return [
        study.row(cell, method, where, measure, getattr(seen, attribute), unit, **at)
        for where, measure, attribute, unit in SIGNS
    ]
