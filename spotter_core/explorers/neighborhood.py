"""The epsilon-neighborhood, to be walked through: method, image, direction, radius, place.

Layer 10.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from cachetools import LRUCache

from spotter_core.explorers.frontend import after_a_pause
from spotter_core.explorers.stage import Stage
from spotter_core.metrics import over_unlearning
from spotter_core.neighborhoods import runner_up
from spotter_core.plots.slice_panels import SlicePanels
from spotter_core.plots.style import YARDSTICKS, look, screen_figure
from spotter_core.profiles import Cell
from spotter_core.runtime import seeded_generator
from spotter_core.settings import scaled
from spotter_core.slices import (
    Plane,
    SliceView,
    as_pictures,
    best_answers,
    boundary_plane,
    forget_margin,
    nearest,
    typical,
    view_slice,
)
from spotter_core.study import Study
from spotter_core.training import predict
from spotter_core.workshop import fixed_sample

REACH = 3.5
"""Half the side of a slice, in radii of the headline's neighborhood."""
FINEST, COARSEST = 41, 15
"""Points a side of a slice, odd so that the forget image is one of them.

What a still picture has, and the least that is readable."""
PATIENCE = 0.15
"""Seconds that the networks' answers may take once a hand rests; a moving one gets coarse ones."""
COUNTED = 256
"""Held-out forget images that OU@epsilon is averaged over at most, so that a slider answers."""
RUNNER_UP, NOISE = "runner-up", "random noise"
"""Directions of the second axis; every other one is a class's name."""
NAMED = 20
"""Classes whose nearest image is offered as a direction; of more, the runner-up's alone is."""


