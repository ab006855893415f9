"""The relearning explorer's picture: a class brought back, parts moved rather than drawn anew.

Layer 9. To the left one model's embedding with what the attacker holds, the prototype and the land
that the attacked head gives to the forget class; to the right what was regained, and what it cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spotter_core.plots.embedding import NAMED, name_class, scatter
from spotter_core.plots.style import inks, legible, look, on_paper

GRID, NEAREST = 48, 7
"""Points a side at which the land is drawn, and the images that are asked for each of them."""
ROOM_FOR_NUMBER = 84.0
"""Percent from which a bar's number stands inside it."""


@dataclass(frozen=True)
class Cloud:
    """A model's embedding under attack, in a plane of its features at unit length.

    Attributes:
        forget: ``(N, 2)`` held-out forget images.
        retain: ``(M, 2)`` held-out retained images.
        retain_labels: ``(M,)`` classes.
        named: ``(N,)`` whether a forget image is given its class after the attack.
        forget_margin: ``(N,)`` best forget logit less the best retained one, after the attack.
        retain_margin: ``(M,)``.
        support: ``(K, 2)`` the attacker's images.
        prototypes: ``(F, 2)``.
        corners: ``(2, 2)`` lowest and highest place that any attack on this model shows.
    """

    forget: np.ndarray
    retain: np.ndarray
    retain_labels: np.ndarray
    named: np.ndarray
    forget_margin: np.ndarray
    retain_margin: np.ndarray
    support: np.ndarray
    prototypes: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True)
class Regained:
    """What an attack did to one model, fractions in [0, 1].

    Attributes:
        forget: Accuracy on held-out forget images.
        draws: The same for every draw of the attacker's images, this one's among them.
        retain: Accuracy on held-out retained images.
        before: The same without the attack.
    """

    forget: float
    draws: Sequence[float]
    retain: float
    before: float


