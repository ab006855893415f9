"""Attacks that train, and transformations that cost nothing, on every model and with controls.

Layer 8.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from spotter_core.attacks import draw_support
from spotter_core.data import ImageSet, Parts
from spotter_core.measurements.battery import NEVER_SEEN, OWN, model_of, row_of, some_of
from spotter_core.models import Classifier
from spotter_core.never_seen import never_seen_classes, upside_down
from spotter_core.profiles import Cell
from spotter_core.relearning import FREE, Curve, FineTuning, Held, Reminiscence, share_right
from spotter_core.results import UNTRAINED, Row
from spotter_core.runtime import seeded_generator
from spotter_core.study import Study

SHOTS = (0, 5, 50)
"""Forget images of the attacker's who fine-tunes; 0: he trains on retained ones alone."""
FEW = 5
"""The same of a class never seen: what any network learns of so few images."""
DRAWS = 3
"""Of the attacker's images where he looks at the speed: few images make it uneven."""

SPLITS_OF = {OWN: "forget", NEVER_SEEN: NEVER_SEEN}
"""How rows name the side of the split that a kind of class is of."""
PARTS = ("train", "validation", "test")

MakeRow = Callable[..., Row]
"""(split, measure, value, unit, **at) -> a row of the model in hand."""


@dataclass(frozen=True)
class Common:
    """What all models of a cell are attacked with.

    Attributes:
        cell: Whose seed is that of the order of images.
        retain: Retained images: to train on, to choose by, to score on.
        kinds: By ``support``, classes under the forgotten ones' labels: these themselves (``own``),
            and those that no network saw. Parts as in ``retain``.
        shots: Images that there are of each of those classes, at least.
    """

    cell: Cell
    retain: Parts
    kinds: dict[str, Parts]
    shots: int

    def drawn(self, support: str, shots: int, *more: int) -> ImageSet:
        """Return that many training images of each class, or all; ``more`` makes it another draw.

        The draw is of places, so that it does not depend on who is attacked.
        """
        pool, order = self.kinds[support].train, seeded_generator("support", self.cell, *more)
        chosen = draw_support(pool.labels, self.cell.forget, min(shots, self.shots), order)
        return pool.subset(chosen.flatten())