class Neighborhood:
    """What the explorer shows, from the study's models; remembers what it was asked.

    Args:
        study: Its models, data and headline neighborhood.
        cell: Forget classes and seed.
        resolution: Points a side of a slice.

    Raises:
        ValueError: If the headline neighborhood has no epsilon, such as a Gaussian one.
    """

    def __init__(self, study: Study, cell: Cell, *, resolution: int = FINEST) -> None:
        self.study, self.cell, self.resolution = study, cell, resolution
        self.original = study.model(cell, "original")
        self.samples = study.part(cell, "forget/test")
        self.counted = fixed_sample(self.samples, COUNTED, "explorer", cell.classes)
        self.retained = study.split(cell).retain.train
        self.near: Any = study.neighborhood(study.profile.headline)
        if not hasattr(self.near, "epsilon"):
            raise ValueError(
                f"the headline neighborhood must have a radius epsilon, got {self.near}: put one "
                f"that has first in profile {study.profile.name!r}"
            )
        logits = study.predictions(cell, "original", "forget/test").logits
        self.order = forget_margin(logits, cell.forget).argsort().tolist()
        self.typical = self.order.index(typical(logits, cell.forget))
        self._views: LRUCache[Any, SliceView] = LRUCache(256)
        self._planes: LRUCache[Any, Plane] = LRUCache(64)  # three images each
        self._near: LRUCache[float, tuple[torch.Tensor, torch.Tensor]] = LRUCache(2)
        self._damage: dict[tuple[float, str], float] = {}

    @property
    def directions(self) -> list[str]:
        """Names of the second axis's directions: the runner-up, a class by name, noise."""
        names = self.study.dataset.class_names
        kept = [n for c, n in enumerate(names) if c not in self.cell.forget]
        return [RUNNER_UP, *(kept if len(names) <= NAMED else []), NOISE]

    @property
    def epsilons(self) -> list[float]:
        """Radii to choose from, up to three times the headline's."""
        return [self.near.epsilon * (step / 10) for step in range(1, 31)]

    def image(self, place: int) -> torch.Tensor:
        """Return the forget image at ``place`` in the order of margins, floats in [0, 1]."""
        i = self.order[place]
        return self.samples.pixels(slice(i, i + 1))[0]

    def plane(self, place: int, direction: str) -> Plane:
        """Return the plane through the image at ``place`` in the order of margins."""
        key = (place, direction)
        if key not in self._planes:
            i = self.order[place]
            image, label = self.image(place), int(self.samples.labels[i])
            self._planes[key] = boundary_plane(
                self.original,
                image,
                label,
                self.cell.forget,
                epsilon=self.near.epsilon,
                towards=self._towards(image, direction),
                generator=seeded_generator("slice", self.cell, i),
            )
        return self._planes[key]

    def _towards(self, image: torch.Tensor, direction: str) -> torch.Tensor | None:
        if direction == NOISE:
            return None
        if direction == RUNNER_UP:
            wanted = int(runner_up(self.original, image[None], self.cell.forget))
        else:
            wanted = self.study.dataset.class_names.index(direction)
        others = self.retained.subset((self.retained.labels == wanted).nonzero().flatten()).pixels()
        return others[nearest(image, others)]

    def view(self, place: int, direction: str, method: str, *, coarse: bool = False) -> SliceView:
        """Return the slice as both yardsticks and ``method`` see it.

        Args:
            place: Of the image in the order of margins.
            direction: One of :attr:`directions`.
            method: Beside the yardsticks.
            coarse: Of :data:`COARSEST` points a side will do, if no finer one is there.
        """
        fine = (place, direction, method, self.resolution)
        key = (*fine[:3], COARSEST) if coarse and fine not in self._views else fine
        if key not in self._views:
            side = REACH * self.near.epsilon
            self._views[key] = view_slice(
                {m: self.study.model(self.cell, m) for m in dict.fromkeys((*YARDSTICKS, method))},
                self.plane(place, direction),
                self.cell.forget,
                epsilon=self.near.epsilon,
                reach=(-side, side),
                resolution=key[3],
            )
        return self._views[key]

    def damage(self, epsilon: float, method: str) -> float:
        """Return OU@epsilon over the held-out forget images, :data:`COUNTED` of them at most."""
        if (epsilon, method) not in self._damage:
            images, before = self._neighbors(epsilon)
            after = predict(self.study.model(self.cell, method), images).logits
            self._damage[epsilon, method] = over_unlearning(before, after, self.cell.forget).item()
        return self._damage[epsilon, method]

    def _neighbors(self, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return points near the counted images, and the original's ``(N, C)`` logits there."""
        if epsilon not in self._near:
            chosen = self.counted
            draw = seeded_generator(self.study.profile.dataset, self.cell, "near", "forget/test")
            images = scaled(self.near, epsilon)(
                self.original, chosen.pixels(), chosen.labels, self.cell.forget, generator=draw
            )
            self._near[epsilon] = images, predict(self.original, images).logits
        return self._near[epsilon]

    def fit_resolution(self) -> None:
        """Choose as many points a side as three networks answer within :data:`PATIENCE`."""
        trial = self.plane(self.typical, RUNNER_UP).points(torch.linspace(-1, 1, 256).tolist())
        predict(self.original, trial)  # the first pass pays for what later ones have
        start = time.perf_counter()
        predict(self.original, trial)
        rate = len(trial) / (time.perf_counter() - start)
        fits = int((rate * PATIENCE / 3) ** 0.5)
        self.resolution = max(COARSEST, min(FINEST, fits - 1 + fits % 2))


class NeighborhoodExplorer:
    """Slices of the original, the oracle and one method; see :func:`explore_neighborhood`."""

    def __init__(self, numbers: Neighborhood, methods: Sequence[str]) -> None:
        self.numbers, self.methods = numbers, list(methods)
        self.method, self.place, self.direction = self.methods[0], numbers.typical, RUNNER_UP
        self.epsilon, self.along, self.across = numbers.near.epsilon, numbers.near.epsilon, 0.0
        self.figure = screen_figure(9.8, 5.2)
        names = numbers.study.dataset.class_names
        self.panels = SlicePanels(self.figure, 1 + len(YARDSTICKS), names)
        self.moving = False  # a moving hand gets coarse slices
        self.stage = Stage(self.figure, self.panels.moving, self.panels.changing)

    def _view(self) -> SliceView:
        where = (self.place, self.direction, self.method)
        return self.numbers.view(*where, coarse=self.moving)

    def draw(self) -> None:
        """Show the slice, the radius and the place that are chosen."""
        view = self._view()
        picture = as_pictures(self.numbers.image(self.place)[None])[0]
        count = f"{self.place + 1} of {len(self.numbers.order)} by margin"
        self.panels.show_view(view, picture, count, toward(self.direction))
        self._radius()
        self._place()

    def _radius(self) -> None:
        view = self._view()
        overall = {m: self.numbers.damage(self.epsilon, m) for m in view.answers}
        self.panels.show_radius(view, self.epsilon, overall, len(self.numbers.counted))

    def _place(self) -> None:
        plane, names = self._plane(), self.numbers.study.dataset.class_names
        image = plane.points([self.along], [self.across])
        shown = dict.fromkeys((*YARDSTICKS, self.method))
        models = {m: self.numbers.study.model(self.numbers.cell, m) for m in shown}
        answers = {
            m: f"{names[int(c[0])]} ({float(p[0]):.2f})"
            for m, (c, p) in best_answers(models, image).items()
        }
        self.panels.show_place(self.along, self.across, as_pictures(image)[0], answers)

    def _plane(self) -> Plane:
        return self.numbers.plane(self.place, self.direction)

    def controls(self) -> Any:
        """Return the controls, wired to the picture; a click into a panel moves the diamond."""
        import ipywidgets as w

        self.numbers.fit_resolution()
        labels = [(look(m).label, m) for m in self.methods]
        last = len(self.numbers.order)
        reach = REACH * self.numbers.near.epsilon
        self.moved = {
            "method": w.Dropdown(options=labels, value=self.method, description="method"),
            "direction": w.Dropdown(options=self.numbers.directions, description="upwards"),
            "place": w.IntSlider(self.place + 1, 1, last, description="image"),
            "epsilon": w.SelectionSlider(
                options=[(f"{e:g}", e) for e in self.numbers.epsilons],
                value=self.epsilon,
                description="ε",
            ),
            "along": w.FloatSlider(
                self.along,
                min=-reach,
                max=reach,
                step=reach / 35,
                description="walk",
                readout_format=".3g",
            ),
        }
        for name, widget in self.moved.items():
            widget.observe(partial(self._move, name), names="value")
        self._rest = after_a_pause(self._refine)
        self.figure.canvas.mpl_connect("button_press_event", self._click)
        rows = [self.moved[n] for n in ("method", "direction")]
        sliders = [self.moved[n] for n in ("place", "epsilon", "along")]
        return w.VBox([w.HBox(rows), w.HBox(sliders)])

    def _move(self, name: str, change: dict[str, Any]) -> None:
        value = change["new"]
        setattr(self, name, value - 1 if name == "place" else value)
        if name == "epsilon":
            self._radius()
            self.stage.move()
        elif name == "along":
            self._place()
            self.stage.move()
        else:
            self.moving = True
            self.draw()
            self.stage.change()
            self._rest()

    def _refine(self) -> None:
        self.moving = False
        self.draw()
        self.stage.change()

    def _click(self, event: Any) -> None:
        if event.inaxes in self.panels.grid.flat:
            self.across = float(event.ydata)
            self.moved["along"].value = float(event.xdata)  # the slider goes along, and draws
            self._place()  # where it stood there already
            self.stage.move()


def toward(direction: str) -> str:
    """Return what a direction leads to, in words."""
    if direction == NOISE:
        return NOISE
    kind = "the runner-up" if direction == RUNNER_UP else f"class {direction}"
    return f"nearest image of {kind}"
