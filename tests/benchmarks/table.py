"""Rows of the benchmark, and how their seconds are taken."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

HEAD = "| work | ours | target | plain | plain / ours | plain is |\n|---|---|---|---|---|---|"
RATES = (
    "| work | images/s | TFLOP/s | matrix products, TFLOP/s | share | computed in |\n"
    "|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """Seconds of our way and of the plain way to do the same, and what we promise.

    Attributes:
        work: What is done.
        ours: Seconds.
        plain: Seconds.
        plain_is: What the plain way is.
        target: Seconds that ours may take.
        times: How many times faster than plain ours must be.
        but: Why it is not, where the machine is the reason.
    """

    work: str
    ours: float
    plain: float
    plain_is: str
    target: float | None = None
    times: float | None = None
    but: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster than the plain way ours is."""
        return self.plain / self.ours

    @property
    def promise(self) -> str:
        """The target and whether it is met."""
        if self.target is not None:
            met, words = self.ours <= self.target, seconds(self.target)
        elif self.times is not None:
            met, words = self.ratio >= self.times, f"{self.times:g}×"
        else:
            return "–"
        return f"{words}, met" if met else f"{words}, **missed**{self.but and ': ' + self.but}"

    def __str__(self) -> str:
        ours, plain = seconds(self.ours), seconds(self.plain)
        cells = [self.work, ours, self.promise, plain, f"{self.ratio:.3g}", self.plain_is]
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Rate:
    """Images a second, and how much of the machine's arithmetic that is.

    Attributes:
        work: What is done.
        images: A second.
        flops: A second, in convolutions and matrix products.
        ceiling: The best a second of plain matrix products, in the same precision.
        precision: Of both.
    """

    work: str
    images: float
    flops: float
    ceiling: float
    precision: str

    def __str__(self) -> str:
        share = f"{self.flops / self.ceiling:.0%}"
        flops, ceiling = (f"{value / 1e12:.3g}" for value in (self.flops, self.ceiling))
        cells = [self.work, f"{self.images:,.4g}", flops, ceiling, share, self.precision]
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Alone:
    """Seconds of a work that has no plain way to stand beside it, and what they may be."""

    work: str
    ours: float
    target: float

    def __str__(self) -> str:
        met = "met" if self.ours <= self.target else "**missed**"
        return f"| {self.work} | {seconds(self.ours)} | {seconds(self.target)}, {met} | – | – | – |"


@dataclass(frozen=True)
class Skipped:
    """A row that can't be measured here, and why."""

    work: str
    why: str

    def __str__(self) -> str:
        return f"| {self.work} | – | – | – | – | skipped: {self.why} |"


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it, to three digits."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def elapsed(work: Callable[[], object]) -> float:
    """Return the seconds of one run, a GPU's pending work included."""
    _wait()
    start = time.perf_counter()
    work()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def median(work: Callable[[], object], runs: int) -> float:
    """Return the median of several runs, in seconds, after one that is not counted."""
    return statistics.median([elapsed(work) for _ in range(runs + 1)][1:])


def paired(
    ours: Callable[[], object], plain: Callable[[], object], runs: int
) -> tuple[float, float]:
    """Return the medians of two works done in turn, so that a drift of the machine hits both.

    Both must have run before: no run is left out.
    """
    times = [(elapsed(ours), elapsed(plain)) for _ in range(runs)]
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    return a, b


def same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise ``AssertionError`` if the two ways do not agree, entry by entry."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise ``AssertionError`` unless ``‖found − expected‖ <= tolerance ‖expected‖``."""
    off = ((found - expected).norm() / expected.norm()).item()
    assert off <= tolerance, f"the two ways differ by {off:.3g} of the result, over {tolerance:g}"
