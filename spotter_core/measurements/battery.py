"""The battery of head-level attacks on every model, with the controls that tell what it means.

Layer 8.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from spotter_core.attacks import (
    HEAD_ATTACKS,
    HeadAttack,
    LinearProbe,
    NearestMean,
    Seen,
    WhitenedMean,
)
from spotter_core.attacks.battery import HeadBattery, Outcome
from spotter_core.measurements.accuracy import SPLITS
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.runtime import seeded_generator
from spotter_core.stages import stage_features
from spotter_core.study import Study
from spotter_core.training import predict

UNTRAINED = "untrained"
"""Control: the architecture with random weights, which knows no class at all."""
FEATURE_ATTACKS: tuple[HeadAttack, ...] = (NearestMean(), WhitenedMean(), LinearProbe())
"""Those that look neither at the head nor at its scale."""


def head_attacks(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """What every head-level attack regains, for every k, mean over the attacker's draws.

    His samples are forget training images, his reference retained ones; settings and threshold are
    chosen on validation images, where retained accuracy may fall by a point at most. Scored on
    forget test images, on forget training images without his own, and for the price on retained
    test images; and, without a threshold, by the AUROC of the margin between test images.

    Two controls: an untrained network, and for every model an attacker whose samples are retained
    images that he takes for the forgotten class (``support`` is ``"shuffled"``).
    """
    battery, rows = battery_of(study, cell, tuple(HEAD_ATTACKS.values())), []
    for method in [*methods, UNTRAINED]:
        head, parts = model_of(study, cell, method).head, predictions_of(study, cell, method)
        for support, pool in supports_of(parts, cell, battery).items():
            outcomes = run(battery, head, cell, pool, parts)
            rows += rows_of(outcomes, study, cell, method, support=support)
    return rows


def layer_sweep(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """The attacks that look at features alone, on the pooled output of every stage.

    Protocol and control network as in :func:`head_attacks`; a row names its ``stage``. Retained
    answers stay the network's own.
    """
    battery, rows = battery_of(study, cell, FEATURE_ATTACKS), []
    for method in [*methods, UNTRAINED]:
        model, parts = model_of(study, cell, method), predictions_of(study, cell, method)
        by_stage: dict[str, dict[str, Seen]] = {}
        for where, seen in parts.items():
            found = stage_features(model, study.part(cell, where).pixels())
            for stage, features in found.items():
                own = seen._replace(features=features.double())
                by_stage.setdefault(stage, {})[where] = own
        for stage, own_parts in by_stage.items():
            outcomes = run(battery, model.head, cell, own_parts["forget/train"], own_parts)
            rows += rows_of(outcomes, study, cell, method, support="own", stage=stage)
    return rows


def battery_of(study: Study, cell: Cell, attacks: tuple[HeadAttack, ...]) -> HeadBattery:
    """Return the battery with the study's draws and every k that the forget classes have."""
    counts = study.part(cell, "forget/train").labels.unique(return_counts=True)[1]
    battery = HeadBattery(attacks, seeds=tuple(range(study.profile.supports)))
    return replace(battery, shots=tuple(k for k in battery.shots if k <= int(counts.min())))


def model_of(study: Study, cell: Cell, method: str) -> Classifier:
    """Return a method's model, or the untrained control."""
    return study.blank if method == UNTRAINED else study.model(cell, method)


def row_of(
    study: Study,
    cell: Cell,
    method: str,
    where: str,
    measure: str,
    value: float,
    unit: str,
    **at: object,
) -> Row:
    """Return a row of a method's model, or of the untrained control, which nothing made."""
    made_by = "original" if method == UNTRAINED else method
    return replace(study.row(cell, made_by, where, measure, value, unit, **at), method=method)


def predictions_of(study: Study, cell: Cell, method: str) -> dict[str, Seen]:
    """Return a model's predictions on all parts that an attacker may touch, with their labels."""
    found = {}
    for where in SPLITS:
        part = study.part(cell, where)
        if method == UNTRAINED:
            found[where] = Seen.of(predict(study.blank, part.images), part.labels)
        else:
            found[where] = Seen.of(study.predictions(cell, method, where), part.labels)
    return found


def supports_of(parts: dict[str, Seen], cell: Cell, battery: HeadBattery) -> dict[str, Seen]:
    """Return what the attacker's images are drawn from: the forgotten class's, and the control's.

    The control's are retained images, drawn whatever their class, with the forget classes' labels.
    """
    retain = parts["retain/train"]
    count = min(len(retain.labels), 4 * max(battery.shots) * len(cell.forget))
    drawn = torch.randperm(len(retain.labels), generator=seeded_generator("shuffled", cell))
    picked = retain.pick(drawn[:count].to(retain.labels.device))
    labels = torch.tensor(cell.forget, device=retain.labels.device)
    shuffled = picked._replace(labels=labels[torch.arange(count) % len(labels)])
    return {"own": parts["forget/train"], "shuffled": shuffled}


def run(
    battery: HeadBattery, head: nn.Linear, cell: Cell, pool: Seen, parts: dict[str, Seen]
) -> list[Outcome]:
    """Attack one network with images of ``pool``."""
    own, others = parts["forget/validation"], parts["retain/validation"]
    return battery(
        head,
        cell.forget,
        pool=pool,
        reference=parts["retain/train"],
        validation=Seen(*(torch.cat(pair) for pair in zip(own, others, strict=True))),
        targets={where: parts[where] for where in ("forget/test", "retain/test")},
    )


def rows_of(
    outcomes: Sequence[Outcome], study: Study, cell: Cell, method: str, **more: object
) -> list[Row]:
    """Return the means over draws, by attack, k and target; ``more`` goes into every row."""
    rows = []
    for outcome in outcomes:
        means = {(where, "relearned"): v.mean().item() for where, v in outcome.accuracy.items()}
        means["forget/test", "auroc"] = outcome.auroc.mean().item()
        at = {"attack": outcome.attack, "shots": outcome.shots, **more}
        for (where, measure), value in means.items():
            if not math.isfinite(value):
                continue  # nothing is left of the pool
            if where == "forget/train" and more.get("support") == "shuffled":
                continue  # its pool is not of forget training images
            rows.append(row_of(study, cell, method, where, measure, value, "fraction", **at))
    return rows
