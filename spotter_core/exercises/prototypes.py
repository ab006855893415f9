"""What E2 is about: the prototype attack on a study's models, and the usual ways to miss it.

Layer 10: the numbers that the answers of the exercise are held against.
"""

from functools import cached_property

import torch
from torch import Generator, Tensor

from spotter_core.attacks import PrototypeAttack, draw_support
from spotter_core.attacks.prototype import row_scale
from spotter_core.exercises.sheet import MODELS
from spotter_core.measurements import relearning
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study
from spotter_core.training import predict

SHOTS, ALPHA = 5, 0.8
"""Of the attack that is to be written; at 1 nobody would notice a forgotten blend."""
VICTIM = "delete"


class Prototypes:
    """The attack on one cell's models, by the library.

    Args:
        study: Whose models are attacked.
        cell: Of one forgotten class.
    """

    def __init__(self, study: Study, cell: Cell) -> None:
        self.study, self.cell = study, cell

    # --- the whole grid ---------------------------------------------------------------------------

    @cached_property
    def grid(self) -> dict[tuple[str, str, float, int, float], float]:
        """Accuracy regained by model, metric, scale (0 is unit length), k and α; held-out images.

        The mean over the attacker's draws.
        """
        keys = ("metric", "scale", "shots", "alpha")
        held_out = [row for row in self.rows if row.split == "forget/test"]
        return {(row.method, *(row.at[k] for k in keys)): row.value for row in held_out}

    @cached_property
    def rows(self) -> list[Row]:
        """All that the library measures of the attack on the five models."""
        return relearning(self.study, self.cell, MODELS)

    def price(self, model: str) -> float:
        """Return the accuracy on the other classes after the attack that replaces the row."""
        at = {"metric": "cosine", "scale": 0.0, "shots": SHOTS, "alpha": 1.0}
        return next(
            row.value
            for row in self.rows
            if (row.method, row.split) == (model, "retain/test") and row.at == at
        )

    def regained(self, model: str, shots: int, alpha: float, scale: float = 0.0) -> float:
        """Return the accuracy that the cosine attack regains."""
        return self.grid[model, "cosine", scale, shots, alpha]

    def best(self, model: str, shots: int) -> tuple[float, float]:
        """Return the best accuracy over α, and the smallest α that reaches it."""
        alphas = self.study.profile.alphas
        values = [self.regained(model, shots, a) for a in alphas]
        return max(values), alphas[values.index(max(values))]

    def enough(self, model: str, share: float = 0.5) -> int | None:
        """Return the smallest k on the grid that regains a share of the class at the best α."""
        found = [k for k in self.study.profile.shots if self.best(model, k)[0] >= share]
        return min(found, default=None)

    # --- the one attack that is written by hand ---------------------------------------------------

    @cached_property
    def chosen(self) -> Tensor:
        """The attacker's images, as indices into the forget training images."""
        labels = self.study.part(self.cell, "forget/train").labels
        return draw_support(labels, self.cell.forget, SHOTS, Generator().manual_seed(0))[0]

    @cached_property
    def features(self) -> Tensor:
        """``(k, D)`` features of these images in the victim."""
        pool = self.study.part(self.cell, "forget/train")
        return predict(self.study.model(self.cell, VICTIM), pool.images[self.chosen]).features.cpu()

    def attacked(self, alpha: float = ALPHA) -> Classifier:
        """Return the victim as the library attacks it."""
        pool = self.study.part(self.cell, "forget/train")
        attack = PrototypeAttack(shots=SHOTS, alpha=alpha)
        victim, draw = self.study.model(self.cell, VICTIM), Generator().manual_seed(0)
        return attack(victim, pool.pixels(), pool.labels, self.cell.forget, generator=draw)

    def head(self, model: Classifier) -> tuple[Tensor, float]:
        """Return the forgotten class's row and bias."""
        (own,) = self.cell.forget
        bias = model.head.bias
        shift = 0.0 if bias is None else float(bias.detach()[own])
        return model.head.weight.detach()[own].cpu(), shift

    def score(self, model: Classifier, where: str, *, without: Tensor | None = None) -> float:
        """Return a model's accuracy on a part, or on what of it the attacker does not hold."""
        part = self.study.part(self.cell, where)
        logits, labels = predict(model, part.images).logits, part.labels
        keep = torch.ones(len(labels), dtype=torch.bool)
        if without is not None:
            keep[without] = False
        return accuracy(logits[keep], labels[keep])

    # --- rows' lengths ----------------------------------------------------------------------------

    def row_length(self, model: str) -> float:
        """Return the mean length of the retained rows."""
        return row_scale(self.study.model(self.cell, model).head.weight, self.cell.forget, 1.0)
