"""NegGrad+: ascent on the forget samples and descent on retained ones, in every step."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.methods._base import RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.methods.neggrad import ascent_while_recognised
from spotter_core.training import Predictions


@dataclass(frozen=True)
class NegGradPlus(RetainDescent):
    """Descend ``alpha * CE(retained) - (1 - alpha) * CE(forget)``.

    Reads: retained samples, and with every batch of them the next batch of forget samples, which
    come round again without end. Official defaults (SCRUB code, CIFAR-10, 100 forgotten images):
    alpha 0.9999, lr 0.01, 5 epochs, no weight decay; a whole class wants a smaller alpha.

    Ours: as in our NegGrad, a forget sample that is no longer recognised contributes nothing, since
    the official term has no bound and what is left of alpha has to hold it. Batch norm is frozen
    (official: training mode, a pass for either batch), so both batches are one pass and what is
    asked whether it recognises a sample is the network that is measured. The turn of the forget
    samples goes on over epochs; the official code starts anew in each.

    No phase is over forget samples alone, so Spotter's two terms make one of their own around it.

    Attributes:
        alpha: Weight of the retained samples, in [0, 1].
        forget_batch_size: Forget samples in a step, beside ``batch_size`` retained ones.
    """

    name: ClassVar[str] = "neggrad_plus"
    source: ClassVar[str] = "Kurmanji et al., NeurIPS 2023"
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    epochs: int = 5
    alpha: float = 0.9999
    forget_batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction(alpha=self.alpha)
        check_positive(forget_batch_size=self.forget_batch_size)

    def plan(self, task: Task) -> Plan:
        """Return one phase over the retained samples, which forget samples join."""
        forget, retain = task.forget, task.retain
        joining = without_end(forget, self.forget_batch_size, task.generator)

        def phase(epoch: int) -> list[Phase]:
            reads = {"retain": len(retain), "forget": 0}
            joined = forget.labels  # of the batch in hand

            def inputs(index: Tensor) -> Tensor:
                nonlocal joined
                other = next(joining)
                joined = forget.labels[other]
                reads["forget"] += len(other)
                return torch.cat([retain.pixels(index), forget.pixels(other)])

            def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
                kept, other = out.logits[: len(index)], out.logits[len(index) :]
                descent = F.cross_entropy(kept, retain.labels[index])
                ascent = ascent_while_recognised(other, joined)
                return {
                    "loss": self.alpha * descent + (1.0 - self.alpha) * ascent,
                    "retain_loss": descent,
                    "forget_loss": ascent,
                }

            return [Phase(retain, "both", loss, inputs, reads=reads)]

        return Plan(copy.deepcopy(task.original).eval(), phase)


def without_end(samples: ImageSet, batch_size: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the indices of batch after batch, shuffled anew whenever all samples have come."""
    while True:
        yield from samples.batches(batch_size, generator)
