"""Pictures of embeddings and how tightly a class sits in them: notebook 05."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patheffects import withStroke

from spotter_core.plots.dots import dot_panels, draw_dots
from spotter_core.plots.frames import Axeses, check_models, chosen, panels
from spotter_core.plots.sizes import LETTER, POINTS
from spotter_core.plots.style import area, figure_size, inks, look, sized, width_of

NAMED = 15
"""Retained classes whose names find room in a panel; of more, none is named."""
PANEL, LINE = 2.0, 0.15
"""Inches on paper: side of a panel, height of a line of numbers above it."""
LOWER = "lower numbers: the forget class is more scattered, mixed with others"


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
        numbers: ``{model: {"mean cosine": 0.9, "kNN purity": 1.0}}``, printed above the panel; of
            each a lower one is a class more scattered.
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
    size = figure_size(PANEL * len(coordinates) + 0.4, PANEL + 0.6 + LINE * (lines + bool(lines)))
    axes = panels(axes, len(coordinates), size, sharex=True, sharey=True)
    names = class_names or [str(c) for c in range(int(labels.max()) + 1)]
    limits = square(np.concatenate(list(coordinates.values())))
    for ax, (model, points) in zip(axes, coordinates.items(), strict=True):
        ax.set(**limits)
        draw_classes(ax, points, labels, forget_classes, names)
        if prototypes is not None:
            draw_prototypes(ax, prototypes[model], points, labels, forget_classes)
        name_panel(ax, look(model).label, (numbers or {}).get(model, {}))
        ax.set(xticks=[], yticks=[], xlabel="", aspect="equal", anchor="N")
        frame_panel(ax)
    marks = axes[0].get_legend_handles_labels()
    below: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "handletextpad": 0.2}
    axes[0].figure.legend(*marks, title=LOWER if numbers else None, **below)
    note: dict[str, Any] = {"color": inks().quiet, "fontsize": sized(8.5)}
    axes[0].set_ylabel("common embedding\n(no unit; distances only rough)", **note)
    return axes


def scatter(ax: Axes, points: np.ndarray, **options: Any) -> PathCollection:
    """Draw ``(N, 2)`` points; options are those of ``Axes.scatter``."""
    return ax.scatter(points[:, 0], points[:, 1], **options)


def draw_prototypes(
    ax: Axes,
    prototypes: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    forget_classes: Sequence[int],
) -> None:
    """Mark every prototype, and tie its class's samples to it: a tight class is a knot."""
    few = len(prototypes) <= len(inks().forget)
    colors = dict(zip(sorted(forget_classes), inks().forget, strict=False))
    for c, centre in zip(forget_classes, prototypes, strict=False):
        ties = [(centre, point) for point in points[labels == c]] if few else []
        thin: dict[str, Any] = {"linewidths": sized(0.5), "alpha": 0.35, "zorder": 3}
        ax.add_collection(LineCollection(ties, colors=colors.get(c), **thin), autolim=False)
    cross = {"marker": "X", "facecolors": inks().paper, "edgecolors": inks().ink}
    style: dict[str, Any] = {"s": area(52 if few else 30), "linewidths": sized(1.1), **cross}
    scatter(ax, prototypes, label="prototype", zorder=6, **style)


def name_panel(ax: Axes, name: str, numbers: Mapping[str, float]) -> None:
    """Write a model's name above its panel, its numbers smaller between the two."""
    ax.set_title(name, pad=sized(6.0 + POINTS * LINE * len(numbers)))
    said = "\n".join(f"{key} {value:.2f}" for key, value in numbers.items())
    ax.annotate(
        said,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, sized(3)),
        textcoords="offset points",
        va="bottom",
        fontsize=sized(8.5),
        color=inks().quiet,
    )


def frame_panel(ax: Axes) -> None:
    """Draw a quiet frame around a panel that has no numbers on its axes."""
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(inks().edge)


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
        cloud, crowd = points[labels == c], inks().crowd
        color = crowd[c % len(crowd)]
        scatter(ax, cloud, s=area(7), color=color, linewidths=0, zorder=2)
        if len(retained) <= NAMED:
            name_class(ax, names[c], np.median(cloud, axis=0))
    groups = {f"forget class {names[c]}": [c] for c in sorted(forget_classes)}
    if len(groups) > len(inks().forget):
        groups = {f"{len(groups)} forget classes": sorted(forget_classes)}
    for (name, classes), color in zip(groups.items(), inks().forget, strict=False):
        cloud = points[np.isin(labels, classes)]
        style: dict[str, Any] = {"s": area(12), "linewidths": 0, "zorder": 4, "label": name}
        scatter(ax, cloud, color=color, **style)


def name_class(ax: Axes, name: str, middle: np.ndarray) -> None:
    """Write a class's name on its samples, inside the panel; a halo parts the two."""
    halo = [withStroke(linewidth=sized(2), foreground=inks().paper, alpha=0.8)]
    x, y = map(float, middle)
    low, high = ax.get_xlim()
    half = LETTER * sized(8) * len(name) / 2 / POINTS * (high - low) / width_of(ax)
    x = min(max(x, low + half), high - half)
    text = ax.text(x, y, name, ha="center", va="center", fontsize=sized(8), zorder=5)
    text.set(path_effects=halo, color=inks().quiet)


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
