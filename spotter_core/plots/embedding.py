"""Pictures of embeddings and how tightly a class sits in them: notebook 05."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patheffects import withStroke

from spotter_core.plots.dots import dot_panels, draw_dots
from spotter_core.plots.frames import Axeses, check_models, chosen, panels
from spotter_core.plots.style import FORGET_COLORS, QUIET, look

NAMED = 15
"""Retained classes whose names find room in a panel; of more, none is named."""
CLASS_GREYS = (
    "#B9C6D3",
    "#D0D0D0",
    "#A9B4BF",
    "#C9BFB5",
    "#BFCBBF",
    "#D9CCD9",
    "#AFC0C0",
    "#CFC9A8",
    "#B5B5C8",
    "#C8D6DF",
)
"""Pale and close to grey: retained classes are told apart but stay behind the forgotten one."""


def plot_embedding(
    coordinates: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    forget_classes: Sequence[int],
    prototypes: Mapping[str, np.ndarray] | None = None,
    numbers: Mapping[str, Mapping[str, float]] | None = None,
    class_names: Sequence[str] | None = None,
    axes: Axeses | None = None,
) -> Axeses:
    """One common space, a panel for each model: forget class highlighted, prototypes marked.

    Args:
        coordinates: ``{model: (N, 2)}`` from ``embedding.common_embedding``; ``original`` and
            ``retrain`` among them.
        labels: ``(N,)`` classes.
        forget_classes: Drawn on top, in colour, one for all where they are many; retained classes
            pale, up to :data:`NAMED` of them named at their middle.
        prototypes: ``{model: (F, 2)}``, a cross each.
        numbers: ``{model: {"mean cosine": 0.9, "kNN purity": 1.0}}``, printed in the panel's title.
        class_names: Default the indices.
        axes: One Axes a model, to draw on.

    Returns:
        ``(models,)`` Axes, sharing their limits.

    Raises:
        ValueError: If a yardstick is missing, or coordinates and labels do not match.
    """
    check_models(coordinates)
    for model, points in coordinates.items():
        if points.shape != (len(labels), 2):
            raise ValueError(
                f"coordinates[{model!r}] must be ({len(labels)}, 2), one row a label, "
                f"got {points.shape}"
            )
    lines = max(map(len, (numbers or {}).values()), default=0)
    size = (2.75 * len(coordinates), 3.1 + 0.15 * lines)
    axes = panels(axes, len(coordinates), size, sharex=True, sharey=True)
    names = class_names or [str(c) for c in range(int(labels.max()) + 1)]
    limits = square(np.concatenate(list(coordinates.values())))
    for ax, (model, points) in zip(axes, coordinates.items(), strict=True):
        draw_classes(ax, points, labels, forget_classes, names)
        if prototypes is not None:
            cross = {"marker": "X", "facecolors": "white", "edgecolors": "black", "linewidths": 1.4}
            large = 110 if len(prototypes[model]) <= len(FORGET_COLORS) else 35
            ax.scatter(*prototypes[model].T, label="prototype", zorder=6, s=large, **cross)
        title = look(model).label
        for name, value in (numbers or {}).get(model, {}).items():
            title += f"\n{name} {value:.2f}"
        ax.set_title(title, fontsize=9.5)
        ax.set(xticks=[], yticks=[], xlabel="", aspect="equal", anchor="N", **limits)
        ax.spines[:].set_visible(True)
        ax.spines[:].set_color("#BBBBBB")
    marks = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(*marks, loc="outside lower center", ncols=4, handletextpad=0.2)
    axes[0].set_ylabel(
        "common embedding\n(no unit; distances only rough)", color=QUIET, fontsize=8.5
    )
    return axes


def scatter(ax: Axes, points: np.ndarray, **options: Any) -> PathCollection:
    """Draw ``(N, 2)`` points; options are those of ``Axes.scatter``."""
    return ax.scatter(points[:, 0], points[:, 1], **options)


def square(points: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return limits of both axes that hold all points ``(N, 2)`` in a square, to fill a panel."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.54 * max(float((high - low).max()), 1e-9)
    ends = [((a + b) / 2 - half, (a + b) / 2 + half) for a, b in zip(low, high, strict=True)]
    return dict(zip(("xlim", "ylim"), ends, strict=True))


def draw_classes(
    ax: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    forget_classes: Sequence[int],
    names: Sequence[str],
) -> None:
    """Draw one cloud a class: retained ones pale and named, forget classes in colour on top."""
    retained = [c for c in np.unique(labels) if c not in set(forget_classes)]
    for c in retained:
        cloud = points[labels == c]
        grey = CLASS_GREYS[c % len(CLASS_GREYS)]
        ax.scatter(cloud[:, 0], cloud[:, 1], s=7, color=grey, linewidths=0, zorder=2)
        if len(retained) <= NAMED:
            x, y = np.median(cloud, axis=0)
            halo = [withStroke(linewidth=2, foreground="white", alpha=0.8)]
            text = ax.text(x, y, names[c], ha="center", va="center", fontsize=8, color=QUIET)
            text.set(path_effects=halo, zorder=5)
    groups = {f"forget class {names[c]}": [c] for c in sorted(forget_classes)}
    if len(groups) > len(FORGET_COLORS):
        groups = {f"{len(groups)} forget classes": sorted(forget_classes)}
    for (name, classes), color in zip(groups.items(), FORGET_COLORS, strict=False):
        cloud = points[np.isin(labels, classes)]
        ax.scatter(cloud[:, 0], cloud[:, 1], s=12, color=color, linewidths=0, zorder=4, label=name)


def plot_dispersion(frame: pd.DataFrame, *, axes: Axeses | None = None) -> Axeses:
    """Mean cosine of the forget class and purity of its neighbors, by method, over cells.

    Args:
        frame: ``to_frame`` of ``measurements.dispersion``: columns ``method``, ``split``,
            ``measure`` (``mean_cosine``, ``knn_purity``), ``value``.
        axes: Two Axes to draw on.

    Returns:
        ``(2,)`` Axes: mean cosine, kNN purity.

    Raises:
        ValueError: If a column, a measure or a yardstick is missing.
    """
    rows = chosen(frame, split="forget/test")
    axes = dot_panels(axes, 2, rows)
    draw_dots(axes[0], chosen(rows, measure="mean_cosine"), digits=2)
    draw_dots(axes[1], chosen(rows, measure="knn_purity"), scale=100.0)
    axes[0].set(
        xlabel="mean cosine, pairs of forget test images\nlower: more scattered",
        title="How tight the class is",
    )
    axes[1].set(
        xlabel="neighbors of the same class (%)\nlower: mixed with other classes",
        title="Whether it keeps to itself",
    )
    axes[1].set_xlim(right=min(axes[1].get_xlim()[1], 104.0))
    return axes
