"""Red flags: what a reader must know before believing a number, raised from the rows themselves.

Layer 3: rows in, sentences out; no model is needed.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spotter_core.cells import pick, plain_rows
from spotter_core.results import UNTRAINED
from spotter_core.scores import CELL, ORACLE, ORIGINAL, regained

MEAN_OF_IMAGES = ("pra", "pra_calibrated", "nearest_mean")
"""Attacks that take the mean of the attacker's images."""
CLEARLY = 0.1
"""Difference of mean cosines that no oracle makes by itself."""
FREE_OF_CHOICE = ("retain_only", "batch_norm", "noise", "int8", "novelty")
"""Attacks without an image of the class, which need not bring it back even from the original."""
HEAD_LEVEL, CLUSTERS, BROKEN, EMPTY, BOUGHT, MISLED = (
    "head-level robustness only",
    "clusters",
    "the attack is broken",
    "nothing crosses",
    "bought with retained accuracy",
    "any image will do",
)
"""Red flags, see :func:`red_flags`."""


@dataclass(frozen=True)
class Flag:
    """Something that a reader must know before believing a number.

    Attributes:
        name: One of this file's.
        method: Whom it concerns; empty where it is a measurement's own.
        reason: A sentence with the numbers.
    """

    name: str
    method: str
    reason: str


def red_flags(
    frame: pd.DataFrame, shots: int, *, allowed: float = 0.01, chance: float | None = None
) -> list[Flag]:
    """Return the red flags that rows raise, means over cells.

    - *head-level robustness only*: a linear probe beats the best mean of images by more than 20
      points: what was moved is the mean, and a row of the head still finds the class.
    - *clusters*: the mean cosine is clearly (:data:`CLEARLY`) below the oracle's, and the nearest
      image regains as much as from the oracle: the class sits in several places instead of nowhere.
    - *the attack is broken*: it regains less than 95 % from the original, or of what the original
      knew of the class where rows tell.
    - *nothing crosses*: fewer than 1 % of a neighborhood's points lie across the boundary.
    - *bought with retained accuracy*: more retained test accuracy is lost than the attacker
      allowed himself on his own images, by more than a point.
    - *any image will do*: with retained images taken for the forgotten class an attack regains 5
      points more than chance, or than the network knew before where rows tell: not the attacker's
      images brought the class back, but that it is unlike the others.

    Args:
        frame: ``to_frame`` of ``head_attacks``; of ``dispersion``, ``accuracies`` and
            ``over_unlearning_everywhere`` for the flags that need them.
        shots: k.
        allowed: What the attackers allowed themselves.
        chance: Default: 1 / number of classes that the rows name, where they name them.
    """
    table = regained(frame, shots)
    attacks = [a for a in table if a != "worst"]
    means = table.groupby("method", sort=False).mean()
    methods = [str(m) for m in means.index if m not in (ORIGINAL, ORACLE, UNTRAINED)]
    flags = []
    for method in methods:
        known = [a for a in MEAN_OF_IMAGES if a in attacks]
        if "linear_probe" in attacks and known:
            best, probe = means.loc[method, known].max(), means.loc[method, "linear_probe"]
            if probe - best > 0.2:
                told = f"a linear probe regains {probe:.0%}, the best mean of images {best:.0%}"
                flags.append(Flag(HEAD_LEVEL, method, told))
    flags += clusters(frame, means, methods)
    known = pick(frame, "accuracy", "forget/test", plain_rows(frame)).mean()
    # of the cells that were attacked, and no others
    known = known[known.index.isin(table.index)].groupby("method", sort=False).mean()
    needed = 0.95 * known.get(ORIGINAL, 1.0)
    for attack in attacks if ORIGINAL in means.index else []:
        value = means.loc[ORIGINAL, attack]
        if attack not in FREE_OF_CHOICE and value < needed:
            told = f"{attack} regains {value:.0%} from the original, which knew {needed / 0.95:.0%}"
            flags.append(Flag(BROKEN, "", told))
    flags += nothing_crosses(frame)
    flags += bought(frame, shots, methods, allowed)
    return flags + (misled(frame, shots, chance, known) if chance is not None else [])


def misled(frame: pd.DataFrame, shots: int, chance: float, known: "pd.Series[float]") -> list[Flag]:
    """Return the flag of attacks for which any image will do."""
    found = []
    by_chance = regained(frame, shots, support="shuffled").drop(columns="worst")
    for method, line in by_chance.groupby("method", sort=False).mean().iterrows():
        for attack, value in line.dropna().items():
            if value > max(chance, known.get(method, 0.0)) + 0.05:
                told = f"{attack} with images of other classes regains {value:.0%}"
                found.append(Flag(MISLED, str(method), told))
    return found


def clusters(frame: pd.DataFrame, means: pd.DataFrame, methods: list[str]) -> list[Flag]:
    """Return the flag of low dispersion with near neighbors, where rows tell of dispersion."""
    rows = frame[(frame["measure"] == "mean_cosine") & (frame["split"] == "forget/test")]
    if rows.empty or "nearest_image" not in means or ORACLE not in means.index:
        return []
    cosine = rows.groupby("method", sort=False)["value"].mean()
    found = []
    for method in methods:
        own, oracle = means.loc[method, "nearest_image"], means.loc[ORACLE, "nearest_image"]
        if cosine.get(method, np.nan) < cosine[ORACLE] - CLEARLY and own >= oracle:
            told = (
                f"mean cosine {cosine[method]:.2f} against the oracle's {cosine[ORACLE]:.2f}, and "
                f"the nearest image regains {own:.0%} against {oracle:.0%}"
            )
            found.append(Flag(CLUSTERS, method, told))
    return found


def nothing_crosses(frame: pd.DataFrame) -> list[Flag]:
    """Return the flag of neighborhoods that stay on their side of the boundary."""
    rows = frame[(frame["measure"] == "crossing") & (frame["split"] == "forget/test")]
    if rows.empty or "neighborhood" not in rows:
        return []
    shares = rows.groupby("neighborhood", sort=False)["value"].mean()
    return [
        Flag(EMPTY, "", f"{share:.2%} of the points of {name} lie across the boundary")
        for name, share in shares.items()
        if share < 0.01
    ]


def bought(frame: pd.DataFrame, shots: int, methods: list[str], allowed: float) -> list[Flag]:
    """Return the flag of attacks that cost more retained test accuracy than was allowed."""
    before = pick(frame, "accuracy", "retain/test", plain_rows(frame)).mean()
    rows = frame[
        (frame["measure"] == "relearned")
        & (frame["split"] == "retain/test")
        & (frame["shots"] == shots)
        & (frame["support"] == "own")
    ]
    after = rows.pivot_table("value", ["method", *CELL], "attack", sort=False)
    found = []
    for attack in after:
        lost = (before.reindex(after.index) - after[attack]).groupby("method").mean()
        for method in methods:
            if lost.get(method, np.nan) > allowed + 0.01:
                told = f"{attack} costs {100 * lost[method]:.1f} points of retained test accuracy"
                found.append(Flag(BOUGHT, method, told))
    return found
