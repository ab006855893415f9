"""Accuracies: of every part of the split, and of every retained class.

Layer 8.
"""

from collections.abc import Sequence

from spotter_core.metrics import accuracy, conditional_shift
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study

SPLITS = tuple(
    f"{side}/{part}" for side in ("forget", "retain") for part in ("train", "validation", "test")
)


def accuracies(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Accuracy on every part of the split, and the images that each method read to get there."""
    rows = []
    for method in methods:
        for where in SPLITS:
            logits = study.predictions(cell, method, where).logits
            value = accuracy(logits, study.part(cell, where).labels)
            rows.append(study.row(cell, method, where, "accuracy", value, "fraction"))
        if method != "original":
            for side, images in study.made(cell, method).record["reads"].items():
                rows.append(
                    study.row(cell, method, f"{side}/train", "images_read", images, "images")
                )
    return rows


def class_accuracies(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Test accuracy of every retained class, and how its images' class distribution shifted."""
    rows = []
    labels = study.part(cell, "retain/test").labels
    before = study.predictions(cell, "original", "retain/test").logits
    for method in methods:
        logits = study.predictions(cell, method, "retain/test").logits
        shift = conditional_shift(before, logits, cell.forget, reduction="none")
        for c in labels.unique().tolist():
            name = study.dataset.class_names[c]
            where, own = "retain/test", labels == c
            hit = accuracy(logits[own], labels[own])
            rows.append(study.row(cell, method, where, "accuracy", hit, "fraction", retained=name))
            value = shift[own].mean().item()
            rows.append(
                study.row(cell, method, where, "conditional_shift", value, "nats", retained=name)
            )
    return rows