class RelearningPanels:
    """Embedding, gauge and price; moved by :meth:`show`.

    Args:
        figure: Empty; its layout is set here.
        class_names: Of all classes.
        draws: Of the attacker's images, that stand as dots beside the one shown.
    """

    @on_paper
    def __init__(self, figure: Figure, class_names: Sequence[str], draws: int) -> None:
        self.figure, self.names = figure, class_names
        figure.set_layout_engine("none")
        spec = figure.add_gridspec(2, 2, width_ratios=[1.35, 1.0], height_ratios=[1.0, 1.0])
        spec.update(left=0.045, right=0.985, top=0.92, bottom=0.16, wspace=0.6, hspace=0.75)
        self.cloud = figure.add_subplot(spec[:, 0])
        self.title = self.cloud.set_title("")
        self.gauge = Bars(
            figure.add_subplot(spec[0, 1]),
            f"What comes back (dots: {draws} draws)",
            "forget accuracy regained (%), lower is safer",
            "o",
        )
        self.price = Bars(
            figure.add_subplot(spec[1, 1]),
            "What it costs (line: before)",
            "retain accuracy after it (%), higher is cheaper",
            "|",
        )
        self.dots: dict[str, PathCollection] = {}
        self.shown: Cloud | None = None
        self.land: Any = None
        self._label_axes()

    def _label_axes(self) -> None:
        self.cloud.set(xticks=[], yticks=[])
        self.cloud.set_xlabel("towards the forget class's mean →", labelpad=3)
        self.cloud.set_ylabel("widest spread of the retained classes", labelpad=3)
        self.cloud.grid(visible=False)
        self.cloud.spines[:].set_visible(True)

    def moving(self) -> list[Artist]:
        """Return what another attack moves, from the back to the front."""
        land = [] if self.land is None else [self.land]
        frame = self.cloud.spines.values()  # half of it lies on the land
        forget, *held = self.dots.values()
        cloud = [*land, self.retained, *frame, forget, *self.cloud.texts, *held, self.title]
        return [*cloud, *self.gauge.moving(), *self.price.moving()]

    @on_paper
    def show(self, title: str, cloud: Cloud, regained: Mapping[str, Regained]) -> None:
        """Show one model under one attack, and what came back beside the yardsticks.

        Args:
            title: The model's label.
            cloud: Its embedding.
            regained: By model, both yardsticks among them.
        """
        named = int(cloud.named.sum())
        self.title.set_text(f"{title}: {named} of {len(cloud.forget)} are named again")
        self._draw_cloud(cloud)
        after = {m: 100 * r.forget for m, r in regained.items()}
        self.gauge.show(after, {m: 100 * np.asarray(r.draws) for m, r in regained.items()})
        kept = {m: 100 * r.retain for m, r in regained.items()}
        self.price.show(kept, {m: 100 * np.asarray([r.before]) for m, r in regained.items()})

    def _draw_cloud(self, cloud: Cloud) -> None:
        ax, color = self.cloud, inks().forget[0]
        if self.shown is None or not np.array_equal(self.shown.retain, cloud.retain):
            self._start(cloud)
        self.shown = cloud
        hollow = ax.get_facecolor()
        self.dots["forget"].set_facecolor([color if yes else hollow for yes in cloud.named])
        self.dots["support"].set_offsets(cloud.support)
        self.dots["prototype"].set_offsets(cloud.prototypes)
        if self.land is not None:
            self.land.remove()
            self.land = None
        margins = np.concatenate([cloud.forget_margin, cloud.retain_margin])
        height = (self.weights * np.sign(margins)[self.neighbors]).sum(axis=-1)
        if height.max() > 0.0:
            self.land = ax.contourf(
                *self.mesh,
                height,
                levels=[0.0, 1.01],
                colors=[inks().forget_land],
                alpha=0.55,
                zorder=1,
            )

    def _start(self, cloud: Cloud) -> None:
        """Draw what no attack moves: images, names, legend, and whom each place asks."""
        ax, color = self.cloud, inks().forget[0]
        for artist in [*ax.collections, *ax.texts]:
            artist.remove()
        self.land = None
        crowd = inks().crowd
        greys = [crowd[c % len(crowd)] for c in cloud.retain_labels]
        self.retained = scatter(ax, cloud.retain, s=9, c=greys, linewidths=0, zorder=2)
        empty = np.empty((0, 2))
        self.dots = {
            "forget": scatter(ax, cloud.forget, s=20, edgecolors=color, linewidths=1.0, zorder=4),
            "support": self._marks(empty, "D", 26, color),
            "prototype": self._marks(empty, "X", 130, inks().paper),
        }
        ring = Line2D([], [], marker="o", linestyle="", color=color, markerfacecolor="none")
        marks = [ring, self.dots["support"], self.dots["prototype"]]
        names = ["forget image (filled: named again)", "attacker's images", "prototype"]
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.08), "ncols": 3}
        ax.legend(marks, names, fontsize=8, handletextpad=0.1, columnspacing=1.2, **below)
        margin = 0.07 * (cloud.corners[1] - cloud.corners[0])
        low, high = cloud.corners[0] - margin, cloud.corners[1] + margin
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        classes = np.unique(cloud.retain_labels)
        for c in classes if len(classes) <= NAMED else []:
            middle = np.median(cloud.retain[cloud.retain_labels == c], axis=0)
            name_class(ax, self.names[c], middle)
            ax.texts[-1].set_path_effects([])  # a halo would be drawn anew with every move
        self._ask_neighbors(np.concatenate([cloud.forget, cloud.retain]), low, high)

    def _ask_neighbors(self, points: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Choose the images that each place of the land is told by, and their weights."""
        self.mesh = np.meshgrid(*(np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True)))
        places = np.stack(self.mesh, axis=-1)[:, :, None]
        distance = (((places - points) / (high - low)) ** 2).sum(axis=-1)
        self.neighbors = np.argpartition(distance, NEAREST, axis=-1)[..., :NEAREST]
        weights = 1.0 / (np.take_along_axis(distance, self.neighbors, axis=-1) + 1e-4)
        self.weights = weights / weights.sum(axis=-1, keepdims=True)

    def _marks(self, at: np.ndarray, marker: str, size: float, face: str) -> PathCollection:
        return scatter(
            self.cloud, at, marker=marker, s=size, facecolors=face, edgecolors=inks().ink, zorder=7
        )


class Bars:
    """A bar a model in percent, with marks beside it; moved by :meth:`show`."""

    def __init__(self, ax: Axes, title: str, label: str, marker: str) -> None:
        self.ax, self.marker, self.models = ax, marker, []  # type: ignore[var-annotated]
        ax.set_title(title, fontsize=9.5)
        ax.set(xlim=(0, 102), xlabel=label)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=False, axis="y")
        self.bars: list[Any] = []
        self.within: list[str] = []
        self.marks: list[PathCollection] = []
        self.texts: list[Any] = []

    def moving(self) -> list[Artist]:
        """Return bars, marks, the axis that both begin at, and numbers."""
        return [*self.bars, *self.marks, self.ax.spines["left"], *self.texts]

    def show(self, values: Mapping[str, float], marks: Mapping[str, np.ndarray]) -> None:
        """Show ``{model: percent}``, and other percentages ``{model: (n,)}`` as marks."""
        if list(values) != self.models:
            self._start(list(values))
        for y, (model, value) in enumerate(values.items()):
            self.bars[y].set_width(value)
            inside = value > ROOM_FOR_NUMBER
            self.texts[y].set(text=f"{value:.0f}", x=value - 1 if inside else value + 1)
            self.texts[y].set(ha="right" if inside else "left")
            self.texts[y].set(color=self.within[y] if inside else inks().quiet)
            heights = np.full(len(marks[model]), y + (0.43 if self.marker == "o" else 0.0))
            self.marks[y].set_offsets(np.column_stack([marks[model], heights]))

    def _start(self, models: list[str]) -> None:
        for artist in [*self.bars, *self.marks, *self.texts]:
            artist.remove()
        colors, rows = [look(m).color for m in models], range(len(models))
        self.models, size = models, 9 if self.marker == "o" else 260
        self.within = [legible(c) for c in colors]
        self.bars = list(self.ax.barh(rows, [0.0] * len(models), color=colors, height=0.62))
        plain = {"marker": self.marker, "s": size, "alpha": 0.55 if self.marker == "o" else 1.0}
        self.marks = [scatter(self.ax, np.zeros((1, 2)), color=c, **plain) for c in colors]
        self.texts = [self.ax.text(0.0, y, "", va="center", fontsize=8.5) for y in rows]
        self.ax.set_yticks(rows, [look(m).label for m in models])
        self.ax.set_ylim(len(models) - 0.4, -0.6)
