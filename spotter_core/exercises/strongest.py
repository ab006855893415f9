"""What E3 is about: how tight a class is, and what the strongest of eight attacks regains.

Layer 10: the numbers that the answers of the exercise are held against.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from torch import Tensor
from torch.nn import functional as F

from spotter_core.attacks import HEAD_ATTACKS
from spotter_core.exercises.answers import Slip, slips_of
from spotter_core.measurements.battery import battery_of, model_of, predictions_of, run
from spotter_core.profiles import Cell
from spotter_core.results import UNTRAINED
from spotter_core.study import Study

SHOTS = 5
COSINE = {
    "with itself": "Here every image is paired with itself as well, and has cosine 1 with itself: "
    "take these N off above, and divide by N (N - 1).",
    "ones above": "The N ones of the images with themselves are still in the numerator: take N "
    "off.",
    "square below": "The numerator is right; there are N (N - 1) pairs of different images, not "
    "N².",
    "twice": "This is twice the value: the squared length of the sum counts every pair in both "
    "orders, and so does N (N - 1).",
    "half": "This is half the value: the squared length of the sum counts every pair in both "
    "orders, and so does N (N - 1).",
    "sum": "This is the sum over all pairs: divide by their number, N (N - 1).",
    "root": "The length of the sum is not squared.",
    "inner products": "These are inner products, not cosines: bring every feature to unit length "
    "first.",
    "prototype": "This is the mean cosine with the prototype, not between two images. It is "
    "larger, since the prototype lies in the middle of them.",
}
EXCESS = {
    "zero": "This is compared with 0. The oracle never saw the class and gives most of it back, "
    "too: subtract what the strongest attack regains from the oracle.",
    "oracle": "This is the oracle's own number: subtract it from the model's.",
    "published": "This is the excess of the published attack alone. The attacker may choose: take "
    "the largest number of each row first.",
    "same attack": "You took the same attack from both. The oracle's attacker may choose, too, and "
    "takes the one that is strongest there.",
    "largest difference": "You subtracted first and took the largest difference: that picks the "
    "attack that makes the model look worst. Take each row's largest number, then subtract.",
    "original": "This is compared with the original, which knows the class. What honest ignorance "
    "gives away is the oracle's row.",
    "mean": "These are means over attacks. An attacker uses his strongest one.",
}


def attack_table(study: Study, cell: Cell, models: Sequence[str]) -> pd.DataFrame:
    """Return the share of the class that each attack regains with five images, a row a model.

    On held-out images, the mean over the attacker's draws. The last row are random features, a
    network that was never trained, under a head that tells the other classes apart.

    Args:
        study: Whose models are attacked.
        cell: Of one forgotten class.
        models: To attack.
    """
    battery = replace(battery_of(study, cell, tuple(HEAD_ATTACKS.values())), shots=(SHOTS,))
    table = {}
    for model in (*models, UNTRAINED):
        parts = predictions_of(study, cell, model)
        head = model_of(study, cell, model).head
        outcomes = run(battery, head, cell, parts["forget/train"], parts)
        table[model] = {o.attack: o.rates.mean().item() for o in outcomes}
    return pd.DataFrame(table).T


def cosine_slips(features: Tensor) -> list[Slip]:
    """Return what comes out where the mean cosine over pairs of different images is missed.

    Args:
        features: ``(N, D)`` of one class.
    """
    features, own = features.double(), float(len(features))
    units, pairs = F.normalize(features, dim=1), own * (own - 1)
    whole = units.sum(dim=0).square().sum().item()
    plain = features.sum(dim=0).square().sum() - features.square().sum()
    prototype = F.normalize(features.mean(dim=0), dim=0)
    values = {
        "with itself": whole / own**2,
        "ones above": whole / pairs,
        "square below": (whole - own) / own**2,
        "twice": 2 * (whole - own) / pairs,
        "half": (whole - own) / pairs / 2,
        "sum": whole - own,
        "root": (whole**0.5 - own) / pairs,
        "inner products": plain.item() / pairs,
        "prototype": (units @ prototype).mean().item(),
    }
    return slips_of(values, COSINE)


def excess_slips(table: pd.DataFrame, model: str, yardstick: str) -> list[Slip]:
    """Return what comes out where the excess of the strongest attack is missed.

    Args:
        table: Of :func:`attack_table`.
        model: What is asked about.
        yardstick: The oracle's name.
    """
    own, other = table.loc[model], table.loc[yardstick]
    strongest = own.idxmax()
    values = {
        "zero": own.max(),
        "oracle": other.max(),
        "published": own["pra"] - other["pra"],
        "same attack": own[strongest] - other[strongest],
        "largest difference": (own - other).max(),
        "original": own.max() - table.loc["original"].max(),
        "mean": own.mean() - other.mean(),
    }
    return slips_of(values, EXCESS)
