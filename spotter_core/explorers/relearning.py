"""Prototypical relearning, to be tried by hand: method, k, alpha, row, draw of the images.

Layer 10.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core.attacks import PrototypeAttack, PrototypeSweep, draw_support
from spotter_core.data import ImageSet
from spotter_core.explorers.stage import Stage
from spotter_core.metrics import accuracy
from spotter_core.plots.relearning_panels import Cloud, Regained, RelearningPanels
from spotter_core.plots.style import YARDSTICKS, look, screen_figure
from spotter_core.profiles import Cell
from spotter_core.slices import forget_margin
from spotter_core.study import Study
from spotter_core.training import Predictions, predict
from spotter_core.workshop import fixed_sample

COUNTED = 400
"""Test images of either side at most, so that a slider answers."""
DRAWS = 20
"""Draws of the attacker's images behind the mean that stands beside the one shown."""
ROWS = {
    "unit length, as published": ("cosine", None),
    "as long as the other rows": ("cosine", 1.0),
    "nearest mean (l2)": ("l2", None),
}
"""How the prototype becomes a row of the head: metric and scale of the attack."""


class Relearning:
    """What the explorer shows of a cell, from cached predictions."""

    def __init__(self, study: Study, cell: Cell) -> None:
        self.study, self.cell = study, cell
        self.pool = study.part(cell, "forget/train")
        self.forget = fixed_sample(study.part(cell, "forget/test"), COUNTED, "explorer", cell)
        self.retain = fixed_sample(study.part(cell, "retain/test"), COUNTED, "explorer", cell)
        self._seen: LRUCache[tuple[str, str], Predictions] = LRUCache(64)
        self._axes: dict[str, Tensor] = {}

    @property
    def most(self) -> int:
        """The most images that an attacker can hold of each class, 20 at most."""
        counts = [int((self.pool.labels == c).sum()) for c in self.cell.forget]
        return min(20, *counts)

    def seen(self, method: str, side: str) -> Predictions:
        """Return features and logits of a model on ``"pool"``, ``"forget"`` or ``"retain"``."""
        if (method, side) not in self._seen:
            samples: ImageSet = getattr(self, side)
            model = self.study.model(self.cell, method)
            self._seen[method, side] = predict(model, samples.images)
        return self._seen[method, side]

    def attacked(self, method: str, attack: PrototypeAttack, seed: int) -> dict[str, Tensor]:
        """Return the logits of the attacked model on both sides, by side."""
        draw = Generator().manual_seed(seed)
        pool, model = self.pool, self.study.model(self.cell, method)
        head = attack(model, pool.pixels(), pool.labels, self.cell.forget, generator=draw).head
        with torch.no_grad():
            return {s: head(self.seen(method, s).features) for s in ("forget", "retain")}

    def regained(self, method: str, attack: PrototypeAttack, seed: int) -> Regained:
        """Return what an attack brings back, in this draw and in :data:`DRAWS` others."""
        logits = self.attacked(method, attack, seed)
        sweep = PrototypeSweep(
            (attack.shots,), (attack.alpha,), tuple(range(DRAWS)), attack.metric, attack.scale
        )
        model, pool, target = (
            self.study.model(self.cell, method),
            self.seen(method, "pool"),
            "forget",
        )
        draws = sweep(
            model.head,
            pool.features,
            self.pool.labels,
            self.seen(method, target),
            self.forget.labels,
            self.cell.forget,
        )
        return Regained(
            forget=accuracy(logits["forget"], self.forget.labels),
            draws=draws.flatten().tolist(),
            retain=accuracy(logits["retain"], self.retain.labels),
            before=accuracy(self.seen(method, "retain").logits, self.retain.labels),
        )

    def axes(self, method: str) -> Tensor:
        """Return ``(2, D)`` orthonormal axes of the picture, which no attack moves.

        The first leads from the mean of the retained classes to the forget classes', the second
        along the widest spread of the retained classes' means.
        """
        if method not in self._axes:
            unit = {
                s: F.normalize(self.seen(method, s).features, dim=1) for s in ("forget", "retain")
            }
            labels = self.retain.labels
            means = torch.stack([unit["retain"][labels == c].mean(0) for c in labels.unique()])
            first = F.normalize(unit["forget"].mean(0) - means.mean(0), dim=0)
            rest = means - means.mean(0)
            rest = rest - (rest @ first)[:, None] * first
            second = torch.linalg.svd(rest, full_matrices=False).Vh[0]
            self._axes[method] = torch.stack([first, second * second.sum().sign()])
        return self._axes[method]

    def cloud(self, method: str, attack: PrototypeAttack, seed: int) -> Cloud:
        """Return the embedding of one model under attack, in the plane of :meth:`axes`."""
        logits, axes = self.attacked(method, attack, seed), self.axes(method)
        support = draw_support(
            self.pool.labels, self.cell.forget, attack.shots, Generator().manual_seed(seed)
        )
        held = self.seen(method, "pool").features[support]  # (F, K, D)
        prototypes = F.normalize(held.mean(dim=1), dim=1)

        def place(features: Tensor) -> np.ndarray:
            found: np.ndarray = (F.normalize(features, dim=-1) @ axes.T).cpu().numpy()
            return found.reshape(-1, 2)

        return Cloud(
            forget=place(self.seen(method, "forget").features),
            retain=place(self.seen(method, "retain").features),
            retain_labels=self.retain.labels.cpu().numpy(),
            forget_margin=forget_margin(logits["forget"], self.cell.forget).cpu().numpy(),
            retain_margin=forget_margin(logits["retain"], self.cell.forget).cpu().numpy(),
            support=place(held),
            prototypes=place(prototypes),
        )


