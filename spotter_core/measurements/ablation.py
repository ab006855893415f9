"""Ablation: Spotter with one setting changed at a time.

Layer 8.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from spotter_core.metrics import accuracy, mean_cosine_similarity, over_unlearning
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.settings import scaled
from spotter_core.study import Study
from spotter_core.training import Diverged, predict


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
