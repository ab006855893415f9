"""The study's main table: every method's numbers, in blocks by what it read.

Layer 3: rows in, a table out; no model is needed.
"""

import math

import pandas as pd

from spotter_core.cells import blocks, mean_and_spread, per_cell, state
from spotter_core.scores import ORACLE, against_oracles, excess_of_images

COLUMNS = {
    "forget": "forget acc. %",
    "retain": "retain acc. %",
    "ou": "OU@ε",
    "mass": "forget mass %",
    "shift": "cond. shift",
    "pra": "PRA % (k=5)",
    "pra_l2": "PRA % (l2)",
    "pra_scaled": "PRA % (row scaled)",
    "calibrated": "PRA % (calibrated)",
    "worst": "worst attack %",
    "excess": "worst attack beyond oracle",
    "cosine": "mean cosine",
}
"""Numbers of :func:`~spotter_core.cells.per_cell` and their titles; ``excess`` is made of
``worst``."""
DIGITS = {"ou": 4, "shift": 4, "cosine": 3}
"""Decimals of those that have other than one; OU's as in the published table."""


def main_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the study's table: mean ± standard deviation over cells, a line for each method.

    *Worst attack beyond oracle* is in points, by which the worst attack regains more than from the
    oracles of the same classes, with the 95 % interval over cells, these oracles held fixed, and
    behind it the same in units of the oracles' spread, which tells how far they vary; with one
    cell the interval is over images, and there is no spread.

    A method that diverged in some cells is averaged over the others; the last column, ``note``,
    then says so, or that its networks collapsed. It is there only where it says something; so are
    the battery's columns only where a cell was attacked.

    Args:
        frame: As for :func:`~spotter_core.cells.per_cell`.
    """
    cells = per_cell(frame)
    excess = beyond_oracle(frame, cells)
    lines = []
    for block, methods in blocks(cells).items():
        for method in methods:
            own = cells.loc[method]
            line: dict[str, str | None] = {"method": method, "reads": block}
            for key, title in COLUMNS.items():
                if key == "excess":
                    line[title] = excess.get(method)
                else:
                    line[title] = mean_and_spread(own[key], DIGITS.get(key, 1))
            lines.append(line | {"note": state(own) or None})
    table = pd.DataFrame(lines)
    optional = ["note", *(COLUMNS[k] for k in ("mass", "shift", "calibrated", "worst", "excess"))]
    return table.drop(columns=[title for title in optional if table[title].isna().all()])


def beyond_oracle(frame: pd.DataFrame, cells: pd.DataFrame) -> dict[str, str]:
    """Return in words by how much the worst attack regains more than from the oracles.

    Args:
        frame: Of the rows.
        cells: As from :func:`~spotter_core.cells.per_cell`.
    """
    worst = cells[["worst"]].dropna()
    if ORACLE not in worst.index.get_level_values("method"):
        return {}
    found = against_oracles(worst).droplevel("attack")
    if len(worst.loc[ORACLE]) == 1:
        images = 100 * excess_of_images(frame, shots=5)
        found = found.assign(low=images["low"], high=images["high"])
    return {str(m): told(line) for m, line in found.iterrows() if m != ORACLE}


def told(line: pd.Series) -> str:
    """Return points, interval and spreads, such as ``+1.5 [0.2, 2.8] (+0.7 spreads)``."""
    words = f"{line['mean'] + 0.0:+.1f}"
    if not math.isnan(line["low"]):
        words += f" [{line['low']:.1f}, {line['high']:.1f}]"
    if not math.isnan(line["units"]):
        words += f" ({line['units']:+.1f} spreads)"
    return words


__all__ = ["COLUMNS", "main_table"]
