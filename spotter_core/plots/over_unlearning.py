"""Pictures of blind spot one, over-unlearning: notebooks 03, 06."""

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.blocks import block_edges, blocks_of, in_blocks
from spotter_core.plots.dots import dot_panels, draw_dots, height_for
from spotter_core.plots.frames import (
    Axeses,
    chosen,
    draw_curve,
    legend_of,
    methods_of,
    panels,
    say_spread,
)
from spotter_core.plots.heat import draw_heat
from spotter_core.plots.style import LN_2, figure_size, fitted, inks, look, sized, width_of
from spotter_core.results import summarise

NAMES = {
    "over_unlearning": ("OU@ε", "nats"),
    "residual_forget_mass": ("residual forget mass", "probability"),
    "conditional_shift": ("conditional shift", "nats"),
}
"""Name and unit of every measure, for titles and axes."""
N_IS = " that the original sees there, its forget class cut out\nn: near points, all cells together"
"""What columns of near points are."""
OWN_N_IS = ", the images' own\nn: images, all cells together"
"""What columns of retained images are, which have a class of their own."""
WIDE = 6.6
"""Inches that the words below a heatmap take, however few its columns."""
LONG = 5
"""Letters of a class name that fit into the width of a column; longer ones are turned."""


def plot_ou_by_radius(
    frame: pd.DataFrame, *, measure: str = "over_unlearning", axes: Axeses | None = None
) -> Axeses:
    """OU against the radius: a line a method, a band over cells, a column for each neighborhood.

    Below the curves a small panel shows the share of points that really cross the boundary. Where
    methods are many, those that read retained samples have a row of panels of their own.

    Args:
        frame: ``to_frame`` of ``measurements.over_unlearning_by_radius``: columns ``method``,
            ``measure``, ``neighborhood``, ``epsilon``, ``value``; rows of measure ``crossing``
            fill the small panels.
        measure: ``"over_unlearning"``, ``"conditional_shift"`` or ``"residual_forget_mass"``.
        axes: ``(2, neighborhoods)`` Axes to draw on, all methods above.

    Returns:
        ``(1 + blocks, neighborhoods)`` Axes: curves above, a row a block, crossing below.

    Raises:
        ValueError: If a column, the measure or a yardstick is missing.
    """
    rows = chosen(frame, measure=measure, needs=("neighborhood", "epsilon"))
    methods, kinds = methods_of(rows), list(dict.fromkeys(rows["neighborhood"]))
    crossing = chosen(frame, measure="crossing")
    blocks = {"": methods} if axes is not None else blocks_of(methods)
    if axes is None:
        wide = 3.1 if len(kinds) < 4 else 2.2
        _, axes = plt.subplots(
            1 + len(blocks),
            len(kinds),
            figsize=figure_size(1.9 + wide * len(kinds), 1.5 + 2.9 * len(blocks)),
            layout="constrained",
            squeeze=False,
            sharex="col",
            sharey="row",
            height_ratios=[*[3.2] * len(blocks), 1.0],
        )
        say_spread(axes[0, 0], rows, ["neighborhood", "epsilon"])
    grid = panels(axes, (1 + len(blocks)) * len(kinds), (0, 0)).reshape(-1, len(kinds))
    for kind, column in zip(kinds, grid.T, strict=True):
        own = chosen(rows, neighborhood=kind)
        for ax, block in zip(column[:-1], blocks.values(), strict=True):
            draw_radii(ax, own, block, NAMES[measure][1])
        column[0].set_title(f"Neighborhood: {kind}" if len(kinds) < 4 else kind)
        share, below = summarise(chosen(crossing, neighborhood=kind), ["epsilon"]), column[-1]
        below.fill_between(share["epsilon"], 0, 100 * share["mean"], color=inks().edge, linewidth=0)
        below.plot(share["epsilon"], 100 * share["mean"], color=inks().quiet, linewidth=sized(1.2))
        unit = "pixel units, images in [0, 1]" if len(kinds) < 4 else "pixel units"
        below.set_xlabel(fitted(f"radius ε ({unit})", width_of(below), 9.5))
        below.set_ylim(0, 105)
    highest = max(ax.get_ylim()[1] for ax in grid[:-1].flat)
    for row, (title, block) in zip(grid[:-1], blocks.items(), strict=True):
        row[0].set_ylim(0.0, highest)
        row[-1].set_ylim(0.0, highest)
        row[0].set_ylabel("{} ({})\nlower is better".format(*NAMES[measure]))
        legend_of(block, row[-1], title=title or None, alignment="left")
    grid[-1, 0].set_ylabel("points across\nboundary (%)")
    return grid


def draw_radii(ax: Axes, rows: pd.DataFrame, methods: list[str], unit: str) -> None:
    """Draw one neighborhood's curves, and the bound where the measure has one."""
    for method in reversed(methods):  # yardsticks last, on top
        draw_curve(ax, chosen(rows, method=method), "epsilon", method)
    if unit == "nats":
        ax.axhline(LN_2, color=inks().quiet, linestyle=":", linewidth=sized(1.0))
        place: dict[str, Any] = {
            "transform": ax.get_yaxis_transform(),
            "ha": "right",
            "va": "bottom",
        }
        ax.text(0.99, LN_2, "ln 2, the bound", fontsize=sized(8), **place)


