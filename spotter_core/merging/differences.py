"""Where two lists of rows of the same work differ, number by number.

Rows in, differences out; no torch is needed.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spotter_core.results import Row

LAST_DIGITS = 1e-5
"""Relative difference up to which numbers are called equal but for their last digits.

Networks are computed in float32, whose steps are 1.2e-7, and another processor adds in another
order, which is some tens of steps in a mean over many numbers. A count of images differs by more.
"""


@dataclass(frozen=True)
class Difference:
    """One number that is another one there; ``None`` where it is not at all.

    ``relative`` is |here - there| over the larger of |here| and |there|; infinite where one of them
    is missing or NaN alone.
    """

    method: str
    split: str
    measure: str
    at: str
    here: float | None
    there: float | None
    relative: float


def relative_difference(here: float | None, there: float | None) -> float:
    """Return by how much two numbers differ in terms of the larger one; two NaN are equal.

    >>> relative_difference(1.0, 0.75), relative_difference(float("nan"), float("nan"))
    (0.25, 0.0)
    """
    if here is None or there is None:
        return math.inf
    if here == there or (math.isnan(here) and math.isnan(there)):
        return 0.0
    if not (math.isfinite(here) and math.isfinite(there)):
        return math.inf
    return abs(here - there) / max(abs(here), abs(there))


def row_differences(here: Sequence[Row], there: Sequence[Row]) -> list[Difference]:
    """Return all numbers that differ, of rows that are the same but for value and settings' hash.

    Args:
        here: In any order.
        there: In any order.
    """
    mine, theirs = _by_key(here), _by_key(there)
    found = []
    for key in dict.fromkeys([*mine, *theirs]):
        row, other = mine.get(key), theirs.get(key)
        a, b = (None if r is None else float(r.value) for r in (row, other))
        relative = relative_difference(a, b)
        if relative > 0.0:
            known = next(r for r in (row, other) if r is not None)
            at = json.dumps(known.at, sort_keys=True)
            found.append(Difference(known.method, known.split, known.measure, at, a, b, relative))
    return found


def _by_key(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    """Return rows by all that identifies them, the n-th of equal ones apart."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        whole = (row.dataset, row.arch, row.method, row.forget, row.seed, row.split, row.measure)
        key = json.dumps([*whole, row.unit, row.at], sort_keys=True)
        found[key, seen[key]] = row
        seen[key] += 1
    return found


def largest(differences: Iterable[Difference]) -> float:
    """Return the largest relative difference; 0 of none."""
    return max((each.relative for each in differences), default=0.0)
