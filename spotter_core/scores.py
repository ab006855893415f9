"""What the battery says of every method: beside the oracles, at its worst, and red flags.

Layer 2: rows in, tables and sentences out; no model is needed. An oracle's value is what ignorance
looks like: above it something is left, and far below it something was hidden, which is a trace too.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spotter_core.results import bootstrap_interval

ORACLE, ORIGINAL, UNTRAINED = "retrain", "original", "untrained"
CELL = ["forget", "seed"]
MEAN_OF_IMAGES = ("pra", "pra_calibrated", "nearest_mean")
"""Attacks that take the mean of the attacker's images."""
HEAD_LEVEL, CLUSTERS, BROKEN, EMPTY, BOUGHT, MISLED = (
    "head-level robustness only",
    "clusters",
    "the attack is broken",
    "nothing crosses",
    "bought with retained accuracy",
    "any image will do",
)
"""Red flags, see :func:`red_flags`."""


def regained(frame: pd.DataFrame, shots: int, *, support: str = "own") -> pd.DataFrame:
    """Return accuracy on forget test images: a line for each method and cell, a column an attack.

    Args:
        frame: ``to_frame`` of the rows of ``measurements.head_attacks``, at least.
        shots: k.
        support: ``"own"``, or ``"shuffled"`` for the control.

    Returns:
        Fractions, and the largest of a line in the column ``worst``.
    """
    rows = frame[
        (frame["measure"] == "relearned")
        & (frame["split"] == "forget/test")
        & (frame["shots"] == shots)
        & (frame["support"] == support)
    ]
    if rows.empty:
        known = sorted(frame.loc[frame["measure"] == "relearned", "shots"].dropna().unique())
        raise ValueError(f"no attack with shots={shots}: there are {[int(k) for k in known]}")
    table = rows.pivot_table("value", ["method", *CELL], "attack", sort=False)
    return table.assign(worst=table.max(axis=1))


def against_oracles(table: pd.DataFrame) -> pd.DataFrame:
    """Return every method's excess over the oracles of the same forget classes.

    The oracles of a class are those of all its cells: independent trainings by one recipe.

    Args:
        table: As from :func:`regained`.

    Returns:
        A line for each method and attack, fractions: ``mean``; ``low`` and ``high``, the 95 %
        bootstrap interval over cells (NaN for one); ``spread`` of the oracles (standard deviation
        within a class, pooled; NaN where each class has one); ``units``, the mean in that unit;
        ``side``: above, below, like (the interval holds 0) or open (one cell).

    Raises:
        ValueError: If there is no oracle.
    """
    if ORACLE not in table.index.get_level_values("method"):
        raise ValueError(f"table has no line of {ORACLE!r}: without an oracle nothing is in excess")
    oracles = table.loc[ORACLE]
    by_class = oracles.groupby("forget", sort=False)
    counts = by_class.size()
    variance = by_class.var(ddof=1).mul(counts - 1, axis=0).sum() / max((counts - 1).sum(), 1)
    spread = np.sqrt(variance) if (counts > 1).any() else variance * np.nan
    center = by_class.mean()
    lines = []
    for method, own in table.groupby("method", sort=False):
        own = own.droplevel("method")
        excess = own - center.reindex(own.index.get_level_values("forget")).to_numpy()
        for attack in excess:
            values = excess[attack].dropna()
            low = high = np.nan
            if len(values) > 1:
                low, high = bootstrap_interval(values)
            mean = values.mean()
            line = {"method": method, "attack": attack, "mean": mean, "low": low, "high": high}
            unit = spread[attack] if spread[attack] > 0 else np.nan
            lines.append(
                line | {"spread": spread[attack], "units": mean / unit, "side": side(low, high)}
            )
    return pd.DataFrame(lines).set_index(["method", "attack"])


def side(low: float, high: float) -> str:
    """Return on which side of the oracles an interval lies."""
    if np.isnan(low):
        return "open"
    return "above" if low > 0 else "below" if high < 0 else "like"


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
    - *clusters*: the mean cosine is below the oracle's, and the nearest image regains as much as
      from the oracle: the class sits in several places instead of nowhere.
    - *the attack is broken*: it regains less than 95 % from the original.
    - *nothing crosses*: fewer than 1 % of a neighborhood's points lie across the boundary.
    - *bought with retained accuracy*: more retained test accuracy is lost than the attacker
      allowed himself on his own images, by more than a point.
    - *any image will do*: with retained images taken for the forgotten class an attack regains more
      than chance and 5 points.

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
    for attack in attacks:
        value = means.loc[ORIGINAL, attack]
        if value < 0.95:
            told = f"{attack} regains {value:.0%} from the original"
            flags.append(Flag(BROKEN, "", told))
    flags += nothing_crosses(frame)
    flags += bought(frame, shots, methods, allowed)
    if chance is not None:
        misled = regained(frame, shots, support="shuffled").groupby("method", sort=False).mean()
        for method, line in misled.iterrows():
            for attack in attacks:
                if line[attack] > chance + 0.05:
                    told = f"{attack} with shuffled images regains {line[attack]:.0%}"
                    flags.append(Flag(MISLED, str(method), told))
    return flags


def clusters(frame: pd.DataFrame, means: pd.DataFrame, methods: list[str]) -> list[Flag]:
    """Return the flag of low dispersion with near neighbors, where rows tell of dispersion."""
    rows = frame[(frame["measure"] == "mean_cosine") & (frame["split"] == "forget/test")]
    if rows.empty or "nearest_image" not in means or ORACLE not in means.index:
        return []
    cosine = rows.groupby("method", sort=False)["value"].mean()
    found = []
    for method in methods:
        own, oracle = means.loc[method, "nearest_image"], means.loc[ORACLE, "nearest_image"]
        if cosine.get(method, np.nan) < cosine[ORACLE] and own >= oracle:
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
    plain = (frame["measure"] == "accuracy") & (frame["split"] == "retain/test")
    if "retained" in frame:
        plain &= frame["retained"].isna()
    before = frame[plain].groupby(["method", *CELL])["value"].mean()
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
