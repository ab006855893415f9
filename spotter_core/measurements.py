"""What is measured of a cell: one function a blind spot, models in, rows out.

Layer 8. Every function takes (study, cell, methods), measures all models on the same points with
the same attacks, and returns rows; ``Study.measured`` keeps them.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import torch

from spotter_core.cells import PUBLISHED_NEAR
from spotter_core.metrics import (
    accuracy,
    conditional_shift,
    knn_purity,
    mean_cosine_similarity,
    over_unlearning,
    residual_forget_mass,
)
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.settings import scaled
from spotter_core.study import Study
from spotter_core.training import Diverged, predict
from spotter_core.workshop import Near

SPLITS = tuple(
    f"{side}/{part}" for side in ("forget", "retain") for part in ("train", "validation", "test")
)
OU_PARTS = {
    "over_unlearning": over_unlearning,
    "residual_forget_mass": residual_forget_mass,
    "conditional_shift": conditional_shift,
}


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


def over_unlearning_everywhere(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """OU@epsilon and its parts in every neighborhood, on held-out forget images.

    On the training images, much the largest part, in two: the headline's, to be compared with, and
    the published one, since the published numbers are those.
    """
    rows = []
    for name in study.profile.neighborhoods:
        wheres = ["forget/test", "forget/validation"]
        if name in (study.profile.headline, PUBLISHED_NEAR):
            wheres.append("forget/train")
        for where in wheres:
            near = study.near(cell, name, where)
            rows.append(crossing_row(study, cell, near, where, neighborhood=name))
            rows += ou_rows(study, cell, methods, near, where, neighborhood=name)
    return rows


def over_unlearning_by_radius(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """OU@epsilon of the headline neighborhood and of uniform noise as the radius grows."""
    rows = []
    where = "forget/test"
    for name in study.profile.curves:
        for epsilon in study.profile.epsilons:
            near = study.near(cell, scaled(study.neighborhood(name), epsilon), where)
            at = {"neighborhood": name, "epsilon": epsilon}
            rows.append(crossing_row(study, cell, near, where, **at))
            rows += ou_rows(study, cell, methods, near, where, **at)
    return rows


def ou_rows(
    study: Study, cell: Cell, methods: Sequence[str], near: Near, where: str, **at: object
) -> list[Row]:
    """OU and its two parts of every model on the same points."""
    rows = []
    for method in methods:
        logits = predict(study.model(cell, method), near.images).logits
        for measure, function in OU_PARTS.items():
            value = function(near.logits, logits, cell.forget).item()
            unit = "fraction" if measure == "residual_forget_mass" else "nats"
            rows.append(study.row(cell, method, where, measure, value, unit, **at))
    return rows


def crossing_row(study: Study, cell: Cell, near: Near, where: str, **at: object) -> Row:
    """Share of points that the original no longer takes for a forget class: how near is near."""
    classes = torch.tensor(cell.forget, device=near.logits.device)
    crossed = (~torch.isin(near.logits.argmax(dim=1), classes)).double().mean().item()
    return study.row(cell, "original", where, "crossing", crossed, "fraction", **at)


def damage_by_class(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Conditional shift on near points, by the retained class that the original sees in them."""
    rows = []
    where, name = "forget/test", study.profile.headline
    near = study.near(cell, name, where)
    index = torch.tensor(cell.forget, device=near.logits.device)
    neighbor = near.logits.index_fill(1, index, -torch.inf).argmax(dim=1)
    for method in methods:
        logits = predict(study.model(cell, method), near.images).logits
        shift = conditional_shift(near.logits, logits, cell.forget, reduction="none")
        for c in neighbor.unique().tolist():
            at = {"retained": study.dataset.class_names[c], "points": int((neighbor == c).sum())}
            value = shift[neighbor == c].mean().item()
            rows.append(study.row(cell, method, where, "conditional_shift", value, "nats", **at))
    return rows


