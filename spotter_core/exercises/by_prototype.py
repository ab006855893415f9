"""What comes out of the usual slips where the prototype attack is written by hand.

Layer 10: from features and rows alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.exercises.answers import Slip, slips_of

ROW = {
    "alpha forgotten": "This is the prototype alone, as if α were 1. Blend: α times the prototype "
    "plus (1 - α) times the old row.",
    "old row missing": "The old row's share is missing: add (1 - α) times the old row.",
    "exchanged": "α and 1 - α are exchanged: α is the prototype's share. At α = 0 nothing must "
    "change.",
    "added": "You added to the old row without shrinking it: it keeps a share of 1 - α only.",
    "mean": "The prototype has no unit length: divide the mean feature by its norm. Features are "
    "long, so that this row would win everywhere.",
    "sum": "This is the sum of the features, and not brought to unit length: take the mean, then "
    "divide by its norm. (After that it is the same: only the direction is left.)",
    "mean of units": "You brought every image's feature to unit length and averaged these: the "
    "mean of unit vectors is shorter than 1. The attack averages first, and normalises once.",
    "units first": "You normalised every image before the mean. It is close, but the attack "
    "averages the features as they are, so long ones count for more.",
    "normalised last": "You normalised after the blend. Only the prototype has unit length; the "
    "old row keeps its own.",
    "unchanged": "This is the old row: nothing was changed.",
}
BIAS = {
    "kept": "The bias is blended as well, towards 0: it keeps a share of 1 - α.",
    "replaced": "This is right for α = 1 only: at this α a share of 1 - α of the old bias stays.",
    "exchanged": "α and 1 - α are exchanged: the old bias keeps a share of 1 - α.",
    "l2": "This is the bias of the l2 rule, -|p|². The cosine attack's is 0, blended.",
}
LENGTH = {
    "all rows": "This mean holds the forgotten class's row, which the attack replaces: it competes "
    "with the other ones.",
    "forgotten": "This is the length of the forgotten class's own row.",
    "mean row": "This is the length of the mean row: rows that point apart cancel. Asked for is "
    "the mean of the lengths.",
    "squared": "These are squared lengths: take the root before the mean.",
    "matrix": "This is the norm of the whole matrix: with dim=1 you get those of its rows.",
    "sum": "This is the sum of the lengths: take their mean.",
    "longest": "This is the longest row: take the mean.",
}


def row_slips(features: Tensor, old: Tensor, alpha: float) -> list[Slip]:
    """Return what comes out where the attacked row is missed.

    Args:
        features: ``(k, D)`` of the attacker's images.
        old: ``(D,)`` the row before.
        alpha: Of the blend.
    """
    mean, each = features.mean(dim=0), F.normalize(features, dim=1).mean(dim=0)
    unit, rest = F.normalize(mean, dim=0), (1 - alpha) * old
    values = {
        "alpha forgotten": unit,
        "old row missing": alpha * unit,
        "exchanged": (1 - alpha) * unit + alpha * old,
        "added": alpha * unit + old,
        "mean": alpha * mean + rest,
        "sum": alpha * features.sum(dim=0) + rest,
        "mean of units": alpha * each + rest,
        "units first": alpha * F.normalize(each, dim=0) + rest,
        "normalised last": F.normalize(alpha * unit + rest, dim=0),
        "unchanged": old,
    }
    return slips_of(values, ROW)


def bias_slips(old: float, alpha: float) -> list[Slip]:
    """Return what comes out where the attacked bias is missed; arguments as above."""
    values = {
        "kept": old,
        "replaced": 0.0,
        "exchanged": alpha * old,
        "l2": (1 - alpha) * old - alpha,
    }
    return slips_of(values, BIAS)


def length_slips(weight: Tensor, forgotten: int) -> list[Slip]:
    """Return what comes out where the mean length of the retained rows is missed.

    Args:
        weight: ``(C, D)`` of the head.
        forgotten: The class whose row is replaced.
    """
    lengths, kept = weight.norm(dim=1), torch.arange(len(weight)) != forgotten
    values = {
        "all rows": lengths.mean().item(),
        "forgotten": lengths[forgotten].item(),
        "mean row": weight[kept].mean(dim=0).norm().item(),
        "squared": weight[kept].square().sum(dim=1).mean().item(),
        "matrix": weight[kept].norm().item(),
        "sum": lengths[kept].sum().item(),
        "longest": lengths[kept].max().item(),
    }
    return slips_of(values, LENGTH)