def plot_ou_parts(
    frame: pd.DataFrame,
    *,
    neighborhood: str | None = None,
    split: str = "forget/test",
    axes: Axeses | None = None,
) -> Axeses:
    """OU beside its two parts, by method: residual forget mass and conditional shift.

    Args:
        frame: ``to_frame`` of ``measurements.over_unlearning_everywhere``: columns ``method``,
            ``split``, ``measure``, ``neighborhood``, ``value``.
        neighborhood: Which one; default the first in the frame, the headline's.
        split: Whose neighborhood.
        axes: Three Axes to draw on.

    Returns:
        ``(3,)`` Axes: OU, residual forget mass, conditional shift.

    Raises:
        ValueError: If a column, the neighborhood or a yardstick is missing.
    """
    rows = chosen(frame, measure=list(NAMES), split=split, needs=("neighborhood",))
    rows = chosen(rows, neighborhood=neighborhood or rows["neighborhood"].iloc[0])
    axes = dot_panels(axes, 3, rows)
    for ax, (measure, (name, unit)) in zip(axes, NAMES.items(), strict=True):
        draw_dots(ax, chosen(rows, measure=measure), digits=3)
        ax.set(xlabel=f"{name} ({unit})\nlower is better", title=name[0].upper() + name[1:])
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    return axes


def plot_class_damage(
    frame: pd.DataFrame,
    *,
    measure: str = "conditional_shift",
    most: int = 16,
    ax: Axes | None = None,
) -> Axes:
    """Heatmap of methods by retained class: which class pays; mean over cells, also in figures.

    Where rows tell how many ``points`` a value stands for, their sum over cells is written below
    the class as n: a column of few points swings. Of more than ``most`` classes those with most
    points are drawn, or with the greatest mean loss over all methods where nobody counted; the
    picture says so.

    Args:
        frame: ``to_frame`` of ``measurements.damage_by_class`` (near points), of
            ``measurements.damage_to_retained`` (rows of one ``near``) or of
            ``measurements.class_accuracies`` (clean images): columns ``method``, ``measure``,
            ``retained`` (name of the class), ``value``, and ``points`` for n.
        measure: ``"conditional_shift"`` in nats, or ``"accuracy"``, drawn as points lost against
            the original of the same cell (then columns ``forget``, ``seed`` are needed).
        most: Classes at most.
        ax: To draw on.

    Raises:
        ValueError: If a column, the measure or a yardstick is missing.
    """
    rows = chosen(frame, measure=measure, needs=("retained",))
    methods, unit, digits = in_blocks(methods_of(rows)), "conditional shift (nats)", 2
    if measure == "accuracy":
        rows, unit, digits = points_lost(rows), "accuracy lost (points)", 1
    table = rows.pivot_table(index="method", columns="retained", values="value", sort=False)
    found = len(table.columns)
    table = table.loc[methods, sorted(weightiest(rows, table, most))]
    if ax is None:
        width = max(WIDE, 2.6 + 0.58 * len(table.columns))
        size = figure_size(width, height_for(methods) + 0.2)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    classes = counted(rows, [str(name) for name in table.columns])
    highest = max(float(np.nanmax(table)), 1e-9)
    draw_heat(ax, table, most=highest, digits=digits, bar=f"{unit}\nlower is better")
    ax.set_xticklabels(classes)
    ax.set_yticklabels([look(name).label for name in methods], rotation=0)
    for row in block_edges(methods):
        ax.axhline(row, color=inks().paper, linewidth=sized(4))
    if is_long(table.columns):
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        plt.setp(ax.get_xticklabels(), **turned)
    few = f", {most} of {found}: {CHOSEN[has_counts(rows)]}" if found > most else ""
    n_is = OWN_N_IS if "near" in rows else N_IS
    ax.set(xlabel=f"retained class{n_is if has_counts(rows) else ''}{few}", ylabel="")
    ax.set_title("Which class pays")
    return ax


CHOSEN = {True: "those with most near points", False: "those that lose most, over all methods"}
"""Which classes are drawn if there are many, by whether points were counted."""


def weightiest(rows: pd.DataFrame, table: pd.DataFrame, most: int) -> list[str]:
    """Return the columns of ``table`` that stand for most points, or lose most where none count."""
    weight = rows.groupby("retained")["points"].sum() if has_counts(rows) else table.mean()
    return list(weight.reindex(table.columns).nlargest(most).index)


def is_long(names: Iterable[object]) -> bool:
    """Return whether a class name does not fit into its column's width."""
    return max(len(str(name)) for name in names) > LONG


def has_counts(rows: pd.DataFrame) -> bool:
    """Return whether every value says on how many points it stands."""
    return "points" in rows and bool(rows["points"].notna().all())


def counted(rows: pd.DataFrame, classes: list[str]) -> list[str]:
    """Return classes with their points below, summed over cells; bare where nobody counted."""
    if not has_counts(rows):
        return classes
    own = rows[rows["method"] == "original"]  # the same points for every method
    counts = own.groupby("retained")["points"].sum()
    between = " " if is_long(classes) else "\n"
    return [f"{name}{between}(n={counts[name]:.0f})" for name in classes]


def points_lost(rows: pd.DataFrame) -> pd.DataFrame:
    """Return accuracies as percentage points lost against the original of the same cell."""
    key = ["forget", "seed", "retained"]
    before = chosen(rows, method="original", needs=key)[[*key, "value"]]
    joined = rows.merge(before, on=key, suffixes=("", "_before"))
    return joined.assign(value=100.0 * (joined["value_before"] - joined["value"]))
