"""Whether an unlearned network can be told from one that never saw the class: a two-sided verdict.

Layer 3: rows in, tables out; no model is needed. :mod:`~spotter_core.scores` says on which side of
the oracles a method lies; here is how far it may lie on either, to which an objective that claims
to pass the battery must be held. The definition:

1. Oracles are networks of the same recipe that never saw the class, several for each set of forget
   classes. ``spread`` is their standard deviation within such a set, pooled over sets; at least
   ``RESOLUTION``.
2. The ``distance`` of a method for an attack and a k is the mean over cells of the *absolute*
   difference between the accuracy regained and the mean oracle's of the same classes, in spreads.
   Below counts as above, and one cell does not make up for another.
3. ``allowed`` is what oracles need themselves. Some are taken aside, one for every cell, and
   measured against the rest as a method would be; this is done ``DRAWS`` times, and in a share of
   ``CONFIDENCE`` the largest distance over all attacks and k is at most ``allowed``. So an oracle
   passes about that often, all attacks and k taken together.
   An oracle that lost more than a point of retained accuracy itself, on validation images, is left
   out: a training that went wrong does not tell what ignorance looks like.
4. A method is *equivalent* if its largest distance is at most ``allowed``. It *passes* if it is
   sound as well (:mod:`~spotter_core.tuning`: forget accuracy at most 1 %, at most a point of
   retain accuracy lost) and its conditional shift is no larger than Spotter's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from spotter_core.results import Row, to_frame
from spotter_core.scores import CELL, ORACLE

RESOLUTION = 0.025
"""Least spread: about one of the images that digits has of a class to score on."""
CONFIDENCE = 0.95
DAMAGE = 0.01
"""Forget accuracy, and loss of retained accuracy, that a sound network may have; as in tuning."""
TOLERANCE = 1e-9
Scored = Literal["validation", "test"]
DRAWS = 1000


def relearned(frame: pd.DataFrame, split: str = "forget/test") -> pd.DataFrame:
    """Return accuracy regained: a line for each method and cell, a column for each measurement.

    Columns are (attack, shots), or (stage, attack, shots) where rows name a stage.

    Args:
        frame: ``to_frame`` of the rows of ``measurements.head_attacks`` or ``layer_sweep``.
        split: What the attacks are scored on.
    """
    rows = frame[
        (frame["measure"] == "relearned") & (frame["split"] == split) & (frame["support"] == "own")
    ]
    if rows.empty:
        raise ValueError(f"frame has no row of the measure 'relearned' on {split!r}")
    columns = ["attack", "shots"]
    if "stage" in rows and rows["stage"].notna().any():
        columns = ["stage", *columns]
    whole = rows.astype({"shots": int})
    return whole.pivot_table("value", ["method", *CELL], columns, sort=False)


@dataclass(frozen=True)
class Band:
    """What oracles regain, and how far from it others may be.

    Attributes:
        center: A line for each set of forget classes, a column for each measurement; fractions.
        spread: By measurement.
        allowed: Distance in spreads, for the largest over all measurements.
    """

    center: pd.DataFrame
    spread: pd.Series
    allowed: float

    @classmethod
    def of(cls, oracles: pd.DataFrame, cells: pd.Index) -> "Band":
        """Return the band of oracles for methods that were run in ``cells``.

        Args:
            oracles: A line for each (forget, seed), as from :func:`relearned`; fractions.
            cells: (forget, seed) of the methods' lines; the seeds do not matter.

        Raises:
            ValueError: If there are not three oracles at least of the classes of every cell.
        """
        groups = {str(f): own.to_numpy() for f, own in oracles.groupby("forget", sort=False)}
        cells_of = cells.get_level_values("forget").astype(str).value_counts(sort=False)
        for forget in cells_of.index:
            if len(groups.get(forget, ())) < 3:
                raise ValueError(f"class {forget} needs three oracles at least")
        rng, largest = np.random.default_rng(0), []
        for _ in range(DRAWS):
            aside, rest = {}, dict(groups)
            for forget, count in cells_of.items():
                order = rng.permutation(len(groups[forget]))
                taken = order[: min(count, len(order) - 2)]  # two must be left for a spread
                aside[forget] = groups[forget][np.resize(taken, count)]
                rest[forget] = groups[forget][order[len(taken) :]]
            apart = [np.abs(own - rest[f].mean(axis=0)) for f, own in aside.items()]
            largest.append((np.concatenate(apart).mean(axis=0) / pooled_spread(rest)).max())
        return cls(
            oracles.groupby("forget", sort=False).mean(),
            pd.Series(pooled_spread(groups), oracles.columns),
            float(np.quantile(largest, CONFIDENCE)),
        )

    def distances(self, own: pd.DataFrame) -> pd.Series:
        """Return the distance by measurement of one method's lines, by (forget, seed)."""
        center = self.center.reindex(own.index.get_level_values("forget"))
        distance: pd.Series = (own - center.to_numpy()).abs().mean() / self.spread
        return distance


