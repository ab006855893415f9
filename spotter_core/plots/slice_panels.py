"""The epsilon-neighborhood's explorer: slices whose parts are moved, not drawn anew.

Layer 9. Panels as in :mod:`~spotter_core.plots.slices`; beside them the forget image and the image
at a place of the slice. Outlines are computed once for all panels: what they would cost in each is
left for the networks' answers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from contourpy import contour_generator
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure

from spotter_core.plots.regions import WHATS, frame_of, land_color, name_places
from spotter_core.plots.style import LN_2, inks, look, on_paper, width_of

if TYPE_CHECKING:  # the numbers come with the call; no torch is needed to draw them
    from spotter_core.slices import SliceView

LETTERS = 22
"""Of a line below an image."""
PALEST = 0.25
"""Share of a region's colour that is left where a network is not certain at all."""


class SlicePanels:
    """Decision regions above, divergence from the original below, a column a model.

    Args:
        figure: Empty; its layout is set here.
        columns: How many models are compared.
        class_names: Of all classes.
    """

    @on_paper
    def __init__(self, figure: Figure, columns: int, class_names: Sequence[str]) -> None:
        self.figure, self.names = figure, class_names
        figure.set_layout_engine("none")
        sides = {"left": 0.01, "right": 0.915, "top": 0.94, "bottom": 0.095}
        widths = [0.6, 0.27] + [1.0] * columns
        spec = figure.add_gridspec(2, 2 + columns, width_ratios=widths, wspace=0.04, hspace=0.2)
        spec.update(**sides)
        self.pictures = [figure.add_subplot(spec[row, 0]) for row in (0, 1)]
        self.grid = np.array(
            [[figure.add_subplot(spec[row, 2 + c]) for c in range(columns)] for row in (0, 1)]
        )
        self.inches = width_of(self.grid[0, 0])  # now: drawing makes panels square
        for ax in self.pictures:
            ax.set_axis_off()
        for ax in self.grid.flat:
            ax.grid(visible=False)
            ax.spines[:].set_visible(True)
            ax.tick_params(labelleft=False, labelbottom=False, length=2, labelsize=8)
        for ax in self.grid[:, 0]:
            ax.tick_params(labelleft=True)
        for ax in self.grid[1]:
            ax.tick_params(labelbottom=True)
        for ax, what in zip(self.grid[:, 0], WHATS, strict=True):
            ax.set_ylabel(what, labelpad=1)
        bar = figure.add_axes((0.925, 0.1, 0.012, 0.37))
        damage = ScalarMappable(Normalize(0.0, LN_2), inks().damage_map)
        figure.colorbar(damage, cax=bar, label="OU (nats), lower is better")
        self.images: list[list[Any]] = [[None] * columns, [None] * columns]
        self.boundaries = [self._lines(ax, inks().ink, 1.0, "-") for ax in self.grid.flat]
        self.edges = [self._lines(ax, inks().forget[0], 1.4, "--") for ax in self.grid.flat]
        self.samples = [self._mark(ax, "o", 6.0, inks().forget[0]) for ax in self.grid.flat]
        self.places = [self._mark(ax, "D", 5.0, inks().ink) for ax in self.grid.flat]
        self.texts: list[Any] = []
        self.titles = [above.set_title("") for above in self.grid[0]]
        self.where = figure.text(0.55, 0.012, "", ha="center")
        self.told = [below.set_title("", fontsize=8.5, pad=4) for below in self.grid[1]]

    @staticmethod
    def _lines(ax: Axes, color: str, width: float, style: str) -> LineCollection:
        lines = LineCollection([], colors=color, linewidths=width, linestyles=style, zorder=5)
        ax.add_collection(lines, autolim=False)
        return lines

    @staticmethod
    def _mark(ax: Axes, marker: str, size: float, color: str) -> Any:
        return ax.plot(
            [0], [0], marker, markersize=size, color=color, markeredgecolor=inks().paper, zorder=7
        )[0]

    def moving(self) -> list[Artist]:
        """Return what another radius or place moves, from the back to the front."""
        return [*self.edges, *self.samples, *self.places, *self.told, *_parts(self.pictures[1])]

    def changing(self) -> list[Artist]:
        """Return what another slice changes, from the back to the front."""
        frames = [spine for ax in self.grid.flat for spine in ax.spines.values()]
        slices = [*self.images[0], *self.images[1], *frames, *self.texts, *self.boundaries]
        return [*slices, *self.titles, self.where, *_parts(self.pictures[0])]

    @on_paper
    def show_view(self, view: SliceView, image: np.ndarray, caption: str, direction: str) -> None:
        """Show another slice, or another model beside the original.

        Args:
            view: A slice with as many models as there are columns.
            image: ``(H, W)`` or ``(H, W, 3)`` the forget sample in [0, 1].
            caption: What stands below it.
            direction: What the second axis leads to.
        """
        extent = frame_of(view)
        lines = _outline(view, view.answers["original"].margin, 0.0)
        for text in self.texts:
            text.remove()
        self.texts = []
        for column, (model, above) in enumerate(zip(view.answers, self.grid[0], strict=True)):
            self._put(0, column, self._land(view, model), extent)
            self._put(1, column, view.answers[model].over_unlearning, extent)
            self.titles[column].set_text(look(model).label)
            for c, place in name_places(view, model, self.names, self.inches).items():
                weight = "bold" if c in view.forget_classes else "normal"
                name = above.text(*place, self.names[c], ha="center", va="center", zorder=4)
                name.set(fontsize=8.5, fontweight=weight)
                self.texts.append(name)
        for boundary in self.boundaries:
            boundary.set_segments(lines)
        where = "the boundary" if view.target is None else f"class {self.names[view.target]}"
        self.where.set_text(f"→ {where} · ↑ {direction} (pixel units)")
        _picture(self.pictures[0], image, f"forget image\n{caption}")

    @on_paper
    def show_radius(
        self, view: SliceView, epsilon: float, overall: Mapping[str, float], count: int
    ) -> None:
        """Draw the neighborhood's edge at another radius, with the mean damage inside it.

        Args:
            view: The slice that is shown.
            epsilon: Pixel units.
            overall: OU of every model in the same neighborhood of ``count`` held-out forget images.
            count: So many.
        """
        lines, inside = _outline(view, view.distance, epsilon), view.distance <= epsilon
        for edge in self.edges:
            edge.set_segments(lines)
        for model, told in zip(view.answers, self.told, strict=True):
            here = float(view.answers[model].over_unlearning[inside].mean())
            told.set_text(
                f"inside the dashes {here:.3f}\nOU@ε, {count} images {overall[model]:.3f}"
            )

    @on_paper
    def show_place(
        self, along: float, across: float, image: np.ndarray, answers: Mapping[str, str]
    ) -> None:
        """Mark a place in every panel and show the image there, with what the models say.

        Args:
            along: On the first axis, pixel units.
            across: On the second one.
            image: As in :meth:`show_view`.
            answers: By model, such as ``"3 (0.98)"``.
        """
        for place in self.places:
            place.set_data([along], [across])
        told = [f"{look(model).label}: {answer}" for model, answer in answers.items()]
        said = "\n".join(textwrap.fill(line, LETTERS, subsequent_indent="   ") for line in told)
        _picture(self.pictures[1], image, f"image at the diamond\n{said}")

    def _land(self, view: SliceView, model: str) -> np.ndarray:
        """Return ``(B, A, 3)`` colours of the predicted classes, paler where less certain."""
        answers = view.answers[model]
        colors = [to_rgb(land_color(c, view.forget_classes)) for c in range(len(self.names))]
        weight = (PALEST + (1.0 - PALEST) * answers.probability)[..., None]
        paper = np.asarray(to_rgb(self.grid[0, 0].get_facecolor()[:3]))
        land: np.ndarray = weight * np.asarray(colors)[answers.predicted] + (1 - weight) * paper
        return land

    def _put(self, row: int, column: int, values: np.ndarray, extent: Any) -> None:
        if self.images[row][column] is None:
            ax = self.grid[row, column]
            options = {"cmap": inks().damage_map, "vmin": 0.0, "vmax": LN_2} if row else {}
            self.images[row][column] = ax.imshow(values, origin="lower", extent=extent, **options)
            ticks = [round(0.7 * t * extent[1], 2) for t in (-1, 0, 1)]
            ax.set(xlim=extent[:2], ylim=extent[2:], xticks=ticks, yticks=ticks)
        self.images[row][column].set_data(values)


def _outline(view: SliceView, values: np.ndarray, level: float) -> list[np.ndarray]:
    """Return the curves of ``(B, A)`` values at a level, ``(points, 2)`` each."""
    lines: Any = contour_generator(view.along, view.across, values).lines(level)
    return list(lines)


def _parts(ax: Axes) -> list[Artist]:
    return [*ax.images, *ax.texts]


def _picture(ax: Axes, image: np.ndarray, caption: str) -> None:
    if not ax.images:
        ax.imshow(image, cmap="gray", vmin=0.0, vmax=1.0)
        ax.set_anchor("NW")
        ax.text(0.0, -0.05, "", transform=ax.transAxes, fontsize=7.5, va="top")
    ax.images[0].set_data(image)
    ax.texts[0].set_text(caption)
