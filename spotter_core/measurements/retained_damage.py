"""Damage where it is claimed to matter: on retained images, near the forget class and elsewhere.

Layer 8.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.metrics import accuracy, conditional_shift
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study
from spotter_core.training import predict

NEAREST = 0.1
"""Share of the retained test images that count as the forget class's neighbors."""


def damage_to_retained(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """Accuracy and conditional shift of retained test images by retained class, in three groups.

    The original alone makes them: ``"neighbors"``, the tenth whose features are most like the mean
    of the forget training features (cosine); ``"others"``, the rest; ``"adversarial"``, all of them
    pushed towards the forget class in the headline's neighborhood. Of the last, ``crossing`` is the
    share that the original takes for a forget class.
    """
    where, rows = "retain/test", []
    labels = study.part(cell, where).labels
    original = study.predictions(cell, "original", where).logits
    like = likeness(study, cell)
    near = study.near(cell, study.profile.headline, where)
    index = torch.tensor(cell.forget, device=near.logits.device)
    crossed = torch.isin(near.logits.argmax(dim=1), index).double().mean().item()
    pushed_at = {"near": "adversarial"}
    rows.append(study.row(cell, "original", where, "crossing", crossed, "fraction", **pushed_at))
    nearest = like >= like.quantile(1.0 - NEAREST)
    for method in methods:
        clean = study.predictions(cell, method, where).logits
        pushed = predict(study.model(cell, method), near.images).logits
        groups = {
            "neighbors": (nearest, original, clean),
            "others": (~nearest, original, clean),
            "adversarial": (torch.ones_like(nearest), near.logits, pushed),
        }
        for group, (members, before, after) in groups.items():
            shift = conditional_shift(before, after, cell.forget, reduction="none")
            for c in labels[members].unique().tolist():
                own = members & (labels == c)
                at: dict[str, object] = {
                    "near": group,
                    "retained": study.dataset.class_names[c],
                    "points": int(own.sum()),
                }
                hit = accuracy(after[own], labels[own])
                rows.append(study.row(cell, method, where, "accuracy", hit, "fraction", **at))
                value = shift[own].mean().item()
                rows.append(
                    study.row(cell, method, where, "conditional_shift", value, "nats", **at)
                )
    return rows


def likeness(study: Study, cell: Cell) -> Tensor:
    """Return ``(N,)`` cosines of retained test images with the forget class's mean feature.

    Of several forget classes the one that is most alike.
    """
    own = study.predictions(cell, "original", "forget/train").features.double()
    labels = study.part(cell, "forget/train").labels
    means = torch.stack([own[labels == c].mean(dim=0) for c in cell.forget])
    others = study.predictions(cell, "original", "retain/test").features.double()
    return (F.normalize(others, dim=1) @ F.normalize(means, dim=1).T).amax(dim=1)
