"""Decision regions and divergence maps on a plane, as slices and toy share them.

Layer 9. The original's boundary around the forget classes and the outline of the
epsilon-neighborhood are drawn in every panel, so that panels can be compared point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from spotter_core.plots.frames import Axeses, check_models, panels
from spotter_core.plots.style import LN_2, figure_size, fitted, inks, look, sized, width_of

if TYPE_CHECKING:  # the numbers come with the call; no torch is needed to draw them
    from spotter_core.slices import SliceView

LETTER, LINE = 0.047, 0.15
"""Inches on paper: half a letter's width and a line's height."""
PANEL, BESIDE, ABOVE = 1.55, 1.75, 1.15
"""Inches on paper: side of a panel, what is left and right of all panels, above and below."""
SLIVER = 0.03
"""Share of a panel's width that a region must reach to either side of some point to be named."""
WHATS = ("predicted class\n(faint: unsure)", "divergence from\nthe original")
"""What the upper and the lower row show."""


def region_grid(view: SliceView, axes: Axeses | None) -> Axeses:
    """Return ``(2, models)`` Axes, new ones with square panels or those passed, checked.

    Raises:
        ValueError: If a yardstick is missing, or the number of ``axes`` is another.
    """
    check_models(view.answers)
    count = len(view.answers)
    if axes is None:
        width, _ = figure_size(PANEL * count + BESIDE, 0)
        side = (width - sized(BESIDE)) / count
        _, axes = plt.subplots(
            2,
            count,
            figsize=(width, 2 * side + sized(ABOVE)),
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
    return panels(axes, 2 * count, (0, 0)).reshape(2, count)


def land_color(c: int, forget_classes: Sequence[int]) -> str:
    """Return the colour of a class's region."""
    land = inks().land
    return inks().forget_land if c in forget_classes else land[c % len(land)]


def frame_of(view: SliceView, offset: float = 0.0) -> tuple[float, float, float, float]:
    """Return the grid's extent for ``imshow``: half a step beyond the outer points."""
    half = (view.along[1] - view.along[0]) / 2
    return (
        view.along[0] - half + offset,
        view.along[-1] + half + offset,
        view.across[0] - half + offset,
        view.across[-1] + half + offset,
    )


def draw_regions(
    ax: Axes, view: SliceView, model: str, names: Sequence[str], offset: float = 0.0
) -> None:
    """Colour every point by the class predicted there, paler where the model is less certain."""
    answers = view.answers[model]
    count = int(max(a.predicted.max() for a in view.answers.values())) + 1
    colors = ListedColormap([land_color(c, view.forget_classes) for c in range(count)])
    extent = frame_of(view, offset)
    ax.imshow(
        answers.predicted,
        origin="lower",
        extent=extent,
        cmap=colors,
        vmin=-0.5,
        vmax=count - 0.5,
        alpha=0.25 + 0.75 * answers.probability,
    )
    for c, (along, across) in name_places(view, model, names, width_of(ax)).items():
        weight = "bold" if c in view.forget_classes else "normal"
        middle = ax.text(along + offset, across + offset, names[c], ha="center", va="center")
        halo = [withStroke(linewidth=sized(1.6), foreground=inks().paper, alpha=0.8)]
        middle.set(fontsize=sized(8.5), fontweight=weight, zorder=6, path_effects=halo)
    draw_outlines(ax, view, offset)


def name_places(
    view: SliceView, model: str, names: Sequence[str], inches: float
) -> dict[int, tuple[float, float]]:
    """Return where the names of a panel's regions stand: inside, and not on one another.

    A sliver is not named. ``inches`` is what the panel is wide.
    """
    letter, line = sized(LETTER) / inches, sized(LINE) / inches
    predicted = view.answers[model].predicted
    high, wide = predicted.shape
    taken: list[tuple[float, float, float]] = []  # half a width, middle and height, in grid points
    places = {}
    for c in np.unique(predicted):
        region = predicted == c
        if not has_room(region):
            continue
        clear = region & (view.distance > 1.3 * view.epsilon)  # of the sample and its outline
        row, column = innermost(clear if clear.any() else region)
        half = min(letter * len(names[c]) * (wide - 1), (wide - 1) / 2)
        middle = min(max(column, half), wide - 1 - half)
        beside = [r for h, m, r in taken if abs(m - middle) < h + half]
        if any(abs(r - row) < line * high for r in beside):
            free = np.flatnonzero(region[:, column])
            row = int(max(free, key=lambda r: min(abs(r - other) for other in beside)))
            row = int(min(max(row, line * high / 2), high - 1 - line * high / 2))
        taken.append((half, middle, row))
        step = (view.along[-1] - view.along[0]) / (wide - 1)
        places[int(c)] = (float(view.along[0] + middle * step), float(view.across[row]))
    return places


def draw_damage(
    ax: Axes, view: SliceView, model: str, measure: str, offset: float = 0.0
) -> AxesImage:
    """Colour every point by the model's divergence from the original there; return the image."""
    values = getattr(view.answers[model], measure)
    image = ax.imshow(
        values,
        origin="lower",
        extent=frame_of(view, offset),
        cmap=inks().damage_map,
        vmin=0.0,
        vmax=LN_2,
    )
    draw_outlines(ax, view, offset)
    return image


def draw_outlines(ax: Axes, view: SliceView, offset: float) -> None:
    """Draw the original's boundary around the forget classes, and the neighborhood's edge."""
    x, y = view.along + offset, view.across + offset
    halo = {"path_effects": [withStroke(linewidth=sized(2.6), foreground=inks().paper)]}
    margin = view.answers["original"].margin
    if margin.min() < 0.0 < margin.max():
        edge = ax.contour(x, y, margin, levels=[0.0], colors=inks().ink, linewidths=sized(1.1))
        edge.set(**halo)
    style: dict[str, Any] = {"linewidths": sized(1.5), "linestyles": "dashed"}
    ring = ax.contour(x, y, view.distance, levels=[view.epsilon], colors=inks().forget[0], **style)
    ring.set(**halo)
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_locator(MaxNLocator(3))


def dot(label: str, color: str, size: float) -> Line2D:
    """Return a legend's mark of a sample."""
    style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": sized(size)}
    return Line2D([], [], color=color, label=label, **style)


def finish(
    grid: np.ndarray,
    view: SliceView,
    image: AxesImage,
    measure: str,
    dots: list[Line2D],
    directions: str,
) -> None:
    """Put titles, the colour bar beside the lower row, and one legend of all marks below.

    Args:
        grid: ``(2, models)`` Axes.
        view: What was drawn.
        image: A panel of the lower row.
        measure: Its values.
        dots: Marks of samples.
        directions: What both axes are, said once for all panels.
    """
    for model, above, below in zip(view.answers, *grid, strict=True):
        above.set_title(fitted(look(model).label, width_of(above), 10.5))
        say_damage(below, view, model, measure)
    figure = grid[0, 0].figure
    name = "OU" if measure == "over_unlearning" else "conditional shift"
    bar = figure.colorbar(image, ax=list(grid[1]), pad=0.01, aspect=14)
    bar.set_label(f"{name} (nats)\nlower is better")
    bar.outline.set_linewidth(sized(0.8))
    lines = [
        Line2D([], [], color=inks().ink, linewidth=sized(1.1), label="the original's boundary"),
        Line2D([], [], color=inks().forget[0], linestyle="--", linewidth=sized(1.5)),
    ]
    lines[1].set_label(f"within ε = {view.epsilon:g} of a forget sample")
    where: dict[str, Any] = {"loc": "outside lower center", "ncols": 4, "handletextpad": 0.4}
    figure.legend(handles=[*dots, *lines], title=directions, columnspacing=1.2, **where)


def say_damage(ax: Axes, view: SliceView, model: str, measure: str) -> None:
    """Write the mean divergence inside the neighborhood into the panel's corner."""
    values = getattr(view.answers[model], measure)
    mean = float(values[view.distance <= view.epsilon].mean())
    corner = ax.text(0.05, 0.06, f"inside: {mean:.3f}", transform=ax.transAxes, zorder=8)
    halo = [withStroke(linewidth=sized(2.5), foreground=inks().paper)]
    corner.set(fontsize=sized(8.5), fontweight="bold", path_effects=halo)


def innermost(mask: np.ndarray) -> tuple[int, int]:
    """Return the point of a region that is farthest from its edge: where its name fits best."""
    current = mask
    while (smaller := eroded(current)).any():
        current = smaller
    points = np.argwhere(current)
    row, column = points[len(points) // 2]
    return int(row), int(column)


def eroded(mask: np.ndarray) -> np.ndarray:
    """Return the points of a region whose four neighbors belong to it, too."""
    padded = np.pad(mask, 1)
    sides = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    smaller: np.ndarray = padded[1:-1, 1:-1] & sides
    return smaller


def has_room(mask: np.ndarray) -> bool:
    """Return whether a region is more than a sliver, so that a name in it is read as its own."""
    for _ in range(round(SLIVER * mask.shape[1])):
        mask = eroded(mask)
    return bool(mask.any())
