"""How a class's images scatter while it is unlearned: runs followed, embedded in one common space.

Layer 9. The moments of two runs make one line, from the end of the first back to the original and
on to the end of the second, the oracle before it; neighbors on that line are held close to each
other by AlignedUMAP, more distant ones only through those between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spotter_core.embedding import as_table, common_embedding
from spotter_core.files import settings_hash
from spotter_core.keyframes import DIGITS, SIGNS, Keyframes, Numbers, Run, fitted, load_keyframes
from spotter_core.methods import DescentMethod
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.sources import code_fingerprint
from spotter_core.study import Study
from spotter_core.training import predict
from spotter_core.trajectory import Moment, follow, moment, moments_of
from spotter_core.workshop import fixed_sample

FORGET, RETAIN = 100, 250
"""At most so many forget and retained test images are embedded."""
MOMENTS = 10
"""Of the longest run; a shorter one is seen at the same epochs, and both where that one ends."""
ALIGNMENT, WINDOW = 0.03, 3
"""Of AlignedUMAP: how strongly, and how many moments far, a sample is held to itself. On the digits
retained samples then move least from the start to the end of a run (0.19 of the picture's spread,
against 0.30 with 0.01), forget samples of Spotter as far (0.62, 0.61); a longer window costs twice
the time and changes neither."""


def keyframes(
    study: Study,
    cell: Cell,
    methods: Sequence[str],
    *,
    moments: int = MOMENTS,
    seed: int = 0,
    kept: Path | None = None,
) -> Keyframes:
    """Return where forget and retained test images lie at moments of one or two runs.

    Args:
        study: Whose settings and seeds are used.
        cell: Forget classes and seed.
        methods: One or two that descend.
        moments: Of the longest run, ``>= 2``.
        seed: Of the embedding.
        kept: A file of keyframes; returned if it was made by the same code from the same models.

    Raises:
        ValueError: If there are no or more than two methods, or one does not descend.
        Diverged: If a run reaches a loss that is not finite.
    """
    descents(study, methods)
    models = [study.fingerprint(cell, name) for name in ("original", "retrain", *methods)]
    code = code_fingerprint(__name__)
    near = repr(study.neighborhood(study.profile.headline))
    fingerprint = settings_hash([models, code, near, list(methods), moments, seed])
    if kept is not None and kept.is_file():
        try:
            found = load_keyframes(kept)
            if found.about.get("fingerprint") == fingerprint:
                return found
        except ValueError:
            pass  # cut short or of another format: made anew
    frames = made(study, cell, methods, moments, seed)
    return replace(frames, about={**frames.about, "fingerprint": fingerprint})


def descents(study: Study, methods: Sequence[str]) -> list[DescentMethod]:
    """Return the methods as the profile sets them; one or two that descend, else ``ValueError``."""
    if not 1 <= len(set(methods)) == len(methods) <= 2:
        raise ValueError(f"methods must be one or two that differ, got {list(methods)}")
    found: list[DescentMethod] = []
    for name in methods:
        method = None if name == "original" else study.method(name)
        if not isinstance(method, DescentMethod):
            raise ValueError(f"methods must descend by epochs, {name!r} does not: leave it out")
        found.append(method)
    return found


def made(study: Study, cell: Cell, methods: Sequence[str], moments: int, seed: int) -> Keyframes:
    """Follow the runs, embed what was seen, and return it."""
    images, labels = pictured(study, cell)
    lengths = [method.epochs for method in descents(study, methods)]
    at = sorted({*moments_of(max(lengths), most=moments), *lengths})
    runs = {name: followed(study, cell, name, at, images) for name in methods}
    oracle = study.model(cell, "retrain")
    tables = line_of(runs, predict(oracle, images).features)
    options = {"neighbors": min(15, len(labels) - 1), "seed": seed}
    space = common_embedding(tables, labels, alignment=ALIGNMENT, window=WINDOW, **options)
    points = dict(zip(space, fitted(list(space.values())), strict=True))
    names = study.dataset.class_names
    original = next(iter(runs.values()))[0].seen
    last = moment(study, cell, oracle, epoch=0, losses={})
    return Keyframes(
        title=f"{study.profile.label}, forgetting {' and '.join(names[c] for c in cell.forget)}",
        class_names=tuple(names),
        forget_classes=cell.forget,
        labels=labels.cpu().numpy(),
        oracle=points["retrain"],
        yardsticks={"original": signs(original), "retrain": signs(last)},
        runs={name: run_of(name, looks, points) for name, looks in runs.items()},
        about={"cell": str(cell), "seed": seed, "trustworthiness": least_faithful(tables, space)},
    )


class Glance(NamedTuple):
    """What was seen of a run at one moment."""

    seen: Moment
    features: Tensor


def pictured(study: Study, cell: Cell) -> tuple[Tensor, Tensor]:
    """Return images and labels of a fixed draw of forget and retained test images."""
    parts = [
        fixed_sample(study.part(cell, f"{side}/test"), most, "motion", cell.classes, side)
        for side, most in (("forget", FORGET), ("retain", RETAIN))
    ]
    return torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts])


def followed(
    study: Study, cell: Cell, method: str, at: Sequence[int], images: Tensor
) -> list[Glance]:
    """Return the moments of a run, with the features of ``images`` at each of them."""
    looks: list[Glance] = []

    def see(seen: Moment, network: Classifier) -> None:
        looks.append(Glance(seen, predict(network, images).features))

    follow(study, cell, method, see, at=at)
    return looks


def place(method: str, epoch: int) -> str:
    """Return the name of a moment among all tables; all runs have their first one in common."""
    return f"{method} {epoch}" if epoch else "original"


def line_of(runs: Mapping[str, Sequence[Glance]], oracle: Tensor) -> dict[str, Tensor]:
    """Return all moments' features in the order of the line: neighbors in it are held together."""
    first, *second = runs
    tables = {"retrain": oracle}
    tables |= {place(first, look.seen.epoch): look.features for look in reversed(runs[first])}
    for name in second:
        tables |= {place(name, look.seen.epoch): look.features for look in runs[name][1:]}
    return tables


def run_of(method: str, looks: Sequence[Glance], points: Mapping[str, np.ndarray]) -> Run:
    """Return a run as it is stored."""
    epochs = tuple(look.seen.epoch for look in looks)
    where = np.stack([points[place(method, epoch)] for epoch in epochs])
    return Run(epochs, where, tuple(signs(look.seen) for look in looks))


def signs(seen: Moment) -> Numbers:
    """Return the four numbers of a moment."""
    return {name: float(getattr(seen, name)) for name in SIGNS}


def least_faithful(tables: Mapping[str, Tensor], space: Mapping[str, np.ndarray]) -> float:
    """Return the lowest trustworthiness of all moments, by the ten nearest neighbors."""
    from sklearn.manifold import trustworthiness

    count = len(next(iter(space.values())))
    most = max(1, min(10, (count - 1) // 2))
    return min(
        round(
            float(
                trustworthiness(
                    as_table(name, rows, count), space[name], n_neighbors=most, metric="cosine"
                )
            ),
            DIGITS,
        )
        for name, rows in tables.items()
    )
