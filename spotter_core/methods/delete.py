"""DELETE: decoupled distillation to erase, masked distillation on the forget samples alone."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spotter_core.losses import masked_distillation_loss
from spotter_core.methods._base import TargetMethod
from spotter_core.methods._descent import Task
from spotter_core.training import predict


@dataclass(frozen=True)
class Delete(TargetMethod):
    """Distil the original with the forget classes cut out, on the forget samples.

    Reads: forget samples. Official defaults (CIFAR-10, ResNet-18): SGD 1e-4, momentum 0.9, no
    weight decay, 20 epochs, batch 128, with augmentation, batch norm in training mode. Ours: no
    augmentation, so that the original's outputs are computed once; batch norm frozen.
    """

    name: ClassVar[str] = "delete"
    source: ClassVar[str] = "Zhou et al., CVPR 2025"
    epochs: int = 20
    weight_decay: float = 0.0

    def targets(self, task: Task, notes: dict[str, float]) -> Tensor:
        """Return the original's ``(N, C)`` logits."""
        return predict(task.original, task.forget.images).logits

    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the masked distillation loss."""
        return masked_distillation_loss(logits, targets, forget_classes)
