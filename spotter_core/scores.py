"""What the battery says of every method: at its worst, and beside the oracles.

Layer 2: rows in, tables out; no model is needed. An oracle's value is what ignorance
looks like: above it something is left, and far below it something was hidden, which is a trace too.
"""

import numpy as np
import pandas as pd

from spotter_core.results import TRAINED, bootstrap_interval

ORACLE, ORIGINAL = "retrain", "original"
CELL = ["forget", "seed"]
WITHIN = 2.0
"""Spreads of the oracles within which a difference is none."""


def regained(frame: pd.DataFrame, shots: int, *, support: str = "own") -> pd.DataFrame:
    """Return accuracy on forget test images: a line for each method and cell, a column an attack.

    Args:
        frame: ``to_frame`` of the rows of ``measurements.head_attacks``, at least; of
            ``training_attacks`` those of the same k and those that need no image, if they are
            there.
        shots: k.
        support: ``"own"``, or a control: ``"shuffled"``, ``"never seen"``; with the last, accuracy
            on test images of the class never seen.

    Returns:
        Fractions, and in the column ``worst`` the largest of the head-level ones, which are
        measured of every method in every cell.
    """
    rows = frame[
        (frame["measure"] == "relearned")
        & (frame["split"] == ("never seen/test" if support == "never seen" else "forget/test"))
        & (frame["shots"].isin([0, shots]))
        & (frame["support"] == support)
    ]
    if "stage" in rows:
        rows = rows[rows["stage"].isna()]
    if not (rows["shots"] == shots).any():
        known = sorted(frame.loc[frame["measure"] == "relearned", "shots"].dropna().unique())
        raise ValueError(f"no attack with shots={shots}: there are {[int(k) for k in known]}")
    table = rows.pivot_table("value", ["method", *CELL], "attack", sort=False)
    head_level = table.drop(columns=[a for a in TRAINED if a in table])
    return table.assign(worst=head_level.max(axis=1))


def beyond_oracles(table: pd.DataFrame) -> pd.DataFrame:
    """Return every line of a table less the mean of the oracles of the same forget classes.

    Args:
        table: As from :func:`regained`.

    Raises:
        ValueError: If the table has no oracle: there is nothing to hold a number against.
    """
    if ORACLE not in table.index.get_level_values("method"):
        raise ValueError(
            f"table has no {ORACLE!r}: without a retrained oracle nobody can say how much of what "
            "is regained was left, and how much anybody learns from a few images"
        )
    center = table.loc[ORACLE].groupby("forget").mean()
    return table - center.reindex(table.index.get_level_values("forget")).to_numpy()


def against_oracles(table: pd.DataFrame) -> pd.DataFrame:
    """Return every method's excess over the oracles of the same forget classes.

    The oracles of a class are those of all its cells: independent trainings by one recipe.

    Args:
        table: As from :func:`regained`.

    Returns:
        A line for each method and attack, fractions: ``mean``; ``low`` and ``high``, the 95 %
        bootstrap interval over cells with the oracles held fixed (NaN for one); ``spread`` of the
        oracles (standard deviation within a class, pooled; NaN where each class has one);
        ``units``, the mean in that unit;
        ``side``: above, below, like (the interval holds 0, or the mean lies within
        :data:`WITHIN` spreads, as an oracle's own might) or open (one cell).

    Raises:
        ValueError: If the table has no oracle: there is nothing to hold a number against.
    """
    beyond, oracles = beyond_oracles(table), table.loc[ORACLE]
    by_class = oracles.groupby("forget", sort=False)
    counts = by_class.size()
    variance = by_class.var(ddof=1).mul(counts - 1, axis=0).sum() / max((counts - 1).sum(), 1)
    spread = np.sqrt(variance) if (counts > 1).any() else variance * np.nan
    lines = []
    for method, excess in beyond.groupby("method", sort=False):
        for attack in excess:
            values = excess[attack].dropna()
            low = high = np.nan
            if len(values) > 1:
                low, high = bootstrap_interval(values)
            mean = values.mean()
            line = {"method": method, "attack": attack, "mean": mean, "low": low, "high": high}
            unit = spread[attack] if spread[attack] > 0 else np.nan
            units = mean / unit
            line |= {"spread": spread[attack], "units": units, "side": side(low, high, units)}
            lines.append(line)
    return pd.DataFrame(lines).set_index(["method", "attack"])


def excess_of_images(frame: pd.DataFrame, shots: int, attack: str = "worst") -> pd.DataFrame:
    """Return every method's excess over the oracle of its cell with the interval over images.

    What a study of one cell can say; of several cells it is the mean of theirs.

    Args:
        frame: ``to_frame`` of the rows of ``measurements.head_attacks``.
        shots: k.
        attack: One of them, or ``"worst"``, for either network the head-level attack that regains
            most.

    Returns:
        A line for each method, fractions: ``mean``, ``low``, ``high``.
    """
    measures = {"excess": "mean", "excess_low": "low", "excess_high": "high"}
    rows = frame[
        frame["measure"].isin(measures) & (frame["shots"] == shots) & (frame["attack"] == attack)
    ]
    table = rows.pivot_table("value", "method", "measure", sort=False)
    return table.rename(columns=measures).reindex(columns=list(measures.values()))


def side(low: float, high: float, units: float = np.nan) -> str:
    """Return on which side of the oracles a mean lies whose interval and spreads these are."""
    if np.isnan(low):
        return "open"
    if abs(units) <= WITHIN:
        return "like"
    return "above" if low > 0 else "below" if high < 0 else "like"
