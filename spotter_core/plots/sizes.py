"""How large everything is drawn: on paper, or on a slide that the last row of a classroom reads.

Layer 9. Every length in a picture, a font, a line, a marker or a row of a table, is given for paper
and multiplied by one factor. A picture that would become wider than a slide is as wide as one, so
that its words grow against it; what doesn't fit any more is wrapped.

The current context is what ``use_style`` wrote into Matplotlib's settings, nothing else: it ends
with their ``rc_context``.
"""

import textwrap
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SCALES = {"paper": 1.0, "presentation": 1.6}
"""What the lengths of a picture are multiplied by."""
FONT = 9.5
"""Points of plain text on paper."""
SLIDE = 13.33
"""Inches that a slide is wide."""
LETTER = 0.56
"""Width of a letter, as a share of its height."""
GAIN = 1.2
"""What a panel's width gains when the layout is made."""
POINTS = 72
"""Of an inch."""
DOTS = 90
"""Of an inch of a figure on the screen that is moved by hand."""
LENGTHS = {
    "font.size": FONT,
    "axes.titlesize": 10.5,
    "axes.labelsize": 9.5,
    "axes.labelpad": 4.0,
    "axes.titlepad": 6.0,
    "axes.linewidth": 0.8,
    "figure.constrained_layout.h_pad": 3 / 72,
    "figure.constrained_layout.w_pad": 3 / 72,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "lines.markeredgewidth": 1.2,
    "patch.linewidth": 1.0,
    "xtick.major.pad": 3.5,
    "xtick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.major.pad": 3.5,
    "ytick.major.size": 3.5,
    "ytick.major.width": 0.8,
}
"""On paper; those that the study does not choose are Matplotlib's own, so that they grow, too."""

P = ParamSpec("P")
R = TypeVar("R")


def scale() -> float:
    """Return the factor of the current context; 1 if ``use_style`` was never called."""
    return next((s for s in SCALES.values() if mpl.rcParams["font.size"] == s * FONT), 1.0)


def sized(length: float) -> float:
    """Return a length, in points or in inches, as the current context has it."""
    return length * scale()


def area(size: float) -> float:
    """Return the area of a marker (``s`` of ``Axes.scatter``) as the current context has it."""
    return size * scale() ** 2


def figure_size(width: float, height: float) -> tuple[float, float]:
    """Return the size of a figure in inches, at most as wide as a slide or as it is on paper."""
    return min(sized(width), max(width, SLIDE)), sized(height)


def on_paper(draw: Callable[P, R]) -> Callable[P, R]:
    """Return ``draw`` with the sizes of paper, whatever the context; the theme stays."""

    @wraps(draw)
    def drawn(*given: P.args, **named: P.kwargs) -> R:
        if scale() == 1.0:
            return draw(*given, **named)
        with mpl.rc_context(LENGTHS):  # type: ignore[arg-type]
            return draw(*given, **named)

    return drawn


class ScreenFigure(Figure):
    """A figure whose ticks, which Matplotlib makes late, have the sizes of paper like the rest."""

    @on_paper
    def draw(self, renderer: Any) -> None:
        """Draw everything that does not move."""
        super().draw(renderer)


def screen_figure(width: float, height: float) -> Figure:
    """Return a figure to be moved by hand, of so many inches on paper, larger on a slide.

    It is enlarged as a whole: what is in it is sized as on paper (:func:`on_paper`).
    """
    return ScreenFigure(figsize=(width, height), dpi=DOTS * min(scale(), SLIDE / width))


def width_of(ax: Axes) -> float:
    """Return about how many inches a panel is wide, before the layout is made."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return GAIN * float(ax.get_position().width * figure.get_figwidth())


def fitted(words: str, inches: float, points: float) -> str:
    """Return ``words`` with every line wrapped that is wider than so many inches.

    Args:
        words: May have several lines.
        inches: What there is.
        points: Height of the letters on paper.
    """
    most = max(8, int(inches * POINTS / (LETTER * sized(points))))
    return "\n".join(textwrap.fill(line, most) for line in words.split("\n"))
