"""The paper's five claims, judged from rows.

Layer 8: rows in, tables and verdicts out; no model is needed. The numbers of a cell, the main table
and the comparison with the published one are handed on from :mod:`~spotter_core.cells`,
:mod:`~spotter_core.main_table` and :mod:`~spotter_core.comparison`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spotter_core.cells import (
    PUBLISHED_NEAR,
    SHOTS,
    YARDSTICKS,
    blocks,
    per_cell,
    relevant,
    state,
)
from spotter_core.comparison import as_published, published_table
from spotter_core.main_table import COLUMNS, main_table
from spotter_core.results import bootstrap_interval

OURS = "spotter"
ONE_CELL = "one cell: no interval"
FORGOTTEN = 1.0
"""Percent of forget accuracy up to which a base method counts as one that forgets."""


@dataclass(frozen=True)
class Claim:
    """One claim: what was measured, its 95 % interval over cells, and whether it holds.

    ``holds`` compares the mean with the threshold; where the interval reaches across it,
    :meth:`verdict` says so. ``value`` is NaN where there is no network to measure, ``low`` and
    ``high`` are where fewer than two cells stand behind it.
    """

    number: int
    sentence: str
    value: float
    low: float
    high: float
    threshold: float
    unit: str
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the mean is at most the threshold."""
        return self.value <= self.threshold

    def verdict(self) -> str:
        """Return the verdict in words."""
        if math.isnan(self.value):
            words = "can't be judged"
        else:
            words = "holds" if self.holds else "does not hold"
            if math.isnan(self.low):
                words += f", {ONE_CELL}"
            elif self.low <= self.threshold < self.high:
                words += " on average, the interval reaches across"
        return f"{words} ({self.note})" if self.note else words

    def measured(self) -> str:
        """Return value, interval and unit in words."""
        if math.isnan(self.value):
            return "–"
        # what rounding left of 0 is 0
        value, low, high = (f"{round(x, 9) + 0.0:.3g}" for x in (self.value, self.low, self.high))
        interval = "" if math.isnan(self.low) else f" [{low}, {high}]"
        return f"{value}{interval} {self.unit}"


def worst_base(cells: pd.DataFrame) -> str | None:
    """Return the base method with the largest mean OU, of those that forget and still work.

    The claim is one against a remedy that somebody would use. So two kinds of easy opponents are
    no opponents: a network that still knows the class, and one that knows nothing any more, both of
    which have a large OU for that reason alone. The first are those of a mean forget accuracy above
    1 %; the second those that collapsed or diverged in any cell, as a mean of what is left would
    flatter either side. Where nobody is left, those that forget are compared with although they do
    not work; where none forgets either, all that have a network. :func:`opponent` says which.

    Args:
        cells: As from :func:`~spotter_core.cells.per_cell`; without the columns ``collapsed`` and
            ``diverged`` all networks count as working.

    Returns:
        The method; ``None`` where no base method has a network.
    """
    found = opponents(cells)
    return str(found[0]["ou"].idxmax()) if found else None


def opponents(cells: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """Return the means of those whom :func:`worst_base` chooses among, and what they are."""
    base = [
        m not in YARDSTICKS and not str(m).startswith(OURS)
        for m in cells.index.get_level_values("method")
    ]
    known = cells[base]
    means = known.groupby("method", sort=False)[["ou", "forget"]].mean().dropna()
    broken = known.reindex(columns=["collapsed", "diverged"], fill_value=False).any(axis=1)
    works = ~broken.groupby("method", sort=False).any().reindex(means.index).astype(bool)
    forgets = means["forget"] <= FORGOTTEN
    for among, words in (
        (forgets & works, "worst base method that forgets ({})"),
        (forgets, "worst base method that forgets ({}), none works in every cell"),
        (means["ou"].notna(), "worst base method ({}), none forgets"),
    ):
        if among.any():
            return means[among], words
    return None


def opponent(cells: pd.DataFrame) -> str:
    """Return in words whom claim 1 compares with."""
    found = opponents(cells)
    return found[1].format(worst_base(cells)) if found else "a base method, of which there is none"


def judge(frame: pd.DataFrame, method: str = OURS) -> list[Claim]:
    """Return the five claims of the paper's abstract, the first in two lines, as these rows say.

    Means are taken over cells first and compared then, so a ratio is one of two means, over the
    cells in which both have a network; its interval resamples both by the same cells.

    Args:
        frame: As for :func:`~spotter_core.cells.per_cell`.
        method: Whom to judge; another than Spotter to hold its numbers against.
    """
    cells = per_cell(frame)
    ours, original, oracle = (cells.loc[m] for m in (method, *YARDSTICKS))
    worst = worst_base(cells)
    lost = original["retain"] - ours["retain"]
    against = f"OU@ε against the {opponent(cells)}"
    most = int(frame.loc[frame["measure"] == "pra_accuracy", "shots"].max())
    attack = f"PRA accuracy, cosine row of unit length, best α and k ≤ {most}"
    theirs = ours["ou"] * math.nan if worst is None else cells.loc[worst]["ou"]
    measured: list[tuple[int, str, Any, Any, float, str]] = [
        (1, against, ours["ou"], theirs, 0.05, "ratio"),
        (1, "OU@ε against the retrained oracle", ours["ou"], oracle["ou"], 1.0, "ratio"),
        (2, "forget accuracy, held-out images", ours["forget"], None, 0.0, "%"),
        (3, "retain accuracy lost, held-out images", lost, None, 1.0, "points"),
        (4, attack, ours["pra_any"], None, 1.0, "%"),
        (5, "retained images read", ours["retained_read"], None, 0.0, "images"),
    ]
    note = state(ours)
    return [
        Claim(number, sentence, *mean_of(values, over), threshold, unit, note)
        for number, sentence, values, over, threshold, unit in measured
    ]


def mean_of(values: pd.Series, over: pd.Series | None) -> tuple[float, float, float]:
    """Return a mean or a ratio of two, and its interval; NaN for what there are too few cells."""
    known = pd.DataFrame({"values": values, "over": 1.0 if over is None else over}).dropna()
    if known.empty:
        return math.nan, math.nan, math.nan
    value = float(known["values"].mean() / known["over"].mean())
    if len(known) < 2:
        return value, math.nan, math.nan
    return value, *bootstrap_interval(known["values"], over=None if over is None else known["over"])


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """Return claims as a table: measured value, interval, threshold, verdict."""
    return pd.DataFrame(
        {
            "claim": f"({c.number}) {c.sentence}",
            "measured": c.measured(),
            "threshold": f"≤ {c.threshold:g}",
            "verdict": c.verdict(),
        }
        for c in claims
    )


def to_markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown, numbers as they stand, two levels of columns in two lines."""
    titles = [
        "<br>".join(filter(None, c)) if isinstance(c, tuple) else str(c) for c in table.columns
    ]
    rule = "|" + "---|" * len(titles)
    lines = [
        "| " + " | ".join("–" if pd.isna(v) else str(v) for v in values) + " |"
        for values in table.itertuples(index=False, name=None)
    ]
    return "\n".join(["| " + " | ".join(titles) + " |", rule, *lines])


__all__ = [
    "COLUMNS",
    "OURS",
    "PUBLISHED_NEAR",
    "SHOTS",
    "YARDSTICKS",
    "Claim",
    "as_published",
    "blocks",
    "claims_table",
    "judge",
    "main_table",
    "per_cell",
    "published_table",
    "relevant",
    "to_markdown",
    "worst_base",
]
