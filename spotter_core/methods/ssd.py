"""Selective Synaptic Dampening: shrink, once, the weights that matter to the forget samples."""

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.methods._base import Reads, RetainMethod, Unlearned, forgotten_classes
from spotter_core.methods._gradients import loss_gradients
from spotter_core.models import Classifier
from spotter_core.training import Diverged, Watch

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SSD(RetainMethod):
    """Where importance for forgetting exceeds ``alpha`` times that for all, multiply a weight.

    The importance of a weight is the mean over batches of the squared gradient of the batch's mean
    cross-entropy: I_f on the forget samples, I on forget and retained ones. Where I_f > alpha I,
    the weight is multiplied by min(1, dampening I / I_f). There is no optimiser, no epoch, and so
    no history: a watcher is never called.

    Reads: forget samples twice, retained ones once. Official defaults: alpha 10 (5 for ViT, 50 for
    faces), dampening 1 (0.1 for faces); for CIFAR-10 the code forgets samples at random only, and
    its author finds alpha "quite sensitive". So is the batch size: over all classes the gradients
    of a trained network cancel, over one they don't, and I_f / I grows with the batch. (On the
    digits alpha 10 forgets the class with batches of 64, and selects almost nothing with 8.)

    Where we differ: the official short last batch, noisier than the others, is spread over all of
    them, and both importances are taken over batches of one size, so that noise enters both alike.
    I does not depend on what is to be forgotten, but the methods keep nothing between calls, so it
    is computed in each, over a random ``share`` of forget and retained samples together. No
    augmentation; eval mode.

    Attributes:
        alpha: Threshold on I_f / I.
        dampening: Lambda.
        batch_size: Samples a batch, at most.
        share: Of all samples that I is estimated from, in (0, 1].
    """

    name: ClassVar[str] = "ssd"
    reads: ClassVar[Reads] = "both"
    source: ClassVar[str] = "Foster, Schoepf and Brintrup, AAAI 2024"
    alpha: float = 10.0
    dampening: float = 1.0
    batch_size: int = 64
    share: float = 1.0

    def __post_init__(self) -> None:
        check_positive(
            alpha=self.alpha,
            dampening=self.dampening,
            batch_size=self.batch_size,
            share=self.share,
        )
        check_fraction(share=self.share)

    def __call__(
        self,
        original: Classifier,
        forget: ImageSet,
        *,
        retain: ImageSet,
        forget_classes: Sequence[int] | None = None,
        generator: Generator | None = None,
        watch: Watch | None = None,
    ) -> Unlearned:
        """Return a dampened copy.

        Raises:
            ValueError: If there is no retained sample, or as in :class:`ForgetOnlyMethod`.
            Diverged: If a gradient of the original is NaN or infinite.
        """
        forgotten_classes(original, forget, forget_classes)
        self.check_retained(retain)
        generator = generator or Generator().manual_seed(0)
        student = copy.deepcopy(original).eval()
        own = -(-len(forget) // self.batch_size)
        chosen = torch.randperm(len(forget) + len(retain), generator=generator)
        chosen = chosen[: math.ceil(self.share * len(chosen))]
        several = max(1, round(len(chosen) * own / len(forget)))  # batches of the same size
        # tensor_split makes parts whose sizes differ by one at most
        order = torch.randperm(len(forget), generator=generator)
        of_forget = importance(student, (pick(forget, retain, i) for i in order.tensor_split(own)))
        of_all = importance(
            student, (pick(forget, retain, i) for i in chosen.tensor_split(several))
        )
        if not all(bool(i.isfinite().all()) for i in [*of_forget.values(), *of_all.values()]):
            raise Diverged(f"{self.name}: a gradient of the original is not finite")
        notes = dampen(student, of_forget, of_all, alpha=self.alpha, dampening=self.dampening)
        inside = int((chosen < len(forget)).sum())
        reads = {"forget": len(forget) + inside, "retain": len(chosen) - inside}
        return Unlearned(student, [], reads, notes)


def pick(forget: ImageSet, retain: ImageSet, index: Tensor) -> Batch:
    """Return images and labels at indices into forget and retained samples, put end to end."""
    device = forget.labels.device
    first = index[index < len(forget)].to(device)
    rest = (index[index >= len(forget)] - len(forget)).to(device)
    return (
        torch.cat([forget.pixels(first), retain.pixels(rest)]),
        torch.cat([forget.labels[first], retain.labels[rest]]),
    )


def importance(model: Classifier, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Return, by parameter, the mean over batches of the squared gradient of their mean loss."""
    sums: dict[str, Tensor] = {}
    count = 0
    for images, labels in batches:
        for name, gradient in loss_gradients(model, images, labels).items():
            square = gradient.square()
            sums[name] = sums[name].add_(square) if name in sums else square
        count += 1
    return {name: total / count for name, total in sums.items()}


@torch.no_grad()
def dampen(
    model: Classifier,
    of_forget: dict[str, Tensor],
    of_all: dict[str, Tensor],
    *,
    alpha: float,
    dampening: float,
) -> dict[str, float]:
    """Multiply the weights of ``model`` in place; return how many were, and by what on average."""
    selected, factors, weights = 0, 0.0, 0
    for name, parameter in model.named_parameters():
        weights += parameter.numel()
        if name not in of_forget:
            continue
        mine, everyones = of_forget[name], of_all[name]
        chosen = mine > alpha * everyones
        factor = (dampening * everyones / mine).clamp(max=1.0)
        parameter.mul_(factor.where(chosen, 1.0))
        selected += int(chosen.sum())
        factors += float(factor[chosen].sum())
    return {
        "dampened_share": selected / weights,
        "mean_factor": factors / selected if selected else 1.0,
    }
