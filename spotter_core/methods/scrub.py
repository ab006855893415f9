"""SCRUB: away from the original on the forget samples, back to it on the retained ones."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from spotter_core._checks import check_positive
from spotter_core.divergence import kl_divergence
from spotter_core.methods._base import RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.training import Predictions, predict


@dataclass(frozen=True)
class Scrub(RetainDescent):
    r"""Ascend the divergence from the original on forget samples, then descend it on retained ones.

    The divergence is :math:`T^2 KL(\sigma(z_0 / T) \,\|\, \sigma(z_u / T))`; what is descended is
    ``gamma * CE + alpha * divergence``.

    Reads: forget samples in the first ``max_epochs`` epochs, retained ones in every epoch. Official
    defaults are three: gamma 0.99, alpha 0.001, T 4, 2 of 3 epochs, SGD 5e-4, batch 128 and 32
    (CIFAR-10, large-scale notebook: ours); gamma 1, alpha 0.5, 3 of 5 epochs (MIA notebook); alpha
    0.01, 10 epochs (VGG notebook). RUM's copy ascends in one epoch more.

    Ours: the original is asked once and without augmentation. Batch norm in training mode, as
    there: the student starts as the original, where the divergence is at its minimum and has no
    gradient, and what first sets the two apart is that the original's batch norm is frozen. Without
    batch norm the first ascent has little but weight decay and rounding to start from.

    The ascended divergence has no bound: a step too large or too many of them, and the run ends as
    ``Diverged`` or with a network that recognises nothing.

    Attributes:
        gamma: Weight of the cross-entropy on retained samples.
        alpha: Weight of the divergence on retained samples.
        temperature: T, dividing the logits.
        max_epochs: Epochs that begin with an ascent.
        forget_batch_size: Forget samples in a step of ascent.
    """

    name: ClassVar[str] = "scrub"
    source: ClassVar[str] = "Kurmanji et al., NeurIPS 2023"
    learning_rate: float = 5e-4
    epochs: int = 3
    gamma: float = 0.99
    alpha: float = 0.001
    temperature: float = 4.0
    max_epochs: int = 2
    forget_batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(temperature=self.temperature, forget_batch_size=self.forget_batch_size)
        for name in ("gamma", "alpha", "max_epochs"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")

    def plan(self, task: Task) -> Plan:
        """Return a phase of ascent, while it is time for one, and a phase of descent."""
        original, forget, retain = task.original, task.forget, task.retain
        labels = retain.labels
        from_original = {
            side: self.divergence(predict(original, samples.images).logits)
            for side, samples in (("forget", forget), ("retain", retain))
        }

        def away(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            divergence = from_original["forget"](out.logits, index)
            return {"loss": -divergence, "forget_divergence": divergence}

        def back(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            divergence = from_original["retain"](out.logits, index)
            loss = self.gamma * F.cross_entropy(out.logits, labels[index]) + self.alpha * divergence
            return {"loss": loss, "retain_divergence": divergence}

        ascent = Phase(forget, "forget", away, batch_size=self.forget_batch_size)
        descent = Phase(retain, "retain", back)
        return Plan(
            copy.deepcopy(original).train(),
            lambda epoch: [ascent, descent] if epoch <= self.max_epochs else [descent],
        )

    def divergence(self, teacher_logits: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return ``(student logits, indices) -> mean divergence from the teacher, times T²``."""
        targets = (teacher_logits / self.temperature).log_softmax(dim=1)

        def mean(logits: Tensor, index: Tensor) -> Tensor:
            softened = (logits / self.temperature).log_softmax(dim=1)
            return kl_divergence(targets[index], softened).mean() * self.temperature**2

        return mean
