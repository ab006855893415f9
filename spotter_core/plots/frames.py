"""What all pictures ask of a table of rows: the right columns, both yardsticks, mean and interval.

And of an axis: that a number is read on it beside a yardstick a hundred times as large.

Layer 9. Frames come from ``results.to_frame``; none is ever changed.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from spotter_core.plots.style import YARDSTICKS, area, inks, look, sized
from spotter_core.results import summarise

Axeses = np.ndarray
"""An array of Axes, one a panel, as ``plt.subplots`` returns it."""
FEW = 3
"""Up to so many cells are drawn themselves: an interval resampled from them would say little."""
LEGEND_ROW, LEGEND_FREE, LEGEND_COLUMN = 0.19, 0.5, 2.4
"""Inches: height of a line of a legend, of what is above and below it; width of a column."""
MARGIN = 0.06
"""Share of the axis left free at either end."""


def chosen(frame: pd.DataFrame, *, needs: Sequence[str] = (), **where: object) -> pd.DataFrame:
    """Return the rows where every keyword's column has that value, or one of a list of values.

    Raises:
        ValueError: If a column is missing, or no row is left (says which condition failed).
    """
    missing = [c for c in (*where, "method", "value", *needs) if c not in frame]
    if missing:
        raise ValueError(
            f"frame has no column {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}: "
            "pass results.to_frame(rows) of the measurement that the docstring names"
        )
    for column, wanted in where.items():
        values = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        rest = frame[frame[column].isin(values)]
        if rest.empty:
            known = ", ".join(map(repr, frame[column].dropna().unique()[:12]))
            raise ValueError(f"frame has no row with {column} {wanted!r}; it has {known or 'none'}")
        frame = rest
    return frame


def methods_of(frame: pd.DataFrame) -> list[str]:
    """Return the methods in order of appearance, the yardsticks first.

    Raises:
        ValueError: If a yardstick is missing: no picture is drawn without both.
    """
    found = list(dict.fromkeys(frame["method"]))
    check_models(found)
    return [*YARDSTICKS, *(name for name in found if name not in YARDSTICKS)]


def check_models(found: Iterable[str]) -> None:
    """Raise ``ValueError`` unless both yardsticks are among the models of a picture."""
    names = list(map(str, found))
    if missing := [name for name in YARDSTICKS if name not in names]:
        raise ValueError(
            f"there is no {' and no '.join(missing)} among {', '.join(names) or 'no models'}: "
            f"every picture shows both yardsticks, so measure {' and '.join(YARDSTICKS)}, too"
        )


def panels(
    axes: Axeses | Sequence[Axes] | Axes | None,
    count: int,
    size: tuple[float, float],
    **options: object,
) -> Axeses:
    """Return ``axes`` as a flat array of ``count``, or new ones in a row, ``size`` inches in all.

    Raises:
        ValueError: If another number of Axes was passed.
    """
    if axes is None:
        _, axes = plt.subplots(
            1,
            count,
            figsize=size,
            layout="constrained",
            squeeze=False,
            **options,  # type: ignore[call-overload]
        )
    flat = np.asarray(axes, dtype=object).reshape(-1)
    if len(flat) != count:
        raise ValueError(f"axes must hold {count} Axes, one a panel, got {len(flat)}")
    return flat


def draw_curve(
    ax: Axes, frame: pd.DataFrame, over: str, method: str, *, scale: float = 1.0
) -> None:
    """Draw the mean of ``value`` against column ``over`` and its 95 % interval as a band.

    Where :data:`FEW` cells or less stand behind a mean, they are dots, and there is no band.
    """
    curve, style = summarise(frame, [over]).sort_values(over), look(method)
    if method not in YARDSTICKS and largest_group(frame, [over]) <= FEW:
        small: dict[str, Any] = {"s": area(14), "alpha": 0.5, "linewidths": 0}
        ax.scatter(frame[over], scale * frame["value"], color=style.color, **small)
    elif method not in YARDSTICKS:
        ax.fill_between(
            curve[over],
            scale * curve["low"],
            scale * curve["high"],
            color=style.color,
            alpha=0.09,
            lw=0,
        )
    ax.plot(curve[over], scale * curve["mean"], **style.line())


def largest_group(frame: pd.DataFrame, by: Sequence[str]) -> int:
    """Return how many values, one a cell, stand behind a mean at most."""
    return int(frame.groupby(list(by))["value"].size().max())


def say_spread(ax: Axes, frame: pd.DataFrame, by: Sequence[str]) -> None:
    """Write below the figure of ``ax`` what :func:`draw_curve` drew around its means."""
    count = largest_group(frame, ["method", *by])
    note = f"shaded: 95 % interval of the mean over {count} cells"
    if count <= FEW:
        note = f"line: mean of {count} cells · small dots: the single cells"
    ax.figure.supxlabel(note if count > 1 else "one cell", fontsize=sized(8), color=inks().quiet)


def legend_of(
    methods: Sequence[str], ax: Axes, *, unmarked: Sequence[str] = (), **options: object
) -> None:
    """Put one legend of all methods, in their fixed order, beside ``ax``.

    Where they are too many for the figure's height it has several columns, and the figure grows by
    the width of those. Methods ``unmarked`` are drawn as lines without markers.
    """
    handles = [ax.plot([], [], **look(m).line())[0] for m in methods]
    for method, handle in zip(methods, handles, strict=True):
        if method in unmarked:
            handle.set_marker("")
    figure = ax.get_figure(root=True)
    assert figure is not None
    rows = max(1, int((figure.get_figheight() - sized(LEGEND_FREE)) / sized(LEGEND_ROW)))
    columns = math.ceil(len(methods) / rows)
    figure.set_figwidth(figure.get_figwidth() + sized(LEGEND_COLUMN) * (columns - 1))
    beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5), **options}
    ax.legend(handles=handles, ncols=columns, **beside)


def log_scale(
    ax: Axes, which: Literal["x", "y"], low: float, high: float, *, linear: float
) -> None:
    """Make one axis logarithmic above ``linear``, from ``low`` to ``high``, ticks at 1 and 3.

    Below it the axis stays linear, for zeros are common here.

    Args:
        ax: To change.
        which: Its horizontal or its vertical axis.
        low: Smallest value that is drawn; may be 0 or negative.
        high: Largest value that is drawn.
        linear: Where the logarithmic part starts, ``> 0``; a power of ten gives round ticks.
    """
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("symlog", linthresh=linear)
    transform = axis.get_transform()
    first, last = transform.transform([low, high])
    free = MARGIN * (last - first)
    ends = transform.inverted().transform([first - free, last + free])
    (ax.set_xlim if which == "x" else ax.set_ylim)(*ends)
    axis.set_major_locator(FixedLocator(log_ticks(*ends, linear=linear)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def log_ticks(low: float, high: float, *, linear: float) -> list[float]:
    """Return 0 and the steps of 1 and 3 from ``linear`` on, either sign, that lie in the limits.

    >>> log_ticks(-0.2, 150.0, linear=1.0)
    [0.0, 1.0, 3.0, 10.0, 30.0, 100.0]
    """
    decades = max(0, math.ceil(math.log10(max(abs(low), abs(high)) / linear)))
    steps = [linear * step * 10**k for k in range(decades + 1) for step in (1, 3)]
    return [v for v in (*(-s for s in reversed(steps)), 0.0, *steps) if low <= v <= high]
