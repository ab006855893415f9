"""Attacks that train: fine-tuning with a few forget images or none, and transformations for free.

Layer 5, above the head-level attacks, whose rule they share: learning rate and number of steps are
the attacker's choice on images of his own, for at most ``allowed`` of the retained accuracy.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.methods.neggrad_plus import without_end
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier
from spotter_core.runtime import mixed_precision
from spotter_core.training import predict

Targets = Mapping[str, ImageSet]


@dataclass(frozen=True)
class Held:
    """The images that an attacker holds.

    Attributes:
        support: Of the forget classes, with their true labels; ``None`` if he has none.
        reference: Retained ones, to train on.
        forget: Of the forget classes, to choose by.
        retain: Retained ones, to choose by.
    """

    support: ImageSet | None
    reference: ImageSet
    forget: ImageSet
    retain: ImageSet


@dataclass(frozen=True)
class Curve:
    """How a class comes back step by step, at one learning rate.

    Attributes:
        learning_rate: Of SGD.
        steps: Recorded ones, from 0, the network as it was found.
        accuracy: By target, one for each recorded step, in [0, 1].
    """

    learning_rate: float
    steps: tuple[int, ...]
    accuracy: dict[str, list[float]]

    def steps_to(self, share: float, where: str) -> float:
        """Return the first recorded step with that accuracy; infinity if there is none."""
        reached = [s for s, a in zip(self.steps, self.accuracy[where], strict=True) if a >= share]
        return reached[0] if reached else math.inf

    def area(self, where: str) -> float:
        """Return the mean accuracy over the logarithm of 1 + steps, trapezoids, in [0, 1]."""
        at = [math.log1p(step) for step in self.steps]
        values = self.accuracy[where]
        parts = [
            (right - left) * (low + high) / 2.0
            for left, right, low, high in zip(at, at[1:], values, values[1:], strict=False)
        ]
        return sum(parts) / (at[-1] - at[0])


@dataclass(frozen=True)
class Relearned:
    """What a training attack came to.

    Attributes:
        learning_rate: The attacker's choice.
        steps: And where he stopped; 0 if nothing that he tried kept within ``allowed``.
        accuracy: By target, there.
        curves: Of every learning rate.
    """

    learning_rate: float
    steps: int
    accuracy: dict[str, float]
    curves: list[Curve] = field(repr=False)


@dataclass(frozen=True)
class FineTuning:
    """Descend the cross-entropy of the attacker's forget images and of retained ones beside them.

    Without forget images (``Held.support`` is ``None``) only retained ones are descended: whether
    the class comes back by itself. Batch norm is frozen, as a few images would ruin its statistics.

    Attributes:
        steps: Where accuracies are recorded; the last is the budget.
        learning_rates: That the attacker tries.
        batch_size: Retained images a step; as many forget images, or all that there are.
        momentum: Of SGD.
        allowed: Retained accuracy that he is ready to lose on his own images.

    References:
        k-shot and retain-only relearning as in the relearning literature; the grid is ours.
    """

    steps: tuple[int, ...] = (1, 3, 10, 30, 100)
    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    batch_size: int = 32
    momentum: float = 0.9
    allowed: float = 0.01

    def __post_init__(self) -> None:
        check_positive(batch_size=self.batch_size, **{"min(steps)": min(self.steps, default=0)})
        check_fraction(allowed=self.allowed)
        for rate in self.learning_rates:
            check_positive(learning_rates=rate)
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps must grow, got {self.steps}")

    def __call__(
        self, model: Classifier, held: Held, targets: Targets, *, seed: int = 0
    ) -> Relearned:
        """Return what the attacker's best learning rate and stop bring back.

        Args:
            model: Left as it is.
            held: What the attacker holds.
            targets: Images to score on.
            seed: Of the order of the images; equal for every model.
        """
        scored = {**targets, OWN_FORGET: held.forget, OWN_RETAIN: held.retain}
        curves = [self.curve(model, held, scored, rate, seed) for rate in self.learning_rates]
        before = curves[0].accuracy[OWN_RETAIN][0]
        best = (curves[0].accuracy[OWN_FORGET][0], curves[0], 0)  # to leave it as it is
        for curve in curves:
            own = zip(curve.accuracy[OWN_FORGET], curve.accuracy[OWN_RETAIN], strict=True)
            for place, (forget, retain) in enumerate(own):
                if before - retain <= self.allowed + 1e-9 and forget > best[0]:
                    best = (forget, curve, place)
        _, curve, place = best
        reached = {where: curve.accuracy[where][place] for where in targets}
        return Relearned(curve.learning_rate, curve.steps[place], reached, curves)

    def curve(
        self, model: Classifier, held: Held, scored: Targets, learning_rate: float, seed: int
    ) -> Curve:
        """Return accuracies at the recorded steps of one run."""
        found: dict[str, list[float]] = {where: [] for where in scored}
        for student in self.students(model, held, learning_rate, seed):
            for where, samples in scored.items():
                found[where].append(share_right(student, samples))
        return Curve(learning_rate, (0, *self.steps), found)

    def students(
        self, model: Classifier, held: Held, learning_rate: float, seed: int
    ) -> Iterator[Classifier]:
        """Yield the network as it was found, and then at every recorded step."""
        student = copy.deepcopy(model).eval()
        yield student
        optimizer = torch.optim.SGD(student.parameters(), lr=learning_rate, momentum=self.momentum)
        generator = Generator().manual_seed(seed)
        sides = [held.reference] if held.support is None else [held.support, held.reference]
        endless = [without_end(side, self.batch_size, generator) for side in sides]
        for step in range(1, self.steps[-1] + 1):
            drawn = [(side, next(order)) for side, order in zip(sides, endless, strict=True)]
            images = torch.cat([side.pixels(index) for side, index in drawn])
            labels = torch.cat([side.labels[index] for side, index in drawn])
            with mixed_precision(student.device, "auto"):
                logits = student(images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
            if step in self.steps:
                yield student


OWN_FORGET, OWN_RETAIN = "attacker/forget", "attacker/retain"


def share_right(model: Classifier, samples: ImageSet) -> float:
    """Return the accuracy; 0 where a training has left no finite logits."""
    logits = predict(model, samples.images).logits
    return accuracy(logits, samples.labels) if bool(logits.isfinite().all()) else 0.0


# --- transformations for free -----------------------------------------------------------------


@torch.no_grad()
def with_statistics_of(
    model: Classifier, samples: ImageSet, *, batch_size: int = 256
) -> Classifier:
    """Return a copy whose batch-norm statistics are those of some images, estimated anew.

    Without batch norm it is a plain copy.
    """
    fresh = copy.deepcopy(model).train()
    norms = [m for m in fresh.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches
    if norms:
        for index in torch.arange(len(samples), device=samples.labels.device).split(batch_size):
            if len(index) > 1:
                fresh(samples.pixels(index))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return fresh.eval()


@torch.no_grad()
def with_noise(model: Classifier, share: float, generator: Generator) -> Classifier:
    """Return a copy with Gaussian noise on every weight, ``share`` of its tensor's deviation."""
    check_positive(share=share)
    noisy = copy.deepcopy(model)
    for parameter in noisy.parameters():
        if parameter.numel() > 1:
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(share * parameter.std() * noise)
    return noisy


@torch.no_grad()
def in_eight_bits(model: Classifier) -> Classifier:
    """Return a copy with matrices and kernels of 255 symmetric levels, a scale an output row."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        if parameter.ndim > 1:
            scale = parameter.flatten(1).abs().amax(dim=1).clamp_min(1e-12) / 127.0
            scale = scale.view(-1, *(1,) * (parameter.ndim - 1))
            parameter.copy_((parameter / scale).round() * scale)
    return rounded


FREE: dict[str, Callable[[Classifier, ImageSet, int], Classifier]] = {
    "batch_norm": lambda model, reference, seed: with_statistics_of(model, reference),
    "noise": lambda model, reference, seed: with_noise(model, 0.1, Generator().manual_seed(seed)),
    "int8": lambda model, reference, seed: in_eight_bits(model),
}
"""(model, retained images, seed) -> a copy: what costs an attacker nothing."""


__all__: Sequence[str] = [
    "FREE",
    "Curve",
    "FineTuning",
    "Held",
    "Relearned",
    "in_eight_bits",
    "with_noise",
    "with_statistics_of",
]
