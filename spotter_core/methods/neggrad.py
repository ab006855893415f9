"""NegGrad: gradient ascent on the forget samples."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from spotter_core.data import ImageSet
from spotter_core.methods._base import TargetMethod
from spotter_core.methods._descent import Task
from spotter_core.models import Classifier
from spotter_core.training import predict


@dataclass(frozen=True)
class NegGrad(TargetMethod):
    """Ascend the cross-entropy of the forget samples that are still recognised.

    Reads: forget samples. Official defaults (Unlearn-Sparse, CIFAR-10, ResNet-18, class-wise): lr
    1e-4, 5 epochs; the step varies from 1e-5 to 1e-1 elsewhere. The official loss has no bound, and
    a run that is not stopped in time destroys the network. Ours asks the forget *training* samples
    alone when to stop, one by one: a sample that is no longer classified as its label contributes
    nothing, and when none is left the run ends.
    """

    name: ClassVar[str] = "neggrad"
    source: ClassVar[str] = "Golatkar et al., CVPR 2020"
    epochs: int = 5

    def targets(self, task: Task, notes: dict[str, float]) -> Tensor:
        """Return the true labels ``(N,)``."""
        return task.forget.labels

    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the negative cross-entropy, 0 for samples that are not recognised any more."""
        return ascent_while_recognised(logits, targets)

    def finished(self, student: Classifier, forget: ImageSet) -> bool:
        """Return whether no forget sample is classified as its label any more."""
        logits = predict(student, forget.images).logits
        if not bool(logits.isfinite().all()):
            return False  # not finished but diverged, as who asks next will say
        return not bool((logits.argmax(dim=1) == forget.labels).any())


def ascent_while_recognised(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean negative cross-entropy, where a sample that is not recognised counts 0."""
    recognised = logits.argmax(dim=1) == labels
    return -(F.cross_entropy(logits, labels, reduction="none") * recognised).mean()
