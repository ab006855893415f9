"""An answer held against the truth: right, a known slip, a prediction to compare, or unreadable.

Layer 10. A slip is recognised by its value, which is computed beside the truth. No answer raises an
exception: a notebook with no answers runs through, and so does one with a word for a number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spotter_core.exercises.verdicts import Verdict

CLOSE = 1e-3
"""How far a computed answer may be off: three digits are enough, rounding is no slip."""


class Slip(NamedTuple):
    """A typical way to miss: what it gives, and why it is not what was asked for."""

    value: Any
    why: str


def slips_of(values: Mapping[str, Any], reasons: Mapping[str, str]) -> list[Slip]:
    """Return slips in the order of the reasons, each with the value of its name."""
    return [Slip(values[name], why) for name, why in reasons.items()]


class Unreadable(ValueError):
    """An answer of another type or shape than the question's; the text says what is expected."""


def as_tensor(answer: Any) -> Tensor:
    """Return numbers, however they come, as a float64 tensor.

    Raises:
        Unreadable: If they are none; says what came instead.
    """
    if isinstance(answer, bool):
        raise Unreadable(f"A number is expected, and {answer} is a truth value.")
    if isinstance(answer, str):
        raise Unreadable(f"A number is expected, and {answer!r} is text: leave out the quotes.")
    if isinstance(answer, Tensor):
        return answer.detach().cpu().double()
    try:
        return torch.from_numpy(np.array(answer, dtype=np.float64))
    except (TypeError, ValueError):
        raise Unreadable(f"Numbers are expected, but this is a {type(answer).__name__}.") from None


def read(answer: Any, shape: tuple[int, ...]) -> Tensor:
    """Return an answer as a tensor of a shape; for a single number anything with one element is.

    Raises:
        Unreadable: If it is no number, or of another shape.
    """
    given = as_tensor(answer)
    if not shape and given.numel() == 1:
        return given.reshape(())
    if tuple(given.shape) != shape:
        wanted = f"{shape[0]} numbers, a tensor of shape {shape}" if shape else "one number"
        raise Unreadable(f"Expected {wanted}, got a tensor of shape {tuple(given.shape)}.")
    return given


def equal(given: Tensor, value: Any, close: float) -> bool:
    """Return whether an answer is a value, up to ``close`` in every number."""
    other = torch.as_tensor(value, dtype=torch.float64)
    return other.shape == given.shape and torch.allclose(given, other, rtol=0.0, atol=close)


def judge(
    question: str,
    answer: Any,
    truth: float | Tensor,
    *,
    todo: str,
    right: str,
    slips: Sequence[Slip] = (),
    nan: str = "Somewhere 0 was divided by 0, or an infinity subtracted from another one.",
    otherwise: str = "It is none of the usual slips: print what you computed line by line.",
    close: float = CLOSE,
) -> Verdict:
    """Return the verdict on a number or a vector that was to be computed.

    Args:
        question: In a few words.
        answer: Anything; ``None`` is none.
        truth: Of the shape that the answer must have.
        todo: What to do, for who has no answer yet.
        right: What to take along from a right answer.
        slips: In the order in which they are tried; those equal to the truth are no slips.
        nan: What makes this answer NaN.
        otherwise: For any other value.
        close: Largest difference that counts as none.
    """
    if answer is None:
        return Verdict(question, "open", todo)
    true = torch.as_tensor(truth, dtype=torch.float64).detach()
    try:
        given = read(answer, tuple(true.shape))
    except Unreadable as told:
        return Verdict(question, "unreadable", str(told))
    if given.isnan().any():
        return Verdict(question, "other", f"There is a NaN (not a number) in it. {nan}")
    if equal(given, true, close):
        return Verdict(question, "right", right)
    return Verdict(question, "other", reason(given, true, slips, close) or otherwise)


def reason(given: Tensor, true: Tensor, slips: Sequence[Slip], close: float) -> str | None:
    """Return why a value is not the true one: of the first slip that gives it, if any does."""
    for slip in slips:
        if equal(given, slip.value, close):
            return slip.why
    if equal(given, -true, close):
        return "The size is right, the sign is not: what was to be subtracted from what?"
    if equal(given, 100 * true, 100 * close):
        return "This is the right number in percent; asked for is the fraction, between 0 and 1."
    return None


def choose(
    question: str, answer: Any, reasons: Mapping[str, str], truth: str, *, todo: str
) -> Verdict:
    """Return the verdict on one of several statements.

    Args:
        question: In a few words.
        answer: Anything; ``None`` is none.
        reasons: What there is to say to each, by the name by which it is chosen.
        truth: The name of the one that holds.
        todo: What to do, for who has no answer yet.
    """
    if answer is None:
        return Verdict(question, "open", todo)
    name = answer.strip().lower() if isinstance(answer, str) else answer
    if not isinstance(name, str) or name not in reasons:
        return Verdict(question, "unreadable", f"{one_of(list(reasons))}, but got {answer!r}.")
    return Verdict(question, "right" if name == truth else "other", reasons[name])


def one_of(names: Sequence[str]) -> str:
    """Return the sentence that says which names may be chosen."""
    return f"Expected one of {', '.join(map(repr, names))}, with the quotes"


def predict_number(
    question: str,
    answer: Any,
    measured: float,
    *,
    near: float,
    todo: str,
    explain: Callable[[float], str],
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Verdict:
    """Return a predicted number beside the measured one.

    Args:
        question: In a few words.
        answer: Anything; ``None`` is none.
        measured: What came out.
        near: How far a good guess may be off.
        todo: What to do, for who has no answer yet.
        explain: Of the guess: what was measured, and what makes the difference.
        bounds: Between which the number can lie.
    """
    if answer is None:
        return Verdict(question, "open", todo)
    low, high = bounds
    try:
        guess = read(answer, ()).item()
    except Unreadable as told:
        return Verdict(question, "unreadable", str(told))
    if not low <= guess <= high:  # NaN, too
        hint = " Was it a percentage?" if high <= 1.0 and 1.0 < guess <= 100.0 else ""
        told_ = f"It can only lie between {low:g} and {high:.3g}, and this is {guess:g}.{hint}"
        return Verdict(question, "unreadable", told_)
    kind = "met" if math.isclose(guess, measured, rel_tol=0.0, abs_tol=near) else "compared"
    return Verdict(question, kind, explain(guess))  # type: ignore[arg-type]


def predict_choice(
    question: str,
    answer: Any,
    reasons: Mapping[Any, str],
    near: Sequence[Any],
    *,
    todo: str,
) -> Verdict:
    """Return a predicted choice beside what was measured.

    Args:
        question: In a few words.
        answer: Anything; ``None`` is none.
        reasons: What was measured, and what makes the difference, for each choice.
        near: Choices that are as good as what was measured.
        todo: What to do, for who has no answer yet.
    """
    if answer is None:
        return Verdict(question, "open", todo)
    name = answer.strip() if isinstance(answer, str) else answer
    listed = ", ".join(map(repr, reasons))
    try:
        known = name in reasons and not isinstance(name, bool)
    except TypeError:  # a list can't be looked up
        known = False
    if not known:
        quoted = isinstance(name, str) and name in map(str, reasons)
        hint = " Leave out the quotes." if quoted else ""
        told = f"Expected one of {listed}, but got {answer!r}.{hint}"
        return Verdict(question, "unreadable", told)
    return Verdict(question, "met" if name in near else "compared", reasons[name])
