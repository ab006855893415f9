"""An audit's numbers in plain sentences, each with its yardsticks in it.

Layer 5: numbers in, text out.
"""

import math
from collections.abc import Iterable

from spotter_core.findings import Number
from spotter_core.flags import (
    BOUGHT,
    BROKEN,
    CLUSTERS,
    EMPTY,
    HEAD_LEVEL,
    MISLED,
)

LIKE = 0.05
"""Distance from the oracle below which two accuracies are called alike, whatever its spread."""
FLAGS = {
    HEAD_LEVEL: "The mean of the class was moved; a trained row of the head still finds it.",
    CLUSTERS: "The class was scattered into several tight places, where ignorance has none.",
    BROKEN: "It fails even on the network that knows the class: do not believe its numbers.",
    EMPTY: "OU@ε there says little about the surroundings: raise ε.",
    BOUGHT: "What it regains is paid for with accuracy on the other classes.",
    MISLED: "It would bring back any class: what it finds is novelty, not knowledge.",
}
"""What a red flag means to somebody who sees it for the first time."""


def percent(value: float) -> str:
    """Return a fraction in per cent."""
    return f"{100 * value:.1f} %"


def told(number: Number, value: float) -> str:
    """Return a value of a number in its unit, ``–`` where there is none."""
    if math.isnan(value):
        return "–"
    if number.measure.unit == "fraction":
        return percent(value)
    return f"{value:.4f}" if number.measure.unit == "nats" else f"{value:.2f}"


def sentences(numbers: Iterable[Number], shots: int) -> list[str]:
    """Return what an audit says, a sentence for each question.

    Args:
        numbers: As of ``findings.numbers_of``.
        shots: k.
    """
    known = {number.name: number for number in numbers}
    found = []
    if forget := known.get("forget_accuracy"):
        verb = "It names" if forget.value > 0.01 else "It has stopped naming the class: it names"
        found.append(
            f"{verb} {percent(forget.value)} of the held-out images of the forgotten class "
            f"({beside(forget)})."
        )
    if (kept := known.get("retain_accuracy")) and (lost := known.get("retain_accuracy_lost")):
        change = f"{100 * abs(lost.value):.1f} points {'below' if lost.value >= 0 else 'above'}"
        found.append(
            f"On the other classes it is right on {percent(kept.value)}, {change} the original."
        )
    if ou := known.get("over_unlearning"):
        where = "next to the forgotten images its answers about the other classes"
        found.append(
            f"Blind spot one: {where} moved by {ou.value:.4f} nats ({beside(ou)}; 0 is not at all, "
            "0.693 the most)."
        )
    if worst := known.get("head_worst"):
        images = "one image" if shots == 1 else f"{shots} images"
        found.append(
            f"Blind spot two: with {images} the strongest attack on its last features brings "
            f"back {percent(worst.value)} ({beside(worst)})."
        )
        found.append(comparison(worst))
    if nothing := known.get("for_nothing"):
        found.append(
            f"Without any forgotten image {percent(nothing.value)} come back ({beside(nothing)})."
        )
    return found


def beside(number: Number) -> str:
    """Return the yardsticks of a number in words."""
    parts = [("original", number.original), ("oracle", number.oracle)]
    parts.append(("untrained network", number.untrained))
    return ", ".join(f"{name} {told(number, v)}" for name, v in parts if not math.isnan(v))


def comparison(worst: Number) -> str:
    """Return how the strongest attack's number lies to the oracles', in either direction."""
    if math.isnan(worst.oracle):
        return (
            "Whether that is knowledge left behind, or what any network would give, can't be said "
            "without an oracle, a network retrained without the class."
        )
    apart = worst.value - worst.oracle
    wide = 2 * worst.spread > LIKE  # of a single oracle there is no spread
    margin, basis = LIKE, f"{100 * LIKE:.0f} points"
    if wide:
        margin, basis = 2 * worst.spread, "two deviations of the oracles"
    if abs(apart) <= margin:
        return f"That is what a network gives that never saw the class (within {basis})."
    points = f"{100 * abs(apart):.1f} points"
    if apart > 0:
        return f"That is {points} more than from the oracle: something of the class was left."
    return (
        f"That is {points} less than from the oracle: harder to bring back than what was never "
        "learned, which is no better forgetting but a trace by which it can be told."
    )
