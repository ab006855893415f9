"""Pictures of blind spot two, prototypical relearning: notebook 04."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.blocks import blocks_of
from spotter_core.plots.frames import (
    Axeses,
    chosen,
    draw_curve,
    legend_of,
    methods_of,
    panels,
    say_spread,
)
from spotter_core.plots.style import figure_size, inks, look, sized
from spotter_core.results import summarise

LETTER = 0.05
"""Width of a figure on an axis, as a share of a panel's."""
SHARED: dict[str, Any] = {"sharex": True, "sharey": True}
AXES = {"shots": "images of the class, k", "alpha": "blend α\n(1 replaces the row)"}


def plot_relearning(
    frame: pd.DataFrame,
    *,
    over: Literal["shots", "alpha"] = "shots",
    facets: Sequence[float] | None = None,
    split: str = "forget/test",
    metric: str = "cosine",
    scale: float = 0.0,
    axes: Axeses | None = None,
) -> Axeses:
    """PRA accuracy against k, a panel for each alpha; or against alpha, a panel for each k.

    Where methods are many, those that read retained samples have a row of panels of their own.

    Args:
        frame: ``to_frame`` of ``measurements.relearning``: columns ``method``, ``split``,
            ``measure`` (rows with ``pra_accuracy`` are used), ``shots``, ``alpha``, ``metric``,
            ``scale``, ``value``.
        over: Column on the horizontal axis; the other one makes the panels.
        facets: Values of the other column, a panel each; default up to three, spread evenly.
        split: What was scored: ``"forget/test"``, ``"forget/train"``, ``"retain/test"``.
        metric: Of the attack.
        scale: Of the attack; 0 is the published unit length.
        axes: One Axes a facet, to draw all methods on.

    Returns:
        ``(blocks * facets,)`` Axes, row by row.

    Raises:
        ValueError: If a column, a facet or a yardstick is missing.
    """
    if over not in AXES:
        raise ValueError(f"over must be 'shots' or 'alpha', got {over!r}")
    other = "alpha" if over == "shots" else "shots"
    rows = chosen(
        frame, measure="pra_accuracy", split=split, metric=metric, scale=scale, needs=list(AXES)
    )
    methods = methods_of(rows)
    if facets is None:
        facets = ticks_among(sorted(rows[other].unique()), most=3)
    blocks = {"": methods} if axes is not None else blocks_of(methods)
    size = figure_size(1.9 + 2.5 * len(facets), 0.3 + 3.0 * len(blocks))
    given = axes is not None
    if axes is None:
        shape = (len(blocks), len(facets))
        _, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False, **SHARED)
    grid = panels(axes, len(blocks) * len(facets), size).reshape(len(blocks), -1)
    better = "higher means less is broken" if split.startswith("retain") else "lower is safer"
    for row, (title, block) in zip(grid, blocks.items(), strict=True):
        for ax, level in zip(row, facets, strict=True):
            panel = chosen(rows, alpha=level) if other == "alpha" else chosen(rows, shots=level)
            for method in reversed(block):
                draw_curve(ax, chosen(panel, method=method), over, method, scale=100.0)
            ax.set_xticks(named_ticks(sorted(rows[over].unique())))
            ax.set(ylim=(-4, 104), title=f"{'α' if other == 'alpha' else 'k'} = {level:g}")
        row[0].set_ylabel(f"accuracy after attack,\n{split.replace('/', ' ')} (%), {better}")
        legend_of(block, row[-1], title=title or None, alignment="left")
    for ax in grid[-1]:
        ax.set_xlabel(AXES[over])
    if not given:
        say_spread(grid[0, 0], rows, ["alpha", "shots"])
    return grid.reshape(-1)


def ticks_among(values: Sequence[float], *, most: int = 6) -> list[float]:
    """Return at most ``most`` of the measured values to be named on an axis, both ends included."""
    index = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[i] for i in index]


def named_ticks(values: Sequence[float]) -> list[float]:
    """Return those of :func:`ticks_among` whose figures have room beside those before and last.

    >>> named_ticks([0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    ticks = ticks_among(values)
    kept, unit = ticks[:1], LETTER * (ticks[-1] - ticks[0])
    for value in ticks[1:-1]:
        room = unit * len(f"{value:g}")
        if value - kept[-1] > room and ticks[-1] - value > room:
            kept.append(value)
    return [*kept, *ticks[1:][-1:]]


def plot_relearning_price(
    frame: pd.DataFrame,
    *,
    shots: int | None = None,
    metric: str = "cosine",
    scale: float = 0.0,
    axes: Axeses | Axes | None = None,
) -> Axeses:
    """What an attack costs: retain accuracy after it against forget accuracy regained by it.

    A path for each method, one mark for each alpha (small to large), mean over cells. The attacker
    wants the upper right corner. Where methods are many, those that read retained samples have a
    panel of their own.

    Args:
        frame: As in :func:`plot_relearning`, with splits ``forget/test`` and ``retain/test``.
        shots: The attacker's k; default the largest.
        metric: Of the attack.
        scale: Of the attack.
        axes: To draw all methods on.

    Returns:
        ``(blocks,)`` Axes, one below the other.

    Raises:
        ValueError: If a column, a split or a yardstick is missing.
    """
    rows = chosen(
        frame,
        measure="pra_accuracy",
        metric=metric,
        scale=scale,
        split=["forget/test", "retain/test"],
        needs=list(AXES),
    )
    shots = int(rows["shots"].max()) if shots is None else shots
    rows = chosen(rows, shots=shots)
    methods = methods_of(rows)
    blocks = {"": methods} if axes is not None else blocks_of(methods)
    if axes is None:
        size, shape = figure_size(6.4, 0.6 + 3.4 * len(blocks)), (len(blocks), 1)
        _, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False, **SHARED)
    column = panels(axes, len(blocks), (0, 0))
    means = summarise(rows, ["method", "split", "alpha"])
    for ax, (title, block) in zip(column, blocks.items(), strict=True):
        for method in reversed(block):
            own = means[means["method"] == method]
            path = own.pivot_table(index="alpha", columns="split", values="mean").sort_index()
            ax.plot(100 * path["forget/test"], 100 * path["retain/test"], **look(method).line())
        ax.set_ylabel("retain accuracy after the attack (%)\nhigher means a cheaper attack")
        ax.set(title=f"k = {shots}, a mark for each α", xlim=(-4, 104))
        corner: dict[str, Any] = {"transform": ax.transAxes, "ha": "right", "fontsize": sized(8.5)}
        ax.text(1.0, 1.02, "the attacker's goal ↗", color=inks().quiet, style="italic", **corner)
        legend_of(block, ax, title=title or None, alignment="left")
    column[-1].set_xlabel("forget accuracy regained, test images (%), lower is safer")
    return column
