"""The battery of head-level attacks on every model, with the controls that tell what it means.

Layer 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from spotter_core.attacks import HEAD_ATTACKS, Seen
from spotter_core.attacks.battery import HeadBattery, Outcome
from spotter_core.measurements.accuracy import SPLITS
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.runtime import seeded_generator
from spotter_core.study import Study
from spotter_core.training import Predictions, predict

UNTRAINED = "untrained"
"""Control: the architecture with random weights, which knows no class at all."""


def head_attacks(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """What every head-level attack regains, for every k, mean over the attacker's draws.

    His samples are forget training images, his reference retained ones; settings and threshold are
    chosen on validation images, where retained accuracy may fall by a point at most. Scored on
    forget test images, on forget training images without his own, and for the price on retained
    test images; and, without a threshold, by the AUROC of the margin between test images.

    Two controls: an untrained network, and for every model an attacker whose samples are retained
    images that he takes for the forgotten class (``support`` is ``"shuffled"``).
    """
    smallest = study.part(cell, "forget/train").labels.unique(return_counts=True)[1].min().item()
    battery = HeadBattery(tuple(HEAD_ATTACKS.values()), seeds=tuple(range(study.profile.supports)))
    battery = replace(battery, shots=tuple(k for k in battery.shots if k <= smallest))
    rows = []
    for method, head, parts in networks(study, cell, methods):
        validation = joined(parts["forget/validation"], parts["retain/validation"])
        supports = {
            "own": parts["forget/train"],
            "shuffled": taken_for_forgotten(parts["retain/train"], cell, max(battery.shots)),
        }
        for support, pool in supports.items():
            outcomes = battery(
                head,
                cell.forget,
                pool=pool,
                reference=parts["retain/train"],
                validation=validation,
                targets={w: parts[w] for w in ("forget/test", "retain/test")},
            )
            rows += rows_of(outcomes, study, cell, method, support)
    return rows


def networks(
    study: Study, cell: Cell, methods: Sequence[str]
) -> Iterator[tuple[str, nn.Linear, dict[str, Seen]]]:
    """Yield name, head and cached predictions of every model, and of the untrained control."""
    for method in methods:
        own = {w: study.predictions(cell, method, w) for w in SPLITS}
        yield method, study.model(cell, method).head, labelled(study, cell, own)
    own = {w: predict(study.blank, study.part(cell, w).images) for w in SPLITS}
    yield UNTRAINED, study.blank.head, labelled(study, cell, own)


def labelled(study: Study, cell: Cell, own: Mapping[str, Predictions]) -> dict[str, Seen]:
    """Return predictions with the labels of their part."""
    return {w: Seen.of(out, study.part(cell, w).labels) for w, out in own.items()}


def joined(one: Seen, other: Seen) -> Seen:
    """Return the samples of both."""
    return Seen(*(torch.cat(pair) for pair in zip(one, other, strict=True)))


def taken_for_forgotten(retain: Seen, cell: Cell, shots: int) -> Seen:
    """Return retained samples, drawn whatever their class, with the forget classes' labels."""
    count = min(len(retain.labels), 4 * shots * len(cell.forget))
    drawn = torch.randperm(len(retain.labels), generator=seeded_generator("shuffled", cell))
    picked = retain.pick(drawn[:count].to(retain.labels.device))
    labels = torch.tensor(cell.forget, device=retain.labels.device)
    return picked._replace(labels=labels[torch.arange(count) % len(labels)])


def rows_of(
    outcomes: Sequence[Outcome], study: Study, cell: Cell, method: str, support: str
) -> list[Row]:
    """Return the means over draws, by attack, k and target."""
    found: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.attack, outcome.shots), []).append(outcome)
    made_by = "original" if method == UNTRAINED else method
    rows = []
    for (attack, shots), own in found.items():
        at = {"attack": attack, "shots": shots, "support": support}

        def row(where: str, measure: str, values: list[float], at: dict[str, object] = at) -> Row:
            value = sum(values) / len(values)
            made = study.row(cell, made_by, where, measure, value, "fraction", **at)
            return replace(made, method=method)

        # with his samples shuffled, the forget training images are none of the pool
        for where in own[0].accuracy:
            if support == "own" or where != "forget/train":
                rows.append(row(where, "relearned", [o.accuracy[where] for o in own]))
        rows.append(row("forget/test", "auroc", [o.auroc for o in own]))
    return rows
