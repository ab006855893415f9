"""Spotter: forget, keep the neighborhood as it was, and scatter what is left of the class."""

from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

import torch
from torch import Generator, Tensor

from spotter_core._checks import check_positive
from spotter_core.data import ImageSet
from spotter_core.losses import SpotterLoss
from spotter_core.methods._base import BatchLoss, ForgetOnlyMethod
from spotter_core.methods.delete import Delete
from spotter_core.models import Classifier
from spotter_core.neighborhoods import BoundaryNeighborhood, Neighborhood
from spotter_core.training import predict


@dataclass(frozen=True)
class Spotter(ForgetOnlyMethod):
    """Descend :class:`~spotter_core.losses.SpotterLoss`, alone or around a base method's loss.

    Reads: forget samples, and points that it makes of them.

    Official defaults (CIFAR-10, ResNet-18): lambda_1 0.7, lambda_2 1, SGD 1e-4, momentum 0.9,
    weight decay 5e-4, 10 epochs, batch 128, batch norm frozen, PGD 0.03 / 0.01 / 3.

    Ours: the neighborhood lies in pixel space and leads *towards* the boundary; the original's
    outputs on both sets are computed once instead of at every step; a step is one pass of the
    student over clean and perturbed images together.

    Attributes:
        lambda_1: Weight of L_u against L_o, in [0, 1].
        lambda_2: Weight of the dispersion term.
        neighborhood: Where L_o is distilled.
        twins: Perturbed copies of every forget sample; a step sees one of them, in turn.
        base: Whose targets and loss L_u is; DELETE's are Spotter's own.
    """

    name: ClassVar[str] = "spotter"
    source: ClassVar[str] = "Ha, Park and Yoon, ICML 2026"
    lambda_1: float = 0.7
    lambda_2: float = 1.0
    neighborhood: Neighborhood = field(default_factory=BoundaryNeighborhood)
    twins: int = 1
    base: ForgetOnlyMethod = field(default_factory=Delete)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(twins=self.twins)
        SpotterLoss((0,), lambda_1=self.lambda_1, lambda_2=self.lambda_2)  # refuses bad weights

    def targets(
        self,
        original: Classifier,
        forget: ImageSet,
        forget_classes: tuple[int, ...],
        generator: Generator,
        notes: dict[str, float],
    ) -> Tensor:
        """Return the base method's targets."""
        return self.base.targets(original, forget, forget_classes, generator, notes)

    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the base method's loss, L_u."""
        return self.base.loss(logits, targets, forget_classes)

    def prepare(
        self,
        original: Classifier,
        forget: ImageSet,
        forget_classes: tuple[int, ...],
        generator: Generator,
        notes: dict[str, float],
    ) -> BatchLoss:
        """Return Spotter's loss of a batch; targets and twins are made here, once."""
        targets = self.targets(original, forget, forget_classes, generator, notes)
        images = forget.pixels()
        near = [
            self.neighborhood(original, images, forget.labels, forget_classes, generator=generator)
            for _ in range(self.twins)
        ]
        near_targets = [predict(original, twin).logits for twin in near]
        objective = SpotterLoss(
            forget_classes,
            lambda_1=self.lambda_1,
            lambda_2=self.lambda_2,
            base_loss=lambda logits, target: self.loss(logits, target, forget_classes),
        )
        turns = count()

        def batch_loss(student: Classifier, index: Tensor) -> dict[str, Tensor]:
            twin = next(turns) % self.twins
            features = student.features(torch.cat([images[index], near[twin][index]]))
            logits, near_logits = student.head(features).chunk(2)
            terms = objective.terms(
                logits,
                targets[index],
                near_logits,
                near_targets[twin][index],
                features[: len(index)],
                forget.labels[index],
            )
            return {"loss": objective.weigh(terms), **terms._asdict()}

        return batch_loss
