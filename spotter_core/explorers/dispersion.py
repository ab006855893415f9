"""The embedding, to be pointed at: two models beside each other, coloured by what one asks.

Layer 10.
"""

from functools import partial
from typing import Any

import numpy as np

from spotter_core.explorers.frontend import lately
from spotter_core.explorers.stage import Stage
from spotter_core.maps import EmbeddingMap
from spotter_core.metrics import over_unlearning
from spotter_core.plots.map_panels import MapPanels
from spotter_core.plots.style import look, screen_figure
from spotter_core.profiles import Cell
from spotter_core.slices import as_pictures
from spotter_core.study import Study
from spotter_core.training import Predictions, predict

COLORS = {"class": "class", "answer given": "answer", "damage": "damage", "method": "method"}


class Dispersion:
    """What the explorer shows: a map, and every model's answers on its images."""

    def __init__(self, study: Study, cell: Cell, seen: EmbeddingMap) -> None:
        self.study, self.cell, self.map = study, cell, seen
        count = len(seen.images)
        self.labels = seen.labels[:count].numpy()
        self.coordinates = {m: points[:count] for m, points in seen.coordinates.items()}
        self._answers: dict[str, Predictions] = {}
        self._values: dict[tuple[str, str], np.ndarray] = {}

    def answers(self, method: str) -> Predictions:
        """Return what a model says of the map's images, from one pass."""
        if method not in self._answers:
            model = self.study.model(self.cell, method)
            self._answers[method] = predict(model, self.map.images.images)
        return self._answers[method]

    def values(self, method: str, color: str) -> np.ndarray:
        """Return ``(N,)`` what the images are coloured by.

        Args:
            method: A model of the map.
            color: ``"damage"`` for nats in [0, ln 2]; else the class that the model answers.
        """
        if (method, color) not in self._values:
            if color == "damage":
                before, after = self.answers("original").logits, self.answers(method).logits
                found = over_unlearning(before, after, self.cell.forget, reduction="none")
            else:
                found = self.answers(method).logits.argmax(dim=1)
            self._values[method, color] = found.cpu().numpy()
        return self._values[method, color]

    def sentence(self, index: int, methods: tuple[str, str]) -> str:
        """Return what is to be said of one image: its class, and both models' answers."""
        names = self.study.dataset.class_names
        told = [f"a {names[self.labels[index]]}"]
        if self.labels[index] in self.cell.forget:
            told[0] += ", to be forgotten"
        for method in dict.fromkeys(methods):
            share, said = self.answers(method).logits[index].softmax(dim=0).max(dim=0)
            told.append(f"{look(method).label}: {names[int(said)]} ({float(share):.2f})")
            told.append(f"  OU here {float(self.values(method, 'damage')[index]):.3f}")
        return "\n".join(told)


class DispersionExplorer:
    """One map as two models see it; pointing at an image shows it."""

    def __init__(self, numbers: Dispersion) -> None:
        self.numbers = numbers
        found = list(numbers.coordinates)
        self.left, self.right = "original", found[-1]
        self.color, self.index = "class", int(np.isin(numbers.labels, numbers.cell.forget).argmax())
        self.figure = screen_figure(9.8, 4.5)
        names = numbers.study.dataset.class_names
        self.panels = MapPanels(
            self.figure, numbers.coordinates, numbers.labels, numbers.cell.forget, names
        )
        self.stage = Stage(self.figure, self.panels.moving)

    def draw(self) -> None:
        """Show both models' maps and the image that is chosen."""
        models = (self.left, self.right)
        values = {m: self.numbers.values(m, self.color) for m in models}
        self.panels.show(models, self.color, values)
        self._point()

    def _point(self) -> None:
        images = self.numbers.map.images
        picture = as_pictures(images.pixels(slice(self.index, self.index + 1)))[0]
        said = self.numbers.sentence(self.index, (self.left, self.right))
        self.panels.show_image(self.index, picture, said)

    def controls(self) -> Any:
        """Return the controls; the pointer over a panel, or a click, chooses an image."""
        import ipywidgets as w

        choices = [(look(m).label, m) for m in self.numbers.coordinates]
        self.moved = {
            "left": w.Dropdown(options=choices, value=self.left, description="left"),
            "right": w.Dropdown(options=choices, value=self.right, description="right"),
            "color": w.Dropdown(options=list(COLORS.items()), description="colour by"),
        }
        for name, widget in self.moved.items():
            widget.observe(partial(self._move, name), names="value")
        self._redraw = lately(self._show_point)
        for event in ("motion_notify_event", "button_press_event"):
            self.figure.canvas.mpl_connect(event, self._pointed)
        hint = w.Label("Point at an image to see it.")
        return w.VBox([w.HBox(list(self.moved.values())), hint])

    def _move(self, name: str, change: dict[str, Any]) -> None:
        setattr(self, name, change["new"])
        self.draw()
        self.stage.draw()

    def _pointed(self, event: Any) -> None:
        if event.inaxes is None:
            return
        index = self.panels.nearest(event.inaxes, event.xdata, event.ydata)
        if index is not None and index != self.index:
            self.index = index
            self._redraw()

    def _show_point(self) -> None:
        self._point()
        self.stage.move()
