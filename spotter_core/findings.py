"""What an audit found: each number beside its yardsticks, thresholds, and what can't be said.

Layer 4: rows in, numbers and sentences out; no model is needed.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from spotter_core.audit_measures import MEASURES, Measure
from spotter_core.flags import Flag, red_flags
from spotter_core.results import UNTRAINED, Row, head_level, to_frame
from spotter_core.scores import ORACLE, ORIGINAL

WITHOUT_ORACLE = (
    "Whether a class that comes back was left in the network or is merely easy to learn anew: a "
    "network that never saw it may give back as much. No excess is computed.",
    "Whether the network hides more than it forgot: being far below an oracle is a trace, too, and "
    "there is nothing to be below of.",
    "Whether its forget images sit in several tight clusters where ignorance would scatter them "
    "(the flag 'clusters').",
    "Whether the change near the forgotten images is damage or what retraining would do as well.",
)
"""What needs a network that was retrained without the forgotten classes."""


@dataclass(frozen=True)
class Number:
    """A measure's value for the audited network and for its yardsticks; NaN where there is none.

    Attributes:
        name: Of the measure, in :data:`MEASURES`.
        value: Of the unlearned network.
        original: Before unlearning.
        oracle: Mean of the oracles.
        spread: Their standard deviation; NaN of one.
        untrained: Of the architecture with random weights.
    """

    name: str
    value: float
    original: float
    oracle: float
    spread: float
    untrained: float

    @property
    def measure(self) -> Measure:
        """What it is of."""
        return MEASURES[self.name]


@dataclass(frozen=True)
class Judged:
    """A declared threshold and what came."""

    name: str
    threshold: float
    value: float

    @property
    def least(self) -> bool:
        """Whether the threshold is the least instead of the most."""
        return MEASURES[self.name].better == "higher"

    @property
    def bound(self) -> str:
        """What the threshold is, in words."""
        return "at least" if self.least else "at most"

    @property
    def exceeded(self) -> bool:
        """Whether the value lies on the wrong side; one that is not a number does."""
        kept = self.value >= self.threshold if self.least else self.value <= self.threshold
        return not kept


def numbers_of(rows: Iterable[Row], method: str, shots: int) -> list[Number]:
    """Return every measure that the rows tell of.

    Args:
        rows: Of one audit: the original, the method, ``retrain`` for oracles if there are any.
        method: The audited network.
        shots: The attacker's k.
    """
    frame = to_frame(rows)
    oracles = [run for _, run in frame[frame["method"] == ORACLE].groupby("seed")]
    others = frame[frame["method"] != ORACLE]
    found: list[Number] = []
    for name, measure in MEASURES.items():
        try:
            means = measure.pick(frame, shots)
            each = [
                measure.pick(pd.concat([others, own]), shots).get(ORACLE, math.nan)
                for own in oracles
            ]
        except (KeyError, ValueError, IndexError):  # not measured, as with --quick
            continue
        if method not in means.index:
            continue
        spread = float(pd.Series(each).std(ddof=1)) if len(each) > 1 else math.nan
        own = [float(means.get(m, math.nan)) for m in (method, ORIGINAL, ORACLE, UNTRAINED)]
        value, original, oracle, untrained = own
        if name == "head_excess":  # each oracle lies above its own mean by nothing
            spread = next(n.spread for n in found if n.name == "head_worst")
        found.append(Number(name, value, original, oracle, spread, untrained))
    return found


def flags_of(rows: Iterable[Row], shots: int, chance: float) -> list[Flag]:
    """Return the red flags of an audit; see :func:`~spotter_core.flags.red_flags`."""
    frame = to_frame(rows)
    counted = head_level(frame) | (frame["measure"] != "relearned")
    return red_flags(frame[counted], shots, chance=chance)


def judge(numbers: Iterable[Number], thresholds: Mapping[str, float]) -> list[Judged]:
    """Return every declared threshold with the value that came.

    Raises:
        ValueError: If a measure is unknown, or was not measured.
    """
    found = {number.name: number.value for number in numbers}
    for name in thresholds:
        check_measure(name)
        if name not in found:
            raise ValueError(
                f"threshold {name}: it was not measured; there are {', '.join(found)} (head_excess "
                "needs an oracle, layers and training attacks are left out by quick)"
            )
    return [Judged(name, limit, found[name]) for name, limit in thresholds.items()]


def check_measure(name: str) -> None:
    """Raise ``ValueError`` unless there is a measure of that name."""
    if name not in MEASURES:
        raise ValueError(f"threshold {name!r} is unknown; expected one of {', '.join(MEASURES)}")
