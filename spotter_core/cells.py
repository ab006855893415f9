"""The main numbers of every method in every cell, picked from rows, and in what state it is.

Layer 2: rows in, a table out; no model is needed. A cell is one run, forget classes and seed.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from spotter_core.results import TRAINED, UNTRAINED, Row, head_level

YARDSTICKS = ("original", "retrain")
KEYS = ["method", "forget", "seed"]
SHOTS = 5
PUBLISHED_NEAR = "published PGD"
"""Name that the profiles give to the published code's neighborhood of OU@ε."""
OU_PARTS = ("residual_forget_mass", "conditional_shift")
EXCESS = ("excess", "excess_low", "excess_high")
ABOVE_CHANCE = 5.0
"""Points above guessing that retain accuracy must have, lest the network counts as collapsed."""


def relevant(rows: Iterable[Row], headline: str, published: str = PUBLISHED_NEAR) -> list[Row]:
    """Return the rows that the tables of a study are made from, to be kept beside them.

    Args:
        rows: Of ``accuracies``, ``over_unlearning_everywhere``, ``relearning``, ``dispersion``;
            of ``head_attacks``, where a cell was attacked.
        headline: Name of the headline's neighborhood.
        published: Name of the published code's.
    """
    fallen: set[tuple[str, str, int]] = set()  # every measurement says so; once is enough

    def wanted(row: Row) -> bool:
        at, key = row.at, (row.method, row.forget, row.seed)
        if row.measure == "diverged":
            known = key in fallen
            fallen.add(key)
            return not known
        if row.measure == "pra_accuracy":
            unit = at["metric"] == "cosine" and at["scale"] == 0.0
            five = bool(at["shots"] == SHOTS)
            by_split = {"forget/test": unit or five, "forget/train": unit and five}
            return by_split.get(row.split, False)
        near = (row.split, at.get("neighborhood"))
        if row.measure == "over_unlearning":
            return near in (("forget/test", headline), ("forget/train", published))
        if row.measure in OU_PARTS:
            return near == ("forget/test", headline)
        if row.measure == "relearned":
            own = (at["support"], at.get("shots"), row.split) == ("own", SHOTS, "forget/test")
            return own and at["attack"] not in TRAINED
        if row.measure in EXCESS:
            return at["attack"] == "worst" and bool(at["shots"] == SHOTS)
        if row.measure == "accuracy":
            return not row.split.endswith("/validation") and not at
        if row.measure == "mean_cosine":
            return row.split in ("forget/test", "retain/test") and not at
        return row.measure in ("images_read", "chance")

    return [row for row in rows if wanted(row)]


def plain_rows(frame: pd.DataFrame) -> Any:
    """Return a mask of the rows that are neither of one retained class nor of an ablation."""
    mask = pd.Series(data=True, index=frame.index)
    for column in {"retained", "setting"} & set(frame):
        mask = mask & frame[column].isna()
    return mask


def pick(frame: pd.DataFrame, measure: str, split: str, where: Any = True) -> Any:
    """Return the values of a measure on a split, grouped by method and cell."""
    chosen = (frame["measure"] == measure) & (frame["split"] == split) & where
    return frame[chosen].groupby(KEYS, sort=False)["value"]


def unit_row(frame: pd.DataFrame) -> Any:
    """Return a mask of the published attack: a cosine prototype of unit length."""
    return (frame["metric"] == "cosine") & (frame["scale"] == 0.0)


def of_battery(frame: pd.DataFrame) -> tuple[Any, Any]:
    """Return masks of the battery's head-level attacks with five images, and of calibrated PRA."""
    if "support" not in frame:  # no cell was attacked
        nothing = pd.Series(data=False, index=frame.index)
        return nothing, nothing
    own = head_level(frame) & (frame["support"] == "own") & (frame["shots"] == SHOTS)
    return own, own & (frame["attack"] == "pra_calibrated")


