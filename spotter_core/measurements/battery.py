"""The battery of head-level attacks on every model, with the controls that tell what it means.

Layer 8.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from spotter_core.attacks import HEAD_ATTACKS, HeadAttack, Seen
from spotter_core.attacks.battery import HeadBattery, Outcome
from spotter_core.attacks.full_probe import fit_head, full_probe
from spotter_core.data import ImageSet
from spotter_core.measurements.accuracy import SPLITS
from spotter_core.models import Classifier
from spotter_core.never_seen import never_seen_classes, upside_down
from spotter_core.profiles import Cell
from spotter_core.results import UNTRAINED, Row, resampled_means
from spotter_core.runtime import seeded_generator
from spotter_core.scores import ORACLE
from spotter_core.study import Study
from spotter_core.training import predict
from spotter_core.workshop import fixed_sample

OWN, SHUFFLED, NEVER_SEEN = "own", "shuffled", "never seen"
"""Whose images the attacker takes for the forgotten class: its own, retained ones drawn at random,
or those of a class that no network was trained on."""
NEVER = -10.0
"""Logit of the class that a fitted head knows nothing of: low, and in reach of a training."""
MOST = 2000
"""Samples of a part that an attacker holds, or is scored on."""
Parts = dict[str, Seen]


def head_attacks(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """What every head-level attack regains, for every k, mean over the attacker's draws.

    His samples are forget training images, his reference retained ones, of either and of every
    other part :data:`MOST` at most; settings and threshold are chosen on validation images, where
    retained accuracy may fall by a point at most. Scored on forget test images, on forget training
    images without his own, and for the price on retained test images; and, without a threshold, by
    the AUROC of the margin between test images. On forget test images there is also the ``excess``
    over the oracle of the cell, with ``excess_low`` and ``excess_high``, the 95 % bootstrap
    interval over images; of the attack ``worst`` too, for each model the head-level attack that
    regains most.

    Controls: random features (:func:`untrained`); and for every model an attacker whose samples
    are retained images that he takes for the forgotten class (``support`` is ``"shuffled"``), and
    one who teaches it a class that no network was trained on (``"never seen"``, scored on that).
    ``full_probe`` is a new head with all training images, for the bound: no shots.
    """
    attacks = tuple(HEAD_ATTACKS.values())
    battery = battery_of(study, cell, attacks)
    with_images = replace(battery, attacks=tuple(a for a in attacks if a.needs_images))
    turned, rows, rates = turned_parts(study, cell), [], {}
    for method in [*methods, UNTRAINED]:
        model, parts = model_of(study, cell, method), predictions_of(study, cell, method)
        outcomes = run(battery, model.head, cell, parts["forget/train"], parts)
        rows += rows_of(outcomes, study, cell, method, support=OWN)
        rates[method] = {(o.attack, o.shots): o.rates.cpu().numpy() for o in outcomes}
        pool = shuffled(parts["retain/train"], cell, battery)
        outcomes = run(with_images, model.head, cell, pool, parts)
        rows += rows_of(outcomes, study, cell, method, support=SHUFFLED)
        new = parts | {w: seen_by(model, samples) for w, samples in turned.items()}
        outcomes = run(battery, model.head, cell, new["forget/train"], new)
        rows += rows_of(outcomes, study, cell, method, support=NEVER_SEEN)
        rows += probe_rows(study, cell, method, parts)
    return rows + list(excess_rows(study, cell, rates))


def battery_of(study: Study, cell: Cell, attacks: tuple[HeadAttack, ...]) -> HeadBattery:
    """Return the battery with the study's draws and every k that the forget classes have."""
    counts = study.part(cell, "forget/train").labels.unique(return_counts=True)[1]
    battery = HeadBattery(attacks, seeds=tuple(range(study.profile.supports)))
    return replace(battery, shots=tuple(k for k in battery.shots if k <= int(counts.min())))


def model_of(study: Study, cell: Cell, method: str) -> Classifier:
    """Return a method's model, or the untrained control."""
    return untrained(study, cell) if method == UNTRAINED else study.model(cell, method)


def untrained(study: Study, cell: Cell) -> Classifier:
    """Return random features under a head that tells the retained classes apart as well as it can.

    A head as random as they are has no retained accuracy to lose, so that calling everything
    forgotten would cost nothing.
    """
    model = copy.deepcopy(study.blank)
    fitted = fit_head(seen_by(model, some_of(study.part(cell, "retain/train"), "retain/train")))
    model.head = nn.Linear(model.head.in_features, model.num_classes).to(model.device)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.fill_(NEVER)
        model.head.weight[fitted.classes] = fitted.weight.to(model.head.weight)
        model.head.bias[fitted.classes] = fitted.bias.to(model.head.weight)
    return model


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