def pooled_spread(groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the standard deviation within groups of lines, at least ``RESOLUTION``, by column."""
    squares = [((own - own.mean(axis=0)) ** 2).sum(axis=0) for own in groups.values()]
    freedom = sum(len(own) - 1 for own in groups.values())
    spread: np.ndarray = np.maximum(np.sqrt(np.sum(squares, axis=0) / freedom), RESOLUTION)
    return spread


def verdicts(table: pd.DataFrame, oracles: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a line for each method but the oracle, the nearest first.

    Args:
        table: As from :func:`relearned`.
        oracles: Lines of more oracles than ``table`` has; default those of the table.

    Returns:
        ``largest`` and ``mean`` distance in spreads over all measurements; ``where`` the largest
        is; ``outside``, the share of the measurements that lie further away than is allowed;
        ``allowed``; ``equivalent``.
    """
    known = table.loc[ORACLE] if oracles is None else oracles
    lines = {}
    for method, own in table.groupby("method", sort=False):
        if method == ORACLE:
            continue
        own = own.droplevel("method")
        band = Band.of(known, own.index)
        found = band.distances(own)
        lines[method] = {
            "largest": found.max(),
            "mean": found.mean(),
            "where": " ".join(map(str, found.idxmax())),
            "outside": (found > band.allowed).mean(),
            "allowed": band.allowed,
            "equivalent": bool(found.max() <= band.allowed),
        }
    return pd.DataFrame.from_dict(lines, orient="index").sort_values("largest")


def compared(rows: Sequence[Row], scored: Scored) -> pd.DataFrame:
    """Return a line for each method, the nearest to the oracles first, with all that it must meet.

    ``largest``, ``mean``, ``where``, ``allowed`` and ``equivalent`` are those of
    :func:`verdicts`, ``stages`` and ``stages_allowed`` the same at the
    worst stage; ``passes`` is the whole of the definition. ``oracles`` counts those that were used.
    """
    frame, used = without_unsound_oracles(to_frame(rows))
    split = f"forget/{scored}"
    stage = frame["stage"] if "stage" in frame else pd.Series(np.nan, frame.index)
    by_part = []
    for part in (frame[stage.isna()], frame[stage.notna()]):
        if len(part):
            by_part.append(verdicts(relearned(part, split)))
    table = by_part[0]
    stages = by_part[-1] if len(by_part) > 1 else table.iloc[:0]

    def mean(measure: str, of: str) -> pd.Series:
        chosen = frame[(frame["measure"] == measure) & (frame["split"] == of)]
        return chosen.groupby("method", sort=False)["value"].mean().reindex(table.index)

    table = table.assign(
        stages=stages["largest"].reindex(table.index),
        stages_allowed=stages["allowed"].reindex(table.index),
        forget=mean("accuracy", split),
        retain_loss=mean("retain_loss", f"retain/{scored}"),
        shift=mean("conditional_shift", split),
        cosine=mean("mean_cosine", split),
        oracles=used,
    )
    good = table["forget"] <= DAMAGE + TOLERANCE
    good &= table["retain_loss"] <= DAMAGE + TOLERANCE
    good &= table["shift"] <= table.loc["spotter", "shift"] + TOLERANCE
    return table.assign(eligible=good, passes=good & table["equivalent"])


def without_unsound_oracles(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows but those of oracles that lost too much on validation, and how many count."""
    runs = frame[(frame["method"] == ORACLE) & (frame["measure"] == "retain_loss")]
    runs = runs[runs["split"] == "retain/validation"].set_index(["forget", "seed"])["value"]
    wrong = runs.index[runs > DAMAGE + TOLERANCE]
    where = pd.MultiIndex.from_frame(frame[["forget", "seed"]])
    return frame[~((frame["method"] == ORACLE) & where.isin(wrong))], len(runs) - len(wrong)


def regained_table(rows: Sequence[Row], scored: Scored) -> pd.DataFrame:
    """Return percent regained at the head, mean over cells: a line for each attack and k."""
    frame, _ = without_unsound_oracles(to_frame(rows))
    at_head = frame["stage"].isna() if "stage" in frame else slice(None)
    whole = relearned(frame[at_head], f"forget/{scored}")
    return (100 * whole.groupby("method", sort=False).mean()).T


def in_markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, numbers short."""

    def short(value: object) -> str:
        if isinstance(value, float):
            return "–" if math.isnan(value) else f"{value:.4g}"
        return {"True": "yes", "False": "no"}.get(str(value), str(value))

    head = [" ", *(" ".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in table)]
    lines = [head, ["---"] * len(head)]
    for name, *values in table.itertuples():
        first = " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
        lines.append([first, *map(short, values)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
