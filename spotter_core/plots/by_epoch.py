"""What is lost when: four numbers of every method along its run. Notebook 05b.

Layer 9. Lines join measured moments; between them nothing was measured.
"""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.frames import Axeses, chosen, draw_curve, legend_of, log_scale, say_spread
from spotter_core.plots.frames import methods_of as all_methods
from spotter_core.plots.style import LN_2, YARDSTICKS, figure_size, look
from spotter_core.results import summarise


class Sign(NamedTuple):
    """One panel: which rows, how they are scaled, what is said beside the axis."""

    split: str
    measure: str
    title: str
    label: str
    scale: float = 1.0


SIGNS = (
    Sign("forget/test", "accuracy", "Forget accuracy", "%, lower is better", 100.0),
    Sign("retain/test", "accuracy", "Retain accuracy", "%, higher is better", 100.0),
    Sign("forget/test", "over_unlearning", "Over-unlearning", "OU@ε (nats), lower is better"),
    Sign("forget/test", "mean_cosine", "How tight the class is", "mean cosine, lower: scattered"),
)


def plot_by_epoch(frame: pd.DataFrame, *, axes: Axeses | None = None) -> Axeses:
    """Forget and retain accuracy, OU and mean cosine against epochs: a line for each method.

    The epochs are on a logarithmic axis, for most is lost in the first. The yardsticks are level
    lines, the original where all methods start. Where a run ends early in one cell its last value,
    that of the network it left, counts on.

    Args:
        frame: ``to_frame`` of ``measurements.by_epoch``: columns ``method``, ``split``,
            ``measure``, ``value``, ``epoch``.
        axes: Four Axes to draw on.

    Returns:
        ``(4,)`` Axes: forget accuracy, retain accuracy, OU, mean cosine.

    Raises:
        ValueError: If a column, a measure, a yardstick or every other method is missing.
    """
    signs = chosen(frame, needs=("epoch", "split"), measure=[sign.measure for sign in SIGNS])
    methods = all_methods(signs)
    followed = [name for name in methods if name not in YARDSTICKS]
    if not followed:
        raise ValueError("frame has yardsticks only: measure one method that descends, too")
    given = axes is not None
    flat = np.asarray(new_axes() if axes is None else axes, dtype=object).reshape(-1)
    if len(flat) != len(SIGNS):
        raise ValueError(f"axes must hold {len(SIGNS)} Axes, one a number, got {len(flat)}")
    last = float(signs["epoch"].max())
    for ax, sign in zip(flat, SIGNS, strict=True):
        rows = chosen(signs, split=sign.split, measure=sign.measure)
        for method in methods:
            draw_method(ax, chosen(rows, method=method), method, sign)
        log_scale(ax, "x", 0.0, last, linear=1.0)
        ax.set(title=sign.title, ylabel=sign.label)
    for ax in flat[-2:]:
        ax.set_xlabel("epochs done (log scale from 1)")
    flat[2].axhline(LN_2, color=look("retrain").color, linewidth=0.8, linestyle=":")
    flat[2].annotate("ln 2", (1, LN_2), xycoords=("axes fraction", "data"), ha="right", va="top")
    if not given:
        say_spread(flat[0], chosen(signs, method=followed, measure="over_unlearning"), ["epoch"])
        legend_of(methods, flat[1], unmarked=YARDSTICKS)
    return flat


def new_axes() -> Any:
    """Return a grid of two by two panels that share their epochs."""
    return plt.subplots(2, 2, figsize=figure_size(8.6, 5.6), layout="constrained", sharex=True)[1]


def draw_method(ax: Axes, rows: pd.DataFrame, method: str, sign: Sign) -> None:
    """Draw a yardstick as a level line, any other method as a curve over its common epochs."""
    if method in YARDSTICKS:
        level = sign.scale * summarise(rows, ["method"])["mean"].item()
        style = look(method)
        ax.axhline(level, color=style.color, linestyle=style.dashes, label=style.label, zorder=1)
        return
    draw_curve(ax, held(rows), "epoch", method, scale=sign.scale)


def held(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a method's rows with the last value of every cell kept on after the end of its run.

    Epochs that not all cells were looked at, or had ended before, are left out, lest a mean is one
    of other cells than its neighbor.
    """
    cell = [column for column in ("forget", "seed") if column in rows] or ["method"]
    table = rows.pivot_table("value", cell, "epoch")
    later = table.notna().iloc[:, ::-1].cumsum(axis=1).iloc[:, ::-1]
    table = table.where(later > 0, table.ffill(axis=1)).dropna(axis=1)
    return table.stack().rename("value").reset_index()
