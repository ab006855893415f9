"""Bad Teacher: imitate an untrained network on the forget samples, the original on others."""

import copy
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from spotter_core.data import ImageSet
from spotter_core.divergence import kl_divergence
from spotter_core.methods._base import RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.models import Classifier
from spotter_core.training import Predictions, predict


@dataclass(frozen=True)
class BadTeacher(RetainDescent):
    """Descend the divergence from an untrained network on forget samples, else from the original.

    Reads: forget samples and a share of the retained ones, mixed and shuffled. Official defaults
    (CIFAR-100 and its superclasses, pretrained ResNet-18): Adam 1e-4, 1 epoch, batch 256, 30 % of
    the retained samples, temperature 1.

    Ours: the mean over samples; the official code also divides by the number of classes, which
    Adam doesn't notice but a learning rate of SGD does. Both teachers are asked once and without
    augmentation. The student is in eval mode, so that it starts at the good teacher's own outputs;
    the official code sets no mode and trains in whichever the network was left. What is learned
    is near uniform on the forget samples, and so unlike a retrained network.

    No phase is over forget samples alone, so Spotter's two terms make one of their own around it.
    """

    name: ClassVar[str] = "bad_teacher"
    source: ClassVar[str] = "Chundawat et al., AAAI 2023"
    weight_decay: float = 0.0
    epochs: int = 1
    batch_size: int = 256
    optimizer: Literal["sgd", "adam"] = "adam"
    retain_share: float = 0.3

    def plan(self, task: Task) -> Plan:
        """Return one phase over forget and retained samples together.

        Raises:
            ValueError: If the original was wrapped, so that nobody here can build an untrained one.
        """
        original, forget, retain = task.original, task.forget, task.retain
        bad, good = untrained(original, task.generator), original
        mixed = ImageSet(
            torch.cat([forget.images, retain.images]), torch.cat([forget.labels, retain.labels])
        )
        asked = [predict(bad, forget.images), predict(good, retain.images)]
        targets = torch.cat([out.logits for out in asked]).log_softmax(dim=1)

        def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            return {"loss": kl_divergence(targets[index], out.logits.log_softmax(dim=1)).mean()}

        reads = {"forget": len(forget), "retain": len(retain)}
        phase = Phase(mixed, "both", loss, reads=reads)
        return Plan(copy.deepcopy(original).eval(), lambda epoch: [phase])


def untrained(original: Classifier, generator: Generator) -> Classifier:
    """Return the bad teacher; ``ValueError`` if the original can't be initialised anew."""
    if original.spec is None:
        raise ValueError(
            "bad_teacher needs an untrained network of the original's architecture, and nobody "
            "here can build one of a wrapped network: use one from build_model, or another method"
        )
    return original.fresh(generator)
