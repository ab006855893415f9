"""The live run's picture: what is lost as a method unlearns, and where the features go.

Layer 9. Curves grow by a point at a time; both yardsticks are lines across.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from spotter_core.plots.embedding import scatter
from spotter_core.plots.style import LN_2, inks, look, on_paper

if TYPE_CHECKING:  # the numbers come with the call; no torch is needed to draw them
    from spotter_core.trajectory import Moment

ROOM = 0.1
"""What an axis is given below a value that would leave it, in the unit of a :class:`Moment`."""
MEASURES = {
    "forget_accuracy": ("forget accuracy (%)\nlower: forgotten", 100.0, (-4.0, 104.0)),
    "retain_accuracy": ("retain accuracy (%)\nhigher is better", 100.0, (None, 104.0)),
    "over_unlearning": ("OU near the forget\nimages (nats), lower is better", 1.0, (-0.02, LN_2)),
    "mean_cosine": ("mean cosine of forget\nimages, lower: scattered", 1.0, (-0.05, 1.02)),
}


class RunPanels:
    """Four measures, the losses and the features; grows by :meth:`add`."""

    @on_paper
    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        figure.set_layout_engine("none")
        spec = figure.add_gridspec(2, 3, width_ratios=[1.0, 1.0, 1.25])
        spec.update(left=0.075, right=0.985, top=0.9, bottom=0.115, wspace=0.42, hspace=0.42)
        axes = [figure.add_subplot(spec[i // 2, i % 2]) for i in range(4)]
        self.axes = dict(zip(MEASURES, axes, strict=True))
        self.losses = figure.add_subplot(spec[1, 2])
        self.cloud = figure.add_subplot(spec[0, 2])
        for ax in (*axes[2:], self.losses):
            ax.set_xlabel("epochs done")

    @on_paper
    def start(
        self,
        method: str,
        epochs: int,
        yardsticks: Mapping[str, Moment],
        places: np.ndarray,
        labels: np.ndarray,
        forget_classes: Sequence[int],
    ) -> None:
        """Begin another run.

        Args:
            method: Whose colour the curves have.
            epochs: Of the whole run; the axes end there.
            yardsticks: The original and the oracle, lines across.
            places: ``(N, 2)`` features of the original in the plane of the picture.
            labels: ``(N,)`` classes.
            forget_classes: Drawn on top.
        """
        style = look(method)
        self.method, self.epochs = method, epochs
        self.seen: list[Moment] = []
        self.curves = {}
        for name, (label, factor, (low, high)) in MEASURES.items():
            ax = self.axes[name]
            ax.clear()
            for yardstick, at in yardsticks.items():
                line = look(yardstick).line() | {"marker": "", "linewidth": 1.2}
                ax.axhline(factor * getattr(at, name), **line)
            self.curves[name] = ax.plot([], [], **(style.line() | {"markersize": 3.5}))[0]
            lowest = min(factor * getattr(at, name) for at in yardsticks.values())
            ax.set(xlim=(0, epochs), ylim=(lowest - factor * ROOM if low is None else low, high))
            ax.set_ylabel(label, fontsize=8)
            ax.tick_params(labelsize=8)
        self.axes["forget_accuracy"].legend(loc="center right", fontsize=7.5)
        for name in ("over_unlearning", "mean_cosine"):
            self.axes[name].set_xlabel("epochs done", fontsize=8)
        self._start_losses(epochs)
        self._start_cloud(places, labels, forget_classes)

    def _start_losses(self, epochs: int) -> None:
        self.losses.clear()
        self.lines: dict[str, Any] = {}
        self.losses.set_xlim(0, epochs)
        self.losses.set_xlabel("epochs done", fontsize=8)
        self.losses.set_ylabel("training losses\n(no common unit)", fontsize=8)
        self.losses.tick_params(labelsize=8)

    def _start_cloud(
        self, places: np.ndarray, labels: np.ndarray, forget_classes: Sequence[int]
    ) -> None:
        self.cloud.clear()
        forgotten = np.isin(labels, forget_classes)
        crowd = inks().crowd
        greys = [crowd[c % len(crowd)] for c in labels[~forgotten]]
        options: dict[str, Any] = {"linewidths": 0}
        self.forgotten = forgotten
        self.retained = scatter(self.cloud, places[~forgotten], s=7, c=greys, **options)
        self.dots = scatter(self.cloud, places[forgotten], s=12, c=inks().forget[0], **options)
        self.half = 0.0
        self.cloud.set(xticks=[], yticks=[])
        self._hold(places)
        self.cloud.grid(visible=False)
        self.cloud.spines[:].set_visible(True)
        self.cloud.set_ylabel("features, in the\noriginal's plane", fontsize=8, color=inks().quiet)

    @on_paper
    def add(self, at: Moment, places: np.ndarray) -> None:
        """Add one moment to all curves and move the features to ``(N, 2)`` places."""
        self.seen.append(at)
        epochs = [m.epoch for m in self.seen]
        for name, (_, factor, _) in MEASURES.items():
            values = [factor * getattr(m, name) for m in self.seen]
            self.curves[name].set_data(epochs, values)
            if min(values) < self.axes[name].get_ylim()[0]:
                self.axes[name].set_ylim(bottom=min(values) - factor * ROOM)
        for name, value in at.losses.items():
            if name not in self.lines:
                shades = (inks().ink, *inks().forget[1:], inks().forget[0])  # losses are no methods
                shade = shades[len(self.lines) % len(shades)]
                told = name.replace("_", " ")
                self.lines[name] = self.losses.plot([], [], "-", color=shade, label=told)[0]
                self.losses.legend(loc="upper right", fontsize=7, ncols=2)
            line = self.lines[name]
            line.set_data([*line.get_xdata(), at.epoch], [*line.get_ydata(), value])
        if self.lines:
            self.losses.relim()
            self.losses.autoscale_view(scalex=False)
        self._hold(places)
        self.retained.set_offsets(places[~self.forgotten])
        self.dots.set_offsets(places[self.forgotten])
        title = f"{look(self.method).label}\nepoch {at.epoch} of {self.epochs}"
        self.cloud.set_title(title, fontsize=9)

    @on_paper
    def tell_divergence(self) -> None:
        """Say above the features that the run has diverged, and after which epoch."""
        last = self.seen[-1].epoch if self.seen else 0
        title = f"{look(self.method).label}\ndiverged after epoch {last}"
        self.cloud.set_title(title, fontsize=9, color=inks().bad)

    def _hold(self, places: np.ndarray) -> None:
        """Widen the features' panel, if it must be, to hold ``(N, 2)`` places."""
        self.half = max(self.half, 1.15 * float(np.abs(places).max()))
        self.cloud.set(xlim=(-self.half, self.half), ylim=(-self.half, self.half))