class RelearningExplorer:
    """One model's embedding under attack, and what comes back beside both yardsticks."""

    def __init__(self, numbers: Relearning, methods: Sequence[str]) -> None:
        self.numbers, self.methods = numbers, list(methods)
        self.method, self.shots, self.alpha, self.seed = self.methods[0], 5, 1.0, 0
        self.shots = min(self.shots, numbers.most)
        self.row = next(iter(ROWS))
        self.figure = screen_figure(9.8, 4.6)
        names = numbers.study.dataset.class_names
        self.panels = RelearningPanels(self.figure, names, numbers.cell.forget)
        self.stage = Stage(self.figure, self.panels.moving)

    @property
    def attack(self) -> PrototypeAttack:
        """The attack that the controls describe."""
        metric, scale = ROWS[self.row]
        return PrototypeAttack(self.shots, self.alpha, metric, scale)  # type: ignore[arg-type]

    def draw(self) -> None:
        """Show the attack that is chosen on the model that is chosen."""
        attack, shown = self.attack, dict.fromkeys((*YARDSTICKS, self.method))
        self.panels.show(
            look(self.method).label,
            self.numbers.cloud(self.method, attack, self.seed),
            {m: self.numbers.regained(m, attack, self.seed) for m in shown},
        )

    def controls(self) -> Any:
        """Return the controls, wired to the picture."""
        import ipywidgets as w

        models = dict.fromkeys((*self.methods, *YARDSTICKS))
        choices = [(look(m).label, m) for m in models]
        most = self.numbers.most
        self.moved = {
            "method": w.Dropdown(options=choices, value=self.method, description="model"),
            "row": w.Dropdown(options=list(ROWS), value=self.row, description="new row"),
            "shots": w.IntSlider(self.shots, 1, most, description="images k"),
            "alpha": w.FloatSlider(self.alpha, min=0.0, max=1.0, step=0.05, description="blend α"),
            "seed": w.IntSlider(self.seed, 0, DRAWS - 1, description="draw"),
        }
        for name, widget in self.moved.items():
            widget.observe(partial(self._move, name), names="value")
        rows = [self.moved[n] for n in ("method", "row")]
        return w.VBox([w.HBox(rows), w.HBox([self.moved[n] for n in ("shots", "alpha", "seed")])])

    def _move(self, name: str, change: dict[str, Any]) -> None:
        setattr(self, name, change["new"])
        self.draw()
        if name == "method":
            self.stage.draw()
        else:
            self.stage.move()
