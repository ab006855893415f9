"""The picture of the two-dimensional toy, in which damage next to the forget class is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spotter_core.plots.frames import Axeses
from spotter_core.plots.regions import (
    WHATS,
    dot,
    draw_damage,
    draw_regions,
    finish,
    region_grid,
)
from spotter_core.plots.style import area, fitted, inks, width_of

if TYPE_CHECKING:
    from spotter_core.slices import SliceView

CENTRE = 0.5
"""Of the unit square, where ``Plane.square()`` has its origin."""


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
