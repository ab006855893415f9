"""Prototypical relearning, to be tried by hand: method, k, alpha, row, draw of the images.

Layer 10.
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core.attacks import PrototypeAttack, PrototypeSweep, draw_support
from spotter_core.attacks.prototype import rewrite_rows
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
MOST = 20
"""Images of each forget class that the attacker holds at most, where there are as many."""
DRAWS = 20
"""Draws of the attacker's images to choose from; each is a dot beside the bar of the one shown."""
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
        self._attacked: LRUCache[Any, dict[str, Tensor]] = LRUCache(8)
        self._axes: dict[str, Tensor] = {}
        self._corners: dict[str, np.ndarray] = {}

    @property
    def most(self) -> int:
        """The most images that an attacker can hold of each class, :data:`MOST` at most."""
        counts = [int((self.pool.labels == c).sum()) for c in self.cell.forget]
        return min(MOST, *counts)

    def seen(self, method: str, side: str) -> Predictions:
        """Return features and logits of a model on ``"pool"``, ``"forget"`` or ``"retain"``."""
        if (method, side) not in self._seen:
            samples: ImageSet = getattr(self, side)
            model = self.study.model(self.cell, method)
            self._seen[method, side] = predict(model, samples.images)
        return self._seen[method, side]

    def attacked(self, method: str, attack: PrototypeAttack, seed: int) -> dict[str, Tensor]:
        """Return the attacked model's ``(N, C)`` logits, ``{"forget": ..., "retain": ...}``.

        As :class:`PrototypeAttack` would attack it, from features that were computed once.

        Args:
            method: Of the study, left as it is.
            attack: Shots, blend and row.
            seed: Of the draw of the attacker's images.
        """
        key = (method, attack, seed)
        if key not in self._attacked:  # picture and bars of a model ask for the same
            copied, held = copy.deepcopy(self.study.model(self.cell, method)), self._held(*key)
            with torch.no_grad():
                rewrite_rows(copied, self.cell.forget, held, attack)
                self._attacked[key] = {
                    s: copied.head(self.seen(method, s).features) for s in ("forget", "retain")
                }
        return self._attacked[key]

    def _held(self, method: str, attack: PrototypeAttack, seed: int) -> Tensor:
        """Return ``(F, K, D)`` features of the images that the attacker holds in a draw."""
        draw = Generator().manual_seed(seed)
        support = draw_support(self.pool.labels, self.cell.forget, attack.shots, draw)
        return self.seen(method, "pool").features[support]

    def regained(self, method: str, attack: PrototypeAttack, seed: int) -> Regained:
        """Return what an attack brings back in one draw, and in each of :data:`DRAWS`."""
        logits = self.attacked(method, attack, seed)
        sweep = PrototypeSweep(
            (attack.shots,), (attack.alpha,), tuple(range(DRAWS)), attack.metric, attack.scale
        )
        draws = sweep(
            self.study.model(self.cell, method).head,
            self.seen(method, "pool").features,
            self.pool.labels,
            self.seen(method, "forget"),
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
        along the widest spread of the retained classes' means; of the images, where only one class
        is retained.
        """
        if method not in self._axes:
            unit = {
                s: F.normalize(self.seen(method, s).features, dim=1) for s in ("forget", "retain")
            }
            labels = self.retain.labels
            means = torch.stack([unit["retain"][labels == c].mean(0) for c in labels.unique()])
            first = F.normalize(unit["forget"].mean(0) - means.mean(0), dim=0)
            spread = means if len(means) > 1 else unit["retain"]
            rest = spread - spread.mean(0)
            rest = rest - (rest @ first)[:, None] * first
            second = torch.linalg.svd(rest, full_matrices=False).Vh[0]
            second = F.normalize(second - (second @ first) * first, dim=0)
            self._axes[method] = torch.stack([first, second * (1.0 if second.sum() >= 0 else -1.0)])
        return self._axes[method]

    def place(self, method: str, features: Tensor) -> np.ndarray:
        """Return ``(N, 2)`` places of ``(..., D)`` features at unit length in the plane."""
        found: np.ndarray = (F.normalize(features, dim=-1) @ self.axes(method).T).cpu().numpy()
        return found.reshape(-1, 2)

    def corners(self, method: str) -> np.ndarray:
        """Return ``(2, 2)`` lowest and highest place of all that any attack can show of a model."""
        if method not in self._corners:
            held = torch.stack(
                [self._held(method, PrototypeAttack(self.most), seed) for seed in range(DRAWS)]
            )
            prototypes = held.cumsum(dim=2)  # (S, F, K, D): of all k at once, but for their length
            sides = [self.seen(method, s).features for s in ("forget", "retain")]
            shown = np.concatenate([self.place(method, f) for f in (*sides, held, prototypes)])
            self._corners[method] = np.stack([shown.min(axis=0), shown.max(axis=0)])
        return self._corners[method]

    def cloud(self, method: str, attack: PrototypeAttack, seed: int) -> Cloud:
        """Return the embedding of one model under attack, in the plane of :meth:`axes`."""
        logits, held = self.attacked(method, attack, seed), self._held(method, attack, seed)
        named = logits["forget"].argmax(dim=1) == self.forget.labels
        return Cloud(
            forget=self.place(method, self.seen(method, "forget").features),
            retain=self.place(method, self.seen(method, "retain").features),
            retain_labels=self.retain.labels.cpu().numpy(),
            named=named.cpu().numpy(),
            forget_margin=forget_margin(logits["forget"], self.cell.forget).cpu().numpy(),
            retain_margin=forget_margin(logits["retain"], self.cell.forget).cpu().numpy(),
            support=self.place(method, held),
            prototypes=self.place(method, held.mean(dim=1)),
            corners=self.corners(method),
        )


class RelearningExplorer:
    """One model's embedding under attack, and what comes back beside both yardsticks."""

    def __init__(self, numbers: Relearning, methods: Sequence[str]) -> None:
        self.numbers, self.methods = numbers, list(methods)
        self.method, self.alpha, self.seed = self.methods[0], 1.0, 0
        self.shots = min(5, numbers.most)
        self.row = next(iter(ROWS))
        self.figure = screen_figure(9.8, 4.6)
        names = numbers.study.dataset.class_names
        self.panels = RelearningPanels(self.figure, names, DRAWS)
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