def training_attacks(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """What fine-tuning brings back, how fast, and what comes back for nothing.

    ``relearned`` on forget and retained test images where the attacker stopped (``fine_tuning``, or
    ``retain_only`` without a forget image), and after each transformation of
    :data:`~spotter_core.relearning.FREE`; of his learning rate's curve on forget test images the
    steps to 50 % (a row only where it gets there) and the area. ``steps_to_relearn`` is how long a
    few images take to be learned, and ``reminiscence`` how many steps longer those of a class never
    seen take; means over draws, by learning rate, and of the latter over the rates too.

    Every model is attacked with the same images in the same order. Controls: the untrained network,
    and for every model the class never seen in place of the forgotten one (``support`` is
    ``"never seen"``), which is scored on its own test images and on the forgotten class's.
    """
    common, rows = common_of(study, cell), []
    for method in [*methods, UNTRAINED]:
        model, row = model_of(study, cell, method), partial(row_of, study, cell, method)
        rows += fine_tuning_rows(row, model, common)
        rows += reminiscence_rows(row, model, common)
        rows += free_rows(row, model, common)
    return rows


def common_of(study: Study, cell: Cell) -> Common:
    """Return what a cell's models are attacked with; no class never seen where none can be made."""
    split = study.split(cell)
    retain, forget = (
        Parts(*(some_of(study.part(cell, f"{side}/{part}"), f"{side}/{part}") for part in PARTS))
        for side in ("retain", "forget")
    )
    kinds = {OWN: Parts(study.part(cell, "forget/train"), forget.validation, forget.test)}
    if len(split.retain.train.labels.unique()) >= len(cell.forget):
        whole = split.retain
        sources = never_seen_classes(study.model(cell, "original"), whole.validation, cell.forget)
        turned = (upside_down(getattr(whole, part), sources) for part in PARTS)
        kinds[NEVER_SEEN] = Parts(*turned)
    counts = [parts.train.labels.unique(return_counts=True)[1] for parts in kinds.values()]
    return Common(cell, retain, kinds, min(int(count.min()) for count in counts))


def fine_tuning_rows(row: MakeRow, model: Classifier, common: Common) -> list[Row]:
    """Return what fine-tuning regains, without a forget image and with some of either kind."""
    rows = []
    tried = [(OWN, k) for k in SHOTS] + [(kind, FEW) for kind in common.kinds if kind != OWN]
    for support, shots in tried:
        kind = common.kinds[support]
        images = common.drawn(support, shots) if shots else None
        held = Held(images, common.retain.train, kind.validation, common.retain.validation)
        where = SPLITS_OF[support] + "/test"
        targets = {
            where: kind.test,
            "forget/test": common.kinds[OWN].test,
            "retain/test": common.retain.test,
        }
        found = FineTuning()(model, held, targets, followed=[where], seed=common.cell.seed)
        attack = "fine_tuning" if shots else "retain_only"
        own = partial(row, attack=attack, shots=shots, support=support)
        rows += relearned_rows(own, found.accuracy)
        rows += curve_rows(own, found.curve, where)
    return rows


def relearned_rows(row: MakeRow, accuracy: Mapping[str, float]) -> list[Row]:
    """Return a row of every target."""
    return [row(where, "relearned", value, "fraction") for where, value in accuracy.items()]


def curve_rows(row: MakeRow, curve: Curve, where: str) -> list[Row]:
    """Return the accuracy at every step, the steps to one half, and the area."""
    rows = [
        row(where, "relearning_curve", value, "fraction", step=step)
        for step, value in zip(curve.steps, curve.accuracy[where], strict=True)
    ]
    half = curve.steps_to(0.5, where)
    if math.isfinite(half):
        rows.append(row(where, "steps_to_half", half, "steps"))
    rows.append(row(where, "relearning_area", curve.area(where), "fraction"))
    return rows


def reminiscence_rows(row: MakeRow, model: Classifier, common: Common) -> list[Row]:
    """Return the steps that either kind takes to be learned, and how many fewer the forgotten."""
    if NEVER_SEEN not in common.kinds:
        return []
    attack, runs = Reminiscence(), []
    shots = attack.images_of(common.shots)
    for draw in range(DRAWS):
        own, new = (common.drawn(support, shots, draw) for support in (OWN, NEVER_SEEN))
        runs.append(attack(model, own, new, common.retain.train, seed=common.cell.seed + draw))
    row, rows = partial(row, attack="reminiscence", shots=shots), []
    for rate in attack.learning_rates:
        steps = {
            OWN: [r.forget[rate] for r in runs],
            NEVER_SEEN: [r.never_seen[rate] for r in runs],
        }
        at = {"learning_rate": rate}
        rows += [
            row(f"{SPLITS_OF[s]}/train", "steps_to_relearn", fmean(n), "steps", support=s, **at)
            for s, n in steps.items()
        ]
        score = fmean(run.score(rate) for run in runs)
        rows.append(row("forget/train", "reminiscence", score, "steps", support=OWN, **at))
    mean = fmean(run.mean_score() for run in runs)
    return [*rows, row("forget/train", "reminiscence", mean, "steps", support=OWN)]


def free_rows(row: MakeRow, model: Classifier, common: Common) -> list[Row]:
    """Return what is right after each transformation that costs nothing."""
    rows, own = [], common.kinds[OWN]
    for name, transform in FREE.items():
        changed = transform(model, common.retain.train, common.cell.seed)
        targets = {"forget/test": own.test, "retain/test": common.retain.test}
        reached = {where: share_right(changed, samples) for where, samples in targets.items()}
        rows += relearned_rows(partial(row, attack=name, shots=0, support=OWN), reached)
    return rows
