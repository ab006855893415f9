"""Spotter: forget, keep the neighborhood as it was, and scatter what is left of the class."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from spotter_core._checks import check_positive
from spotter_core.losses import SpotterLoss, SpotterTerms, dispersion_loss
from spotter_core.methods._base import DescentMethod, ForgetOnlyMethod, Reads, RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.methods.delete import Delete
from spotter_core.neighborhoods import BoundaryNeighborhood, Neighborhood
from spotter_core.training import Predictions, predict


@dataclass(frozen=True)
class SpotterTermsAround(DescentMethod):
    """Spotter's two protective terms around the plan of a base method.

    Attributes:
        lambda_1: Weight of L_u against L_o, in [0, 1].
        lambda_2: Weight of the dispersion term.
        neighborhood: Where L_o is distilled.
        twins: Perturbed copies of every forget sample; a step sees one of them, in turn.
        base: Whose loss on the forget samples L_u is; DELETE's is Spotter's own. What else the base
            method does (phases over retained samples, weights that it holds) stays as it is. Where
            it has no phase over the forget samples alone, the two terms make one.
    """

    lambda_1: float = 0.7
    lambda_2: float = 1.0
    neighborhood: Neighborhood = field(default_factory=BoundaryNeighborhood)
    twins: int = 1
    base: DescentMethod = field(default_factory=Delete)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(twins=self.twins)
        SpotterLoss((0,), lambda_1=self.lambda_1, lambda_2=self.lambda_2)  # refuses bad weights

    def plan(self, task: Task) -> Plan:
        """Return the base method's plan with the terms put into its phases over forget samples."""
        base = replace(self.base, epochs=self.epochs)  # what a base does may depend on how many
        plan = base.plan(task)
        around = self._protection(task)
        alone = around(Phase(task.forget, "forget", _no_loss))

        def phases(epoch: int) -> list[Phase]:
            own = plan.phases(epoch)
            found = [around(p) if p.side == "forget" else p for p in own]
            # first, lest batch-norm statistics of the forget images are what the epoch ends with
            return found if any(p.side == "forget" for p in own) else [alone, *found]

        return replace(plan, phases=phases)

    def _protection(self, task: Task) -> Callable[[Phase], Phase]:
        """Return what puts the terms into a phase; twins and their targets are made here, once."""
        original, forget_classes = task.original, task.forget_classes
        images, labels = task.forget.pixels(), task.forget.labels
        near = [
            self.neighborhood(original, images, labels, forget_classes, generator=task.generator)
            for _ in range(self.twins)
        ]
        near_targets = [predict(original, twin).logits for twin in near]
        objective = SpotterLoss(forget_classes, lambda_1=self.lambda_1, lambda_2=self.lambda_2)
        shown, asked = count(), count()  # steps so far, by those who ask for the twin of a step

        def around(phase: Phase) -> Phase:
            def inputs(index: Tensor) -> Tensor:
                return torch.cat([phase.show(index), near[next(shown) % self.twins][index]])

            def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
                twin, n = next(asked) % self.twins, len(index)
                own = Predictions(out.features[:n], out.logits[:n])
                losses = phase.loss(own, index)
                terms = SpotterTerms(
                    unlearning=losses.pop("loss"),
                    # a base method may have added rows to the head; the original has none there
                    over_unlearning=objective.distil(
                        out.logits[n:, : original.num_classes], near_targets[twin][index]
                    ),
                    dispersion=dispersion_loss(own.features, labels[index]),
                )
                return {"loss": objective.weigh(terms), **terms._asdict(), **losses}

            return replace(phase, inputs=inputs, loss=loss)

        return around


def _no_loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
    """Stand for L_u where the base method has no loss on forget samples."""
    return {"loss": out.logits.new_zeros(())}


@dataclass(frozen=True)
class Spotter(SpotterTermsAround, ForgetOnlyMethod):
    """Descend :class:`~spotter_core.losses.SpotterLoss`, alone or around a base method's loss.

    Reads: forget samples, and points that it makes of them.

    Official defaults (CIFAR-10, ResNet-18): lambda_1 0.7, lambda_2 1, SGD 1e-4, momentum 0.9,
    weight decay 5e-4, 10 epochs, batch 128, batch norm frozen, PGD 0.03 / 0.01 / 3.

    Ours: the neighborhood lies in pixel space and leads *towards* the boundary; the original's
    outputs on both sets are computed once instead of at every step; a step is one pass of the
    student over clean and perturbed images together.
    """

    name: ClassVar[str] = "spotter"
    source: ClassVar[str] = "Ha, Park and Yoon, ICML 2026"


@dataclass(frozen=True)
class SpotterWithRetain(SpotterTermsAround, RetainDescent):
    """Spotter around a base method that reads retained samples, as that method does."""

    name: ClassVar[str] = "spotter"
    reads: ClassVar[Reads] = "both"
    source: ClassVar[str] = Spotter.source


def around(base: DescentMethod) -> Spotter | SpotterWithRetain:
    """Return Spotter around a base method; it is handed retained samples only if that one is."""
    if isinstance(base, RetainDescent):
        return SpotterWithRetain(base=base, retain_share=base.retain_share)
    return Spotter(base=base)
