"""Decision regions and divergence maps on a plane, as slices and toy share them.

Layer 9. The original's boundary around the forget classes and the outline of the
epsilon-neighborhood are drawn in every panel, so that panels can be compared point by point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from spotter_core.plots.frames import Axeses, check_models, panels
from spotter_core.plots.style import DAMAGE_MAP, FORGET_COLORS, LN_2, look

if TYPE_CHECKING:  # the numbers come with the call; no torch is needed to draw them
    from spotter_core.slices import SliceView

LAND = (
    "#A6CEE3",
    "#B2DF8A",
    "#CAB2D6",
    "#FFF2AE",
    "#B3E2CD",
    "#FDDAEC",
    "#D9D9D9",
    "#C6DBEF",
    "#E6D5B8",
    "#CCEBC5",
)
"""Colours of retained classes' regions, pale enough for marks on top; a name stands in each."""
FORGET_LAND = "#F4B183"
LETTER, LINE = 0.022, 0.07
"""Half a letter's width and a line's height, as shares of a panel's width."""
SLIVER = 0.03
"""Share of a panel's width that a region must reach to either side of some point to be named."""
WHATS = ("predicted class\n(paler: less certain)", "divergence from the original")
"""What the upper and the lower row show."""


def region_grid(view: SliceView, axes: Axeses | None, *, size: tuple[float, float]) -> Axeses:
    """Return ``(2, models)`` Axes, new ones of that size in inches or those passed, checked.

    Raises:
        ValueError: If a yardstick is missing, or the number of ``axes`` is another.
    """
    check_models(view.answers)
    count = len(view.answers)
    if axes is None:
        _, axes = plt.subplots(
            2,
            count,
            figsize=size,
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
    return panels(axes, 2 * count, (0, 0)).reshape(2, count)


def land_color(c: int, forget_classes: Sequence[int]) -> str:
    """Return the colour of a class's region."""
    return FORGET_LAND if c in forget_classes else LAND[c % len(LAND)]


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
    for c, (along, across) in name_places(view, model, names).items():
        weight = "bold" if c in view.forget_classes else "normal"
        middle = ax.text(along + offset, across + offset, names[c], ha="center", va="center")
        middle.set(fontsize=8.5, fontweight=weight, zorder=6)
    draw_outlines(ax, view, offset)


def name_places(
    view: SliceView, model: str, names: Sequence[str]
) -> dict[int, tuple[float, float]]:
    """Return where the names of a panel's regions stand: inside, and not on one another.

    A sliver is not named.
    """
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
        half = min(LETTER * len(names[c]) * (wide - 1), (wide - 1) / 2)
        middle = min(max(column, half), wide - 1 - half)
        beside = [r for h, m, r in taken if abs(m - middle) < h + half]
        if any(abs(r - row) < LINE * high for r in beside):
            free = np.flatnonzero(region[:, column])
            row = int(max(free, key=lambda r: min(abs(r - other) for other in beside)))
            row = int(min(max(row, LINE * high / 2), high - 1 - LINE * high / 2))
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
        values, origin="lower", extent=frame_of(view, offset), cmap=DAMAGE_MAP, vmin=0.0, vmax=LN_2
    )
    draw_outlines(ax, view, offset)
    return image


def draw_outlines(ax: Axes, view: SliceView, offset: float) -> None:
    """Draw the original's boundary around the forget classes, and the neighborhood's edge."""
    x, y = view.along + offset, view.across + offset
    margin = view.answers["original"].margin
    if margin.min() < 0.0 < margin.max():
        ax.contour(x, y, margin, levels=[0.0], colors="black", linewidths=1.0)
    ax.contour(
        x,
        y,
        view.distance,
        levels=[view.epsilon],
        colors=FORGET_COLORS[0],
        linewidths=1.4,
        linestyles="dashed",
    )
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)


def dot(label: str, color: str, size: float) -> Line2D:
    """Return a legend's mark of a sample."""
    return Line2D([], [], marker="o", linestyle="", color=color, markersize=size, label=label)


def finish(
    grid: np.ndarray, view: SliceView, image: AxesImage, measure: str, dots: list[Line2D]
) -> None:
    """Put titles, the colour bar beside the lower row, and one legend of all marks below."""
    for model, above, below in zip(view.answers, *grid, strict=True):
        above.set_title(look(model).label)
        damage = float(getattr(view.answers[model], measure)[view.distance <= view.epsilon].mean())
        below.set_title(f"inside the dashes: {damage:.3f}", fontsize=9, pad=8)
    figure = grid[0, 0].figure
    name = "OU" if measure == "over_unlearning" else "conditional shift"
    figure.colorbar(image, ax=list(grid[1]), label=f"{name} (nats), lower is better", pad=0.01)
    lines = [
        Line2D([], [], color="black", linewidth=1.0, label="the original's boundary"),
        Line2D([], [], color=FORGET_COLORS[0], linestyle="--", linewidth=1.4),
    ]
    lines[1].set_label(f"within ε = {view.epsilon:g} of a forget sample")
    figure.legend(handles=[*dots, *lines], loc="outside lower center", ncols=4, handletextpad=0.4)


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
