"""A row for each method: every cell a dot, mean and interval, the mean in figures.

Layer 9. The one way in which methods are compared by a single number.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.blocks import block_edges, in_blocks
from spotter_core.plots.frames import Axeses, methods_of, panels
from spotter_core.plots.style import area, figure_size, inks, look, sized
from spotter_core.results import summarise

ROW_HEIGHT = 0.27
"""Inches for a method."""
KEY = "small dot: one cell (forget class and seed) · bar: 95 % interval of the mean · figure: mean"
ONE = "one cell (forget class and seed): no interval"


def height_for(methods: Sequence[str]) -> float:
    """Return the height in inches of a picture with a row for each method."""
    return 1.15 + ROW_HEIGHT * len(methods)


def dot_panels(axes: Axeses | Sequence[Axes] | None, count: int, frame: pd.DataFrame) -> Axeses:
    """Return ``count`` panels for :func:`draw_dots`: the given ones, or new ones with a key."""
    given, methods = axes is not None, methods_of(frame)
    axes = panels(axes, count, figure_size(1.7 + 2.85 * count, height_for(methods)), sharey=True)
    if not given:
        one = {"forget", "seed"} <= set(frame) and len(frame[["forget", "seed"]].drop_duplicates())
        axes[0].figure.supxlabel(ONE if one == 1 else KEY, fontsize=sized(8), color=inks().quiet)
    return axes


def draw_dots(ax: Axes, frame: pd.DataFrame, *, scale: float = 1.0, digits: int = 1) -> None:
    """Draw one row a method: cells as small dots, mean as marker with its 95 % interval.

    Rows stand in blocks, parted by a thin line: yardsticks, forget samples only, the others.

    A dashed line carries the retrained oracle's mean through all rows, a solid one the original's.

    Args:
        ax: To draw on.
        frame: Columns ``method``, ``value``; one value a cell.
        scale: Multiplies values: 100 for per cent.
        digits: Decimals of the mean printed at the right edge.
    """
    methods = in_blocks(methods_of(frame))
    means = summarise(frame, ["method"]).set_index("method")
    for name, width in (("original", 0.8), ("retrain", 1.1)):
        style = look(name)
        level = scale * means.loc[name, "mean"]
        ax.axvline(
            level, color=style.color, linestyle=style.dashes, linewidth=sized(width), zorder=1
        )
    for row, name in enumerate(methods):
        style = look(name)
        cells = scale * frame.loc[frame["method"] == name, "value"].to_numpy(dtype=float)
        offsets = np.linspace(-0.22, 0.22, len(cells)) if len(cells) > 1 else np.zeros(1)
        small: dict[str, Any] = {"s": area(9), "alpha": 0.45, "linewidths": 0}
        ax.scatter(cells, row + offsets, color=style.color, zorder=2, **small)
        mean, low, high = (scale * means.loc[name, key] for key in ("mean", "low", "high"))
        ax.plot([low, high], [row, row], color=style.color, linewidth=sized(2.2), zorder=3)
        large: dict[str, Any] = {
            "s": area(95 if style.marker == "*" else 42),
            "linewidths": sized(1.3),
        }
        ax.scatter([mean], [row], zorder=4, label=style.label, **large, **style.dots())
        ax.text(
            1.015,
            row,
            f"{round(mean, digits) + 0.0:.{digits}f}",
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=sized(8.5),
        )
    for row in block_edges(methods):
        ax.axhline(row - 0.5, color=inks().edge, linewidth=sized(0.7), zorder=0)
    ax.set_yticks(range(len(methods)), [look(name).label for name in methods])
    ax.set_ylim(len(methods) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