def per_cell(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the main numbers, a line for each method and cell, in percent where ``%`` is said.

    PRA is the attacker's best alpha at five shots. ``pra``: a cosine prototype of unit length, as
    the published table has it; ``pra_l2``: the published nearest-mean rule; ``pra_scaled``: the
    cosine prototype as long as the retained rows of the head are on average. ``pra_any`` is
    ``pra`` at the k that suits the attacker best, cell by cell. ``mass`` and ``shift`` are OU's two
    parts. ``calibrated`` is PRA with length and threshold chosen by the attacker, ``worst`` the
    head-level attack of the battery that regains most with five images; NaN in cells that were not
    attacked.

    ``diverged``: the method has no model there, and no numbers. ``collapsed``: it has one that is
    of no use, since its retain accuracy is less than half of the original's or, where a row of
    measure ``chance`` says what guessing gives, at most five points above that.

    Args:
        frame: Rows of ``accuracies``, ``over_unlearning_everywhere`` (headline first),
            ``relearning`` and ``dispersion``, as from ``to_frame``; ``chance`` of the original.
    """
    plain, published = plain_rows(frame), unit_row(frame)
    nearest = (frame["metric"] == "l2") & (frame["scale"] == 0.0)
    matched = (frame["metric"] == "cosine") & (frame["scale"] > 0.0)
    five = frame["shots"] == SHOTS
    headline = frame["neighborhood"] == frame["neighborhood"].dropna().iloc[0]
    test = "forget/test"
    attacked, calibrated = of_battery(frame)
    table = pd.DataFrame(
        {
            "forget": 100 * pick(frame, "accuracy", test, plain).mean(),
            "retain": 100 * pick(frame, "accuracy", "retain/test", plain).mean(),
            "ou": pick(frame, "over_unlearning", test, headline).mean(),
            "mass": 100 * pick(frame, "residual_forget_mass", test, headline).mean(),
            "shift": pick(frame, "conditional_shift", test, headline & plain).mean(),
            "pra": 100 * pick(frame, "pra_accuracy", test, published & five).max(),
            "pra_any": 100 * pick(frame, "pra_accuracy", test, published).max(),
            "pra_l2": 100 * pick(frame, "pra_accuracy", test, nearest & five).max(),
            "pra_scaled": 100 * pick(frame, "pra_accuracy", test, matched & five).max(),
            "calibrated": 100 * pick(frame, "relearned", test, calibrated).max(),
            "worst": 100 * pick(frame, "relearned", test, attacked).max(),
            "cosine": pick(frame, "mean_cosine", test, plain).mean(),
            "retained_read": pick(frame, "images_read", "retain/train").sum(),
            "diverged": pick(frame, "diverged", "").max(),
        }
    )
    table["diverged"] = table["diverged"].notna()
    models = [m for m in frame["method"].unique() if m != UNTRAINED]
    table = table.sort_index().loc[models]
    chance = 100 * pick(frame, "chance", "retain/test").mean().droplevel("method")
    table["collapsed"] = collapsed(table["retain"], chance)
    return table


def collapsed(retain: pd.Series, chance: pd.Series) -> pd.Series:
    """Return which networks are of no use any more, as :func:`per_cell` says.

    Args:
        retain: Retain accuracy in percent, by method, forget classes and seed.
        chance: What guessing gives, by forget classes and seed; may be empty.
    """
    cells = retain.index.droplevel("method")
    half = retain.loc["original"].reindex(cells).to_numpy() / 2
    guessed = chance.reindex(cells).to_numpy(dtype=float) + ABOVE_CHANCE + 1e-9
    return (retain < half) | (retain <= guessed)  # a NaN on either side makes neither


def blocks(cells: pd.DataFrame) -> dict[str, list[str]]:
    """Return methods by what they read: yardsticks, forget samples only, retained samples.

    What diverged in every cell left no count of what it had read: a block of its own, if any did.

    Args:
        cells: As from :func:`per_cell`.
    """
    by_method = cells.groupby("method", sort=False)
    read, lost = by_method["retained_read"].sum(), by_method["diverged"].all()
    rest = [str(m) for m in read.index if m not in YARDSTICKS]
    found = {
        "yardstick": [m for m in YARDSTICKS if m in read.index],
        "forget only": [m for m in rest if read[m] == 0 and not lost[m]],
        "reads retained": [m for m in rest if read[m] > 0],
        "no model": [m for m in rest if lost[m]],
    }
    return found if found["no model"] else {k: v for k, v in found.items() if k != "no model"}


def state(own: pd.DataFrame) -> str:
    """Return in words what is wrong with a method's networks, ``""`` if nothing is.

    Args:
        own: Its lines of :func:`per_cell`.
    """
    found, count = [], len(own)
    for word in ("diverged", "collapsed"):
        hit = int(own[word].sum())
        if hit:
            where = f" in {'all' if hit == count else f'{hit} of'} {count} cells"
            found.append(word + (where if count > 1 else ""))
    return "; ".join(found)


def mean_and_spread(values: Sequence[float] | pd.Series, digits: int) -> str | None:
    """Return ``mean ± standard deviation``; the bare number of a single cell, ``None`` of none."""
    known = pd.Series(values, dtype=float).dropna()
    if known.empty:
        return None
    spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{spread}"
