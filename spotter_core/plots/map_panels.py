"""The dispersion explorer's picture: one map twice, as two models see it, and the image asked for.

Layer 9. The same image is ringed in both panels, so that one sees where it has gone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from spotter_core.plots.embedding import draw_classes, scatter, square
from spotter_core.plots.style import LN_2, inks, look, on_paper

LETTERS = 30
"""Of a line below the image."""


class MapPanels:
    """Two panels of one common embedding, and the image under the pointer.

    Args:
        figure: Empty; its layout is set here.
        coordinates: By model ``(N, 2)``.
        labels: ``(N,)`` classes.
        forget_classes: Drawn on top.
        class_names: Of all classes.
    """

    @on_paper
    def __init__(
        self,
        figure: Figure,
        coordinates: Mapping[str, np.ndarray],
        labels: np.ndarray,
        forget_classes: Sequence[int],
        class_names: Sequence[str],
    ) -> None:
        self.figure, self.coordinates, self.labels = figure, dict(coordinates), labels
        self.forget_classes, self.names = forget_classes, class_names
        figure.set_layout_engine("none")
        width = 0.375
        self.panels = [figure.add_axes((0.005 + i * 0.385, 0.09, width, 0.84)) for i in (0, 1)]
        self.picture = figure.add_axes((0.785, 0.5, 0.2, 0.4))
        self.picture.set_axis_off()
        where: dict[str, Any] = {"transform": self.picture.transAxes, "va": "top", "fontsize": 8.5}
        self.said = self.picture.text(0.0, -0.1, "", **where)  # of Axes: saved although it moves
        self.bar = figure.add_axes((0.2, 0.06, 0.4, 0.018))
        figure.colorbar(
            ScalarMappable(Normalize(0.0, LN_2), inks().damage_map),
            cax=self.bar,
            orientation="horizontal",
        )
        self.bar.tick_params(labelsize=8)
        self.bar.set_title("OU of the image (nats), lower is better", fontsize=8, x=1.02, y=-1.5)
        self.bar.title.set(ha="left")
        self.rings: list[Any] = []

    @on_paper
    def show(self, models: Sequence[str], color: str, values: Mapping[str, np.ndarray]) -> None:
        """Draw both panels.

        Args:
            models: Two of the map's.
            color: ``"class"``, ``"answer"``, ``"damage"`` or ``"method"``.
            values: By model ``(N,)`` what is coloured by: the class answered, or nats.
        """
        limits = square(np.concatenate(list(self.coordinates.values())))
        self.bar.set_visible(color == "damage")
        self.rings = []
        for ax, model in zip(self.panels, models, strict=True):
            ax.clear()
            ax.set(**limits)  # names are kept inside them
            points = self.coordinates[model]
            if color == "method":
                self._by_method(ax, points)
            elif color == "damage":
                self._by_damage(ax, points, values[model])
            else:
                shown = self.labels if color == "class" else values[model]
                draw_classes(ax, points, shown, self.forget_classes, self.names)
            ax.set(xticks=[], yticks=[], aspect="equal", **limits)
            ax.grid(visible=False)
            ax.spines[:].set_visible(True)
            ax.set_title(look(model).label, fontsize=10)
            ring = ax.scatter([], [], s=130, facecolors="none", edgecolors=inks().ink, zorder=9)
            ring.set_linewidth(1.6)
            self.rings.append(ring)
        self.models = list(models)
        if color != "damage":
            self.panels[0].legend(loc="upper left", fontsize=7.5, handletextpad=0.1)

    def _by_damage(self, ax: Axes, points: np.ndarray, damage: np.ndarray) -> None:
        forgotten = np.isin(self.labels, self.forget_classes)
        order = np.argsort(damage)  # the damaged are few and must not be hidden
        sizes = np.where(forgotten, 16.0, 9.0)[order]
        options = {"cmap": inks().damage_map, "vmin": 0.0, "vmax": LN_2, "linewidths": 0.3}
        scatter(ax, points[order], c=damage[order], s=sizes, edgecolors=inks().quiet, **options)

    def _by_method(self, ax: Axes, points: np.ndarray) -> None:
        """Draw the forget images once for each model, over this panel's retained ones."""
        forgotten = np.isin(self.labels, self.forget_classes)
        scatter(ax, points[~forgotten], s=7, color=inks().edge, linewidths=0)
        for model, own in self.coordinates.items():
            style = look(model)
            scatter(ax, own[forgotten], s=14, label=style.label, alpha=0.8, **style.dots())

    def moving(self) -> list[Artist]:
        """Return what another image moves, from the back to the front."""
        return [*self.rings, *self.picture.images, self.said]

    @on_paper
    def show_image(self, index: int, image: np.ndarray, said: str) -> None:
        """Ring one image in both panels and show it with what is said of it."""
        for ring, model in zip(self.rings, self.models, strict=True):
            ring.set_offsets(self.coordinates[model][[index]])
        if not self.picture.images:
            self.picture.imshow(image, cmap="gray", vmin=0.0, vmax=1.0)
        self.picture.images[0].set_data(image)
        lines = [textwrap.fill(each, LETTERS, subsequent_indent="   ") for each in said.split("\n")]
        self.said.set_text("\n".join(lines))

    def nearest(self, ax: Axes, x: float, y: float) -> int | None:
        """Return the image nearest to a place in a panel; none if no panel is there."""
        if ax not in self.panels:
            return None
        points = self.coordinates[self.models[self.panels.index(ax)]]
        return int(((points - (x, y)) ** 2).sum(axis=1).argmin())