def relearning(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """PRA accuracy for every k, alpha, metric and scale, mean over the attacker's draws.

    The attacker's samples come from the forget training set. Scored on forget test images, on the
    forget training images (as published, the k samples included) and, for the price, on retained
    test images.
    """
    rows = []
    for method in methods:
        head = study.model(cell, method).head
        pool = study.predictions(cell, method, "forget/train").features
        pool_labels = study.part(cell, "forget/train").labels
        for where in ("forget/test", "forget/train", "forget/validation", "retain/test"):
            target = study.predictions(cell, method, where)
            labels = study.part(cell, where).labels
            for variant in study.profile.attacks:
                sweep = study.sweep(**variant)
                means = sweep(head, pool, pool_labels, target, labels, cell.forget).mean(dim=2)
                at = {"metric": sweep.metric, "scale": sweep.scale or 0.0}
                rows += [
                    study.row(
                        cell,
                        method,
                        where,
                        "pra_accuracy",
                        means[i, j].item(),
                        "fraction",
                        shots=k,
                        alpha=alpha,
                        **at,
                    )
                    for i, k in enumerate(sweep.shots)
                    for j, alpha in enumerate(sweep.alphas)
                ]
    return rows


def dispersion(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """How tightly the forget class sits together: mean cosine, and purity of its neighbors."""
    rows = []
    forget, retain = (study.part(cell, f"{side}/test") for side in ("forget", "retain"))
    labels = torch.cat([forget.labels, retain.labels])
    for method in methods:
        parts = [
            study.predictions(cell, method, f"{s}/test").features for s in ("forget", "retain")
        ]
        for side, features, own in zip(
            ("forget", "retain"), parts, (forget.labels, retain.labels), strict=True
        ):
            value = mean_cosine_similarity(features, own)
            rows.append(study.row(cell, method, f"{side}/test", "mean_cosine", value, "cosine"))
        purity = knn_purity(torch.cat(parts), labels, cell.forget)
        rows.append(study.row(cell, method, "forget/test", "knn_purity", purity, "fraction", k=10))
    return rows


def ablated(study: Study, setting: str, value: Any) -> dict[str, Any]:
    """Return Spotter's settings that differ when one of them takes another value.

    ``neighborhood.epsilon`` reaches into the neighborhood and scales its step along.
    """
    name, _, inner = setting.partition(".")
    if not inner:
        return {name: value}
    own = getattr(study.method("spotter"), name)
    return {name: scaled(own, value) if inner == "epsilon" else replace(own, **{inner: value})}


def ablation(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Spotter with one setting changed at a time; ``methods`` are the yardsticks beside it.

    The profile's own setting appears once in every series. PRA is the attacker's best alpha at five
    shots, on forget test images. A value with which the training diverged has one row, of the
    measure ``diverged``.
    """
    own = study.method("spotter")
    rows = []
    for setting, values in study.profile.ablation.items():
        default = attrgetter(setting)(own)
        for value in sorted({default, *values}):
            change = {} if value == default else ablated(study, setting, value)
            at = {"setting": setting, "setting_value": value}
            try:
                model = study.model(cell, "spotter", **change)
                signs = vital_signs(study, cell, "spotter", model, **at)
            except Diverged:  # this value is too much; the others are not
                where = "forget/train"
                signs = [study.row(cell, "spotter", where, "diverged", 1.0, "flag", **at)]
            made_by = study.fingerprint(cell, "spotter", **change)
            rows += [replace(row, settings=made_by) for row in signs]
    for method in methods:
        if method != "spotter":
            rows += vital_signs(study, cell, method, study.model(cell, method))
    return rows


def vital_signs(
    study: Study, cell: Cell, method: str, model: Classifier, **at: object
) -> list[Row]:
    """The five numbers of one model: forget and retain accuracy, OU, PRA, mean cosine."""
    forget, retain = study.part(cell, "forget/test"), study.part(cell, "retain/test")
    seen, kept = predict(model, forget.images), predict(model, retain.images)
    near = study.near(cell, study.profile.headline, "forget/test")
    ou = over_unlearning(near.logits, predict(model, near.images).logits, cell.forget).item()
    pool = study.part(cell, "forget/train")
    regained = replace(study.sweep(), shots=(5,))(
        model.head,
        predict(model, pool.images).features,
        pool.labels,
        seen,
        forget.labels,
        cell.forget,
    )
    signs = [
        ("forget/test", "accuracy", accuracy(seen.logits, forget.labels), "fraction"),
        ("retain/test", "accuracy", accuracy(kept.logits, retain.labels), "fraction"),
        ("forget/test", "over_unlearning", ou, "nats"),
        ("forget/test", "pra_accuracy", regained.mean(dim=2).max().item(), "fraction"),
        (
            "forget/test",
            "mean_cosine",
            mean_cosine_similarity(seen.features, forget.labels),
            "cosine",
        ),
    ]
    return [
        study.row(cell, method, where, measure, value, unit, **at)
        for where, measure, value, unit in signs
    ]