def predictions_of(study: Study, cell: Cell, method: str) -> Parts:
    """Return a model's predictions on all parts that an attacker may touch, with their labels."""
    model, found = model_of(study, cell, method), {}
    for where in SPLITS:
        part = study.part(cell, where)
        if method == UNTRAINED or len(part) > MOST:
            found[where] = seen_by(model, some_of(part, where))
        else:
            found[where] = Seen.of(study.predictions(cell, method, where), part.labels)
    return found


def some_of(samples: ImageSet, where: str) -> ImageSet:
    """Return :data:`MOST` of the samples, drawn once for all models, or all of fewer."""
    return fixed_sample(samples, MOST, "some of", where)


def seen_by(model: Classifier, samples: ImageSet) -> Seen:
    """Return what a network says of samples, with their labels."""
    return Seen.of(predict(model, samples.images), samples.labels)


def shuffled(retain: Seen, cell: Cell, battery: HeadBattery) -> Seen:
    """Return retained samples, drawn whatever their class, with the forget classes' labels."""
    count = min(len(retain.labels), 4 * max(battery.shots) * len(cell.forget))
    drawn = torch.randperm(len(retain.labels), generator=seeded_generator("shuffled", cell))
    picked = retain.pick(drawn[:count].to(retain.labels.device))
    labels = torch.tensor(cell.forget, device=retain.labels.device)
    return picked._replace(labels=labels[torch.arange(count) % len(labels)])


def turned_parts(study: Study, cell: Cell) -> dict[str, ImageSet]:
    """Return the parts of a class that no network was trained on, as if of the forgotten one."""
    original, retain = study.model(cell, "original"), study.part(cell, "retain/validation")
    sources = never_seen_classes(original, retain, cell.forget)
    names = ("train", "validation", "test")
    turned = {f"forget/{p}": upside_down(study.part(cell, f"retain/{p}"), sources) for p in names}
    return {where: some_of(samples, where) for where, samples in turned.items()}


def run(
    battery: HeadBattery, head: nn.Linear, cell: Cell, pool: Seen, parts: Parts
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
        for (side, measure), value in means.items():
            where = (
                side.replace("forget", NEVER_SEEN) if more.get("support") == NEVER_SEEN else side
            )
            if not math.isfinite(value):
                continue  # nothing is left of the pool
            if where == "forget/train" and more.get("support") == SHUFFLED:
                continue  # its pool is not of forget training images
            rows.append(row_of(study, cell, method, where, measure, value, "fraction", **at))
    return rows


def probe_rows(study: Study, cell: Cell, method: str, parts: Parts) -> list[Row]:
    """Return what a new head regains that was trained with every image."""
    targets = {where: parts[where] for where in ("forget/test", "retain/test")}
    found = full_probe(parts["forget/train"], parts["retain/train"], targets)
    at = {"attack": "full_probe", "support": OWN}
    return [
        row_of(study, cell, method, where, "relearned", value, "fraction", **at)
        for where, value in found.items()
    ]


def excess_rows(
    study: Study, cell: Cell, rates: dict[str, dict[tuple[str, int], np.ndarray]]
) -> Iterator[Row]:
    """Yield how much more is regained than from the oracle, image by image the same ones.

    Args:
        study: That the rows are of.
        cell: Its cell.
        rates: By method, and by attack and shots: ``(images,)`` shares of draws.
    """
    for method, by_attack in rates.items():
        if method == ORACLE or ORACLE not in rates:
            continue
        for k in dict.fromkeys(shots for _, shots in by_attack):
            names = [attack for attack, shots in by_attack if shots == k]
            table = np.stack(
                [rates[m][name, k] for m in (method, ORACLE) for name in names], axis=1
            )
            drawn = resampled_means(table).reshape(-1, 2, len(names))
            means = np.concatenate([table.mean(axis=0).reshape(1, 2, len(names)), drawn])
            means = np.concatenate([means, means.max(axis=2, keepdims=True)], axis=2)
            for name, found in zip([*names, "worst"], (means[:, 0] - means[:, 1]).T, strict=True):
                low, high = np.quantile(found[1:], (0.025, 0.975))
                at: dict[str, Any] = {"attack": name, "shots": k, "support": OWN}
                key = study, cell, method, "forget/test"
                for end, value in (("", found[0]), ("_low", low), ("_high", high)):
                    yield row_of(*key, f"excess{end}", float(value), "fraction", **at)
