"""Pictures of the epsilon-neighborhood itself: notebook 06."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from spotter_core.plots.frames import Axeses, check_models, panels
from spotter_core.plots.regions import (
    WHATS,
    dot,
    draw_damage,
    draw_regions,
    finish,
    land_color,
    region_grid,
)
from spotter_core.plots.style import figure_size, fitted, inks, look, sized, width_of

SHORT = 6
"""Letters of a class name that stands on one line with its probability."""

if TYPE_CHECKING:  # the numbers come with the call; no torch is needed to draw them
    from spotter_core.slices import SliceView


def plot_slices(
    view: SliceView,
    *,
    measure: str = "over_unlearning",
    class_names: Sequence[str] | None = None,
    axes: Axeses | None = None,
) -> Axeses:
    """A plane through a forget sample: decision regions above, divergence from the original below.

    Args:
        view: From ``slices.view_slice`` of a ``boundary_plane``; ``original`` and ``retrain`` among
            its models, a column each.
        measure: ``"over_unlearning"`` or ``"conditional_shift"``, nats in [0, ln 2].
        class_names: Default the indices.
        axes: ``(2, models)`` Axes to draw on.

    Returns:
        ``(2, models)`` Axes.

    Raises:
        ValueError: If a yardstick is missing.
    """
    grid = region_grid(view, axes)
    highest = int(max(a.predicted.max() for a in view.answers.values()))
    names = class_names or [str(c) for c in range(highest + 1)]
    for model, above, below in zip(view.answers, *grid, strict=True):
        draw_regions(above, view, model, names)
        image = draw_damage(below, view, model, measure)
        for ax in (above, below):
            ax.plot([0], [0], "o", color=inks().forget[0], markeredgecolor=inks().paper, zorder=7)
    for row, what in zip(grid, WHATS, strict=True):
        row[0].set_ylabel(fitted(what, width_of(row[0]), 9.5))
    where = "the boundary" if view.target is None else f"class {names[view.target]}"
    directions = f"across: towards {where} · up: a second direction (both in pixel units)"
    marks = [dot("forget sample", inks().forget[0], 5)]
    finish(grid, view, image, measure, marks, directions)
    return grid


def plot_strips(
    images: np.ndarray,
    answers: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    positions: Sequence[float],
    position_label: str = "largest pixel\nchange (0 to 1)",
    forget_classes: Sequence[int],
    class_names: Sequence[str] | None = None,
    axes: Axeses | None = None,
) -> Axeses:
    """A strip of images with the predicted class and its probability under each, a row a model.

    Args:
        images: ``(S, H, W)`` or ``(S, H, W, 3)`` in [0, 1].
        answers: ``{model: (predicted (S,), probability (S,))}``; ``original`` and ``retrain``
            among them.
        positions: ``(S,)`` a number above each image, such as its distance from the forget sample
            in pixel units.
        position_label: What that number is.
        forget_classes: Their names are bold.
        class_names: Default the indices.
        axes: ``(1 + models, S)`` Axes to draw on.

    Returns:
        ``(1 + models, S)`` Axes: images above, a row of answers for each model.

    Raises:
        ValueError: If a yardstick is missing, or lengths differ.
    """
    check_models(answers)
    lengths = {"positions": len(positions)} | {m: len(p) for m, (p, _) in answers.items()}
    if set(lengths.values()) != {len(images)}:
        raise ValueError(f"there are {len(images)} images, but {lengths}: pass one answer an image")
    given = class_names or list(map(str, range(1 + max(int(p.max()) for p, _ in answers.values()))))
    longest = max(len(given[c]) for p, _ in answers.values() for c in p)
    if axes is None:
        width = max(0.85, 0.2 + 0.075 * longest + 0.25 * (longest <= SHORT))
        ratios = [3.2] + [1.0 if longest <= SHORT else 1.35] * len(answers)
        size = figure_size(width * len(images) + 1.6, 0.3 * sum(ratios) + 0.4)
        _, axes = plt.subplots(
            1 + len(answers),
            len(images),
            figsize=size,
            squeeze=False,
            layout="constrained",
            height_ratios=ratios,
        )
    grid = panels(axes, (1 + len(answers)) * len(images), (0, 0)).reshape(1 + len(answers), -1)
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, image, position in zip(grid[0], images, positions, strict=True):
        ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0)
        ax.set_title(f"{position:g}", fontsize=sized(9), loc="center")
    for row, (model, (predicted, probability)) in zip(grid[1:], answers.items(), strict=True):
        for ax, c, p in zip(row, predicted, probability, strict=True):
            said = f"{given[c]}{'  ' if longest <= SHORT else chr(10)}{p:.2f}"
            color = land_color(int(c), forget_classes)
            draw_answer(ax, said, float(p), color, int(c) in forget_classes)
        row[0].set_ylabel(look(model).label, rotation=0, ha="right", va="center")
    grid[0, 0].set_ylabel(position_label, rotation=0, ha="right", va="center")
    return grid


def draw_answer(ax: Axes, said: str, probability: float, color: str, forgotten: bool) -> None:
    """Fill the box as far as the probability reaches, and write what was said into it."""
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.barh(0.5, probability, height=1.0, color=color)
    weight = "bold" if forgotten else "normal"
    middle: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "fontweight": weight,
        "linespacing": 1.0,
    }
    ax.text(0.5, 0.5, said, fontsize=sized(7.5 if "\n" in said else 8.5), **middle)
    ax.grid(visible=False)
