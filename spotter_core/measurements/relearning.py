"""Relearning: what the published attack brings back, over its whole grid.

Layer 8.
"""

from collections.abc import Sequence

from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study


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
