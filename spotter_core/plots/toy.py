"""The pictures of the two-dimensional toy: its points, and the damage next to the forget class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from spotter_core.plots.frames import Axeses
from spotter_core.plots.regions import (
    WHATS,
    dot,
    draw_damage,
    draw_regions,
    finish,
    land_color,
    region_grid,
)
from spotter_core.plots.style import area, figure_size, fitted, inks, sized, width_of

if TYPE_CHECKING:
    from spotter_core.slices import SliceView

CENTRE = 0.5
"""Of the unit square, where ``Plane.square()`` has its origin."""
POINTS_WIDTH, POINTS_HEIGHT = 4.9, 3.3
"""Inches on paper of the picture of the points."""


def plot_toy(
    view: SliceView,
    points: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: Sequence[str],
    measure: str = "over_unlearning",
    axes: Axeses | None = None,
) -> Axeses:
    """Decision regions of every model above, divergence from the original below.

    Args:
        view: From ``slices.view_slice`` of ``Plane.square()``, with ``near`` the forget points;
            ``original`` and ``retrain`` among its models.
        points: ``(N, 2)`` in [0, 1], drawn above.
        labels: ``(N,)`` their classes.
        class_names: By index.
        measure: ``"over_unlearning"`` or ``"conditional_shift"``, nats in [0, ln 2].
        axes: ``(2, models)`` Axes to draw on.

    Returns:
        ``(2, models)`` Axes.

    Raises:
        ValueError: If a yardstick is missing.
    """
    grid = region_grid(view, axes)
    forgotten = np.isin(labels, view.forget_classes)
    for model, above, below in zip(view.answers, *grid, strict=True):
        draw_regions(above, view, model, class_names, CENTRE)
        above.scatter(*points[~forgotten].T, s=area(3), color=inks().quiet, alpha=0.5, linewidths=0)
        above.scatter(*points[forgotten].T, s=area(9), color=inks().forget[0], linewidths=0)
        image = draw_damage(below, view, model, measure, CENTRE)
    for row, what in zip(grid, WHATS, strict=True):
        row[0].set_ylabel(fitted(what, width_of(row[0]), 9.5))
        row[0].set(xticks=[0, 1], yticks=[0, 1])
    marks = [dot("forget point", inks().forget[0], 4), dot("retained point", inks().quiet, 3)]
    directions = "across: first pixel · up: second pixel (both from 0 to 1)"
    finish(grid, view, image, measure, marks, directions)
    return grid


def draw_toy(
    points: np.ndarray,
    labels: np.ndarray,
    *,
    forget_classes: Sequence[int],
    class_names: Sequence[str],
    ax: Axes | None = None,
) -> Axes:
    """The points that everything starts from, before any network: the forget class stands out.

    Args:
        points: ``(N, 2)`` in [0, 1].
        labels: ``(N,)`` their classes.
        forget_classes: Drawn on top, in the colour that forget points have in every picture.
        class_names: By index; each is written on its class.
        ax: To draw on.

    Returns:
        The Axes.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=figure_size(POINTS_WIDTH, POINTS_HEIGHT), layout="constrained")
    retained = [c for c in np.unique(labels) if c not in forget_classes]
    for c in [*retained, *forget_classes]:  # those to be forgotten on top
        cloud, kept = points[labels == c], c in retained
        color = land_color(c, forget_classes) if kept else inks().forget[0]
        style: dict[str, Any] = {"s": area(16), "color": color, "linewidths": sized(0.4)}
        style["edgecolors"] = inks().quiet if kept else inks().paper
        ax.scatter(cloud[:, 0], cloud[:, 1], zorder=2 if kept else 3, **style)
        halo = [withStroke(linewidth=sized(3), foreground=inks().paper, alpha=0.9)]
        x, y = map(float, cloud.mean(axis=0))
        middle = ax.text(x, y, class_names[c], ha="center", va="center", zorder=4)
        middle.set(path_effects=halo, fontsize=sized(10), fontweight="normal" if kept else "bold")
    marks = [dot("to be forgotten", inks().forget[0], 4), dot("to be kept", inks().quiet, 4)]
    ax.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.4)
    ax.set(xlabel="first pixel (from 0 to 1)", ylabel="second pixel (from 0 to 1)")
    ax.set(xticks=[0, 1], yticks=[0, 1], aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.grid(visible=False)
    return ax
