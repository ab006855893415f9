"""An unlearning run, to be watched: started, slowed down, paused and ended by hand.

Layer 10.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from spotter_core.explorers.background import Work
from spotter_core.explorers.relearning import Relearning
from spotter_core.explorers.stage import Stage
from spotter_core.models import Classifier
from spotter_core.plots.run_panels import RunPanels
from spotter_core.plots.style import YARDSTICKS, look, screen_figure
from spotter_core.profiles import Cell
from spotter_core.study import Study
from spotter_core.training import Diverged, predict
from spotter_core.trajectory import Moment, follow, moment

MOMENTS = 25
"""Looks at a run at most, spread evenly over its epochs."""
PACES = {"as fast as it goes": 0.0, "slow": 0.3, "very slow": 1.0}
"""Seconds to wait after each look."""


class Run:
    """What a live run needs of a study: yardsticks, and a plane for the features."""

    def __init__(self, study: Study, cell: Cell) -> None:
        self.study, self.cell = study, cell
        plane = Relearning(study, cell)
        self.axes = plane.axes("original")
        self.images = torch.cat([plane.forget.pixels(), plane.retain.pixels()])
        self.labels = torch.cat([plane.forget.labels, plane.retain.labels]).cpu().numpy()
        kept = F.normalize(plane.seen("original", "retain").features, dim=1)
        self.middle = kept.mean(dim=0)
        self.yardsticks = {
            m: moment(study, cell, study.model(cell, m), epoch=0, losses={}) for m in YARDSTICKS
        }

    def places(self, network: Classifier) -> np.ndarray:
        """Return ``(N, 2)`` features at unit length in the plane of the original."""
        features = F.normalize(predict(network, self.images).features, dim=1)
        found: np.ndarray = ((features - self.middle) @ self.axes.T).cpu().numpy()
        return found

    def epochs(self, method: str) -> int:
        """Return the most epochs that a method of the profile takes; 0 if it has none."""
        return int(getattr(self.study.method(method), "epochs", 0))

    def follow(self, method: str, see: Callable[[Moment, np.ndarray], None]) -> None:
        """Run a method and look at its start, and then :data:`MOMENTS` times at most.

        Raises:
            Diverged: If a loss, or a feature that would be shown, is NaN or infinite.
        """

        def look_at(at: Moment, network: Classifier) -> None:
            places = self.places(network)
            if not np.isfinite(places).all():  # a loss of the epoch was finite, the step was not
                raise Diverged(f"{method}: features are not finite after epoch {at.epoch}")
            see(at, places)

        every = max(1, math.ceil(self.epochs(method) / MOMENTS))
        follow(self.study, self.cell, method, look_at, every=every)


class LiveRun:
    """A method at work: losses, accuracies, OU, dispersion and features by epoch.

    Raises:
        ValueError: If no method has epochs.
    """

    def __init__(self, numbers: Run, methods: Sequence[str]) -> None:
        self.numbers = numbers
        self.methods = [m for m in methods if numbers.epochs(m)]
        if not self.methods:
            raise ValueError(
                f"methods must name one that takes epochs, got {list(methods)}: there is no run to "
                "watch; try ['spotter']"
            )
        self.method, self.pace = self.methods[0], 0.0
        self.figure = screen_figure(9.8, 4.9)
        self.panels = RunPanels(self.figure)
        self.stage = Stage(self.figure, list)
        self.work: Work | None = None

    def _start(self) -> None:
        numbers = self.numbers
        original = numbers.study.model(numbers.cell, "original")
        self.panels.start(
            self.method,
            numbers.epochs(self.method),
            numbers.yardsticks,
            numbers.places(original),
            numbers.labels,
            numbers.cell.forget,
        )

    def draw(self) -> None:
        """Run the method to its end and show the whole of it: what a still picture needs."""
        self._start()
        try:
            self.numbers.follow(self.method, self.panels.add)
        except Diverged:
            self.panels.tell_divergence()

    def controls(self) -> Any:
        """Return the controls; the run is begun by hand."""
        import ipywidgets as w

        self._start()
        labels = [(look(m).label, m) for m in self.methods]
        self.moved = {
            "method": w.Dropdown(options=labels, value=self.method, description="method"),
            "pace": w.Dropdown(options=list(PACES.items()), description="pace"),
        }
        self.buttons = {
            "start": w.Button(description="Start", button_style="primary", icon="play"),
            "pause": w.Button(description="Pause", disabled=True, icon="pause"),
            "cancel": w.Button(description="Cancel", disabled=True, icon="stop"),
        }
        self.bar = w.IntProgress(min=0, max=1, layout={"width": "12em"})
        self.said = w.Label("")
        self.moved["method"].observe(self._choose, names="value")
        self.moved["pace"].observe(self._pace, names="value")
        for name, act in (("start", self._begin), ("pause", self._pause), ("cancel", self._end)):
            self.buttons[name].on_click(act)
        rows = [w.HBox(list(self.moved.values()))]
        rows.append(w.HBox([*self.buttons.values(), self.bar, self.said]))
        return w.VBox(rows)

    def _choose(self, change: dict[str, Any]) -> None:
        self.method = change["new"]
        self._start()
        self.stage.draw()

    def _pace(self, change: dict[str, Any]) -> None:
        self.pace = change["new"]

    def _begin(self, _: Any) -> None:
        if self.work is not None and self.work.busy:  # a second click, before the first was seen
            return
        self._start()
        self.bar.max = self.numbers.epochs(self.method)
        self.work = Work(self._act, on_news=self._add, on_state=self._state)
        self.work.start()

    def _act(self, work: Work) -> None:
        def see(at: Moment, places: np.ndarray) -> None:
            work.tell((at, places))
            work.checkpoint(self.pace)

        self.numbers.follow(self.method, see)

    def _add(self, news: tuple[Moment, np.ndarray]) -> None:
        self.panels.add(*news)
        self.bar.value = news[0].epoch
        self.stage.draw()

    def _pause(self, _: Any) -> None:
        if self.work is not None:
            (self.work.resume if self.work.state == "paused" else self.work.pause)()

    def _end(self, _: Any) -> None:
        if self.work is not None:
            self.work.cancel()

    def _state(self, work: Work) -> None:
        self.moved["method"].disabled = self.buttons["start"].disabled = work.busy
        self.buttons["pause"].disabled = self.buttons["cancel"].disabled = not work.busy
        self.buttons["pause"].description = "Go on" if work.state == "paused" else "Pause"
        told = {"running": "", "ready": "", "failed": f"failed: {work.error}"}
        self.said.value = told.get(work.state, work.state)
        if isinstance(work.error, Diverged):
            self.panels.tell_divergence()
            self.stage.draw()
