"""Pictures of blind spot two, prototypical relearning: notebook 04."""

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.frames import (
    Axeses,
    chosen,
    draw_curve,
    legend_of,
    methods_of,
    panels,
    say_spread,
)
from spotter_core.plots.style import QUIET, look
from spotter_core.results import summarise

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

    Args:
        frame: ``to_frame`` of ``measurements.relearning``: columns ``method``, ``split``,
            ``measure`` (rows with ``pra_accuracy`` are used), ``shots``, ``alpha``, ``metric``,
            ``scale``, ``value``.
        over: Column on the horizontal axis; the other one makes the panels.
        facets: Values of the other column, a panel each; default up to three, spread evenly.
        split: What was scored: ``"forget/test"``, ``"forget/train"``, ``"retain/test"``.
        metric: Of the attack.
        scale: Of the attack; 0 is the published unit length.
        axes: One Axes a panel, to draw on.

    Returns:
        ``(panels,)`` Axes.

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
    size = (1.9 + 2.5 * len(facets), 3.3)
    given, axes = axes is not None, panels(axes, len(facets), size, sharey=True)
    for ax, level in zip(axes, facets, strict=True):
        panel = chosen(rows, alpha=level) if other == "alpha" else chosen(rows, shots=level)
        for method in reversed(methods):
            draw_curve(ax, chosen(panel, method=method), over, method, scale=100.0)
        symbol = "α" if other == "alpha" else "k"
        ax.set(xlabel=AXES[over], ylim=(-4, 104), title=f"{symbol} = {level:g}")
        ax.set_xticks(ticks_among(sorted(rows[over].unique())))
    better = "higher means less is broken" if split.startswith("retain") else "lower is safer"
    axes[0].set_ylabel(f"accuracy after attack,\n{split.replace('/', ' ')} (%), {better}")
    legend_of(methods, axes[-1])
    if not given:
        say_spread(axes[0], rows, ["alpha", "shots"])
    return axes


def ticks_among(values: Sequence[float], *, most: int = 6) -> list[float]:
    """Return at most ``most`` of the measured values to be named on an axis, both ends included."""
    index = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[i] for i in index]


def plot_relearning_price(
    frame: pd.DataFrame,
    *,
    shots: int | None = None,
    metric: str = "cosine",
    scale: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """What an attack costs: retain accuracy after it against forget accuracy regained by it.

    A path for each method, one mark for each alpha (small to large), mean over cells. The attacker
    wants the upper right corner.

    Args:
        frame: As in :func:`plot_relearning`, with splits ``forget/test`` and ``retain/test``.
        shots: The attacker's k; default the largest.
        metric: Of the attack.
        scale: Of the attack.
        ax: To draw on.

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
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    means = summarise(rows, ["method", "split", "alpha"])
    for method in reversed(methods):
        own = means[means["method"] == method]
        path = own.pivot_table(index="alpha", columns="split", values="mean").sort_index()
        ax.plot(100 * path["forget/test"], 100 * path["retain/test"], **look(method).line())
    ax.set(
        xlabel="forget accuracy regained, test images (%), lower is safer",
        ylabel="retain accuracy after the attack (%)\nhigher means a cheaper attack",
        title=f"k = {shots}, a mark for each α",
        xlim=(-4, 104),
    )
    corner: dict[str, Any] = {"transform": ax.transAxes, "ha": "right", "fontsize": 8.5}
    ax.text(1.0, 1.02, "the attacker's goal ↗", color=QUIET, style="italic", **corner)
    legend_of(methods, ax)
    return ax
