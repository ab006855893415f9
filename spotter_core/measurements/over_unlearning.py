"""Over-unlearning of forget samples: in every neighborhood, by radius, by neighboring class.

Layer 8.
"""

from collections.abc import Sequence

import numpy as np
import torch

from spotter_core.cells import PUBLISHED_NEAR
from spotter_core.metrics import conditional_shift, over_unlearning, residual_forget_mass
from spotter_core.profiles import Cell
from spotter_core.results import Row, resampled_means
from spotter_core.settings import scaled
from spotter_core.study import Study
from spotter_core.training import predict
from spotter_core.workshop import Near

OU_PARTS = {
    "over_unlearning": over_unlearning,
    "residual_forget_mass": residual_forget_mass,
    "conditional_shift": conditional_shift,
}


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
    """OU and its two parts of every model on the same points.

    On forget test images with the 95 % bootstrap interval over images, ``..._low`` and
    ``..._high``, the same images for every model.
    """
    rows = []
    for method in methods:
        logits = predict(study.model(cell, method), near.images).logits
        parts = [f(near.logits, logits, cell.forget, reduction="none") for f in OU_PARTS.values()]
        values = torch.stack(parts, dim=1).double()
        found = {"": values.mean(dim=0).tolist()}
        if where == "forget/test":
            drawn = resampled_means(values.cpu().numpy())
            found |= {"_low": np.quantile(drawn, 0.025, axis=0).tolist()}
            found |= {"_high": np.quantile(drawn, 0.975, axis=0).tolist()}
        for end, numbers in found.items():
            for measure, value in zip(OU_PARTS, numbers, strict=True):
                unit = "fraction" if measure == "residual_forget_mass" else "nats"
                rows.append(study.row(cell, method, where, measure + end, value, unit, **at))
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
