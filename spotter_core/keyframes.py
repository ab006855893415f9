"""Where samples lie at some moments of unlearning runs: one small file, drawn without torch.

Layer 3: arrays and JSON. A keyframe is measured, whatever a picture puts between two of them is
not. The file is an object with these keys:

``format``
    ``"spotter-keyframes-2"``.
``digest``
    Of all the rest, see :mod:`~spotter_core.files`.
``about``
    What holds for all of it: cell, seed of the embedding, fingerprint, trustworthiness.
``title``
    Data and cell in words.
``class_names``, ``forget_classes``, ``labels``
    Names of all classes, indices of those forgotten, and one index a sample.
``oracle``
    ``[x, y]`` of every sample in the retrained network.
``yardsticks``
    ``{"original": {...}, "retrain": {...}}``, the four numbers of :data:`SIGNS` each.
``runs``
    By method: ``epochs``, rising from 0; ``numbers``, the four at each of them; ``points``, ``[x,
    y]`` of every sample at each of them. Coordinates have no unit and lie in [-1, 1].
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spotter_core.cells import YARDSTICKS
from spotter_core.files import read_sealed, write_sealed

FORMAT = "spotter-keyframes-2"
SIGNS = ("forget_accuracy", "retain_accuracy", "over_unlearning", "mean_cosine")
"""The numbers of a moment, as ``trajectory.Moment`` names them."""
DIGITS = 4
"""Decimals of a coordinate that are kept: a hundredth of a point's width in any picture."""
Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """The moments of one run: the epochs, ``(M, N, 2)`` coordinates, and the four numbers."""

    epochs: tuple[int, ...]
    points: np.ndarray
    numbers: tuple[Numbers, ...]

    def until(self, epoch: int) -> int:
        """Return the index of the last moment that is not after ``epoch``."""
        return max(i for i, own in enumerate(self.epochs) if own <= epoch)


@dataclass(frozen=True)
class Keyframes:
    """What a file holds; see the module for the fields.

    Raises:
        ValueError: If shapes do not match, or a yardstick or one of its numbers is missing.
    """

    title: str
    class_names: tuple[str, ...]
    forget_classes: tuple[int, ...]
    labels: np.ndarray
    oracle: np.ndarray
    yardsticks: Mapping[str, Numbers]
    runs: Mapping[str, Run]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.oracle.shape != (count, 2):
            raise ValueError(
                f"oracle must be ({count}, 2), one row a label, got {self.oracle.shape}"
            )
        if not self.runs:
            raise ValueError("runs is empty: name one method at least")
        for name in YARDSTICKS:
            check_numbers(f"yardsticks[{name!r}]", self.yardsticks.get(name, {}))
        for method, run in self.runs.items():
            check_run(method, run, count)

    @property
    def epochs(self) -> list[int]:
        """All epochs at which a run was looked at, rising."""
        return sorted({epoch for run in self.runs.values() for epoch in run.epochs})


def check_run(method: str, run: Run, count: int) -> None:
    """Raise ``ValueError`` unless a run rises from 0 and every moment is complete."""
    epochs = run.epochs
    if not epochs or epochs[0] != 0 or sorted(set(epochs)) != list(epochs):
        raise ValueError(f"epochs of {method!r} must rise from 0, got {list(epochs)}")
    if run.points.shape != (len(epochs), count, 2):
        raise ValueError(
            f"points of {method!r} must be ({len(epochs)}, {count}, 2), moments by samples, "
            f"got {run.points.shape}"
        )
    if not np.isfinite(run.points).all():
        raise ValueError(f"points of {method!r} hold NaN or inf")
    if len(run.numbers) != len(epochs):
        raise ValueError(
            f"numbers of {method!r} must be {len(epochs)}, one a moment, got {len(run.numbers)}"
        )
    for epoch, numbers in zip(epochs, run.numbers, strict=True):
        check_numbers(f"numbers of {method!r} at epoch {epoch}", numbers)


def check_numbers(where: str, numbers: Numbers) -> None:
    """Raise ``ValueError`` unless the four numbers are there."""
    if missing := [sign for sign in SIGNS if sign not in numbers]:
        raise ValueError(f"{where} must have {', '.join(SIGNS)}; {', '.join(missing)} is missing")


def fitted(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Return coordinates moved and scaled alike, so that all lie in [-1, 1]; rounded.

    Args:
        parts: ``(N, 2)`` each, in one common space.
    """
    every = np.concatenate(parts)
    low, high = every.min(axis=0), every.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-12)
    return [((part - (low + high) / 2) / half).round(DIGITS) + 0.0 for part in parts]


def save_keyframes(path: Path, frames: Keyframes) -> None:
    """Write keyframes as JSON, whole or not at all; equal ones give equal bytes."""
    runs = {
        method: {
            "epochs": list(run.epochs),
            "numbers": [dict(numbers) for numbers in run.numbers],
            "points": run.points.round(DIGITS).tolist(),
        }
        for method, run in frames.runs.items()
    }
    content = {
        "format": FORMAT,
        "about": dict(frames.about),
        "title": frames.title,
        "class_names": list(frames.class_names),
        "forget_classes": list(frames.forget_classes),
        "labels": frames.labels.tolist(),
        "oracle": frames.oracle.round(DIGITS).tolist(),
        "yardsticks": {name: dict(own) for name, own in frames.yardsticks.items()},
        "runs": runs,  # in the caller's order, which is that of the panels
    }
    write_sealed(path, json.dumps(content, separators=(",", ":")) + "\n")


def load_keyframes(path: Path) -> Keyframes:
    """Return the keyframes of a file that :func:`save_keyframes` wrote.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is cut short, damaged, of another format, or does not fit together.
    """
    advice = "delete it and run notebook 05b again"
    content = read_sealed(path, kind="keyframes file", name=FORMAT, advice=advice)
    try:
        runs = {
            method: Run(tuple(run["epochs"]), np.array(run["points"]), tuple(run["numbers"]))
            for method, run in content["runs"].items()
        }
        return Keyframes(
            title=content["title"],
            class_names=tuple(content["class_names"]),
            forget_classes=tuple(content["forget_classes"]),
            labels=np.array(content["labels"]),
            oracle=np.array(content["oracle"]),
            yardsticks=content["yardsticks"],
            runs=runs,
            about=content["about"],
        )
    except KeyError as error:
        raise ValueError(f"keyframes file {path} lacks {error}: {advice}") from error
    except ValueError as error:
        raise ValueError(f"keyframes file {path}: {error}: {advice}") from error
