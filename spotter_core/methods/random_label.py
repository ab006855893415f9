"""Random label: fine-tuning the forget samples towards labels drawn from the other classes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.methods._base import TargetMethod
from spotter_core.methods._descent import Task


@dataclass(frozen=True)
class RandomLabel(TargetMethod):
    """Descend the cross-entropy to a random retained label, fixed for each forget sample.

    Reads: forget samples (the variant of the UNSC code: retained classes only, SGD 1e-4, 20 epochs,
    batch norm frozen). The SalUn code draws from all classes, the true one included, and adds an
    epoch over the retain set.
    """

    name: ClassVar[str] = "random_label"
    source: ClassVar[str] = "Graves et al., AAAI 2021"
    epochs: int = 20

    def targets(self, task: Task, notes: dict[str, float]) -> Tensor:
        """Return ``(N,)`` labels, uniform over the retained classes."""
        return drawn_labels(task)

    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the cross-entropy to the drawn labels."""
        return F.cross_entropy(logits, targets)


def drawn_labels(task: Task) -> Tensor:
    """Return ``(N,)`` labels of the forget samples, drawn evenly from the retained classes."""
    kept, count = task.retain_classes, len(task.forget)
    drawn = kept[torch.randint(len(kept), (count,), generator=task.generator)]
    return drawn.to(task.forget.labels.device)
