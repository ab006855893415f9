"""A head-level attack is a detector of the forgotten class, and a threshold that costs little.

Layer 4. Whatever an attacker does with a network's features, in the end he answers "the forgotten
class" where some margin exceeds a threshold, and what the network says of the other classes where
it does not. So attacks differ in their margin alone, and all of them choose settings and threshold
by one rule, on images of their own: the most of the forgotten class, for at most ``allowed`` of the
retained accuracy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from spotter_core._checks import (
    check_forget_classes,
    check_fraction,
    check_labels,
    check_logits,
)
from spotter_core.training import Predictions

Detector = Callable[["Seen"], Tensor]
"""(samples) -> ``(N, F)`` margins, a column for each forget class."""


ROUNDING = 1e-9
"""Of a share of samples, by which one more than allowed can't be meant."""


class Seen(NamedTuple):
    """Samples with what a network says of them: ``(N, D)``, ``(N, C)`` and ``(N,)``."""

    features: Tensor
    logits: Tensor
    labels: Tensor

    @classmethod
    def of(cls, predictions: Predictions, labels: Tensor) -> "Seen":
        """Return predictions in float64, with their labels.

        Raises:
            ValueError: If lengths differ, or a feature or logit is not finite.
        """
        check_labels(labels, len(predictions.logits))
        check_logits(features=predictions.features, logits=predictions.logits)
        return cls(predictions.features.double(), predictions.logits.double(), labels)

    def pick(self, index: Tensor) -> "Seen":
        """Return the samples at an index or mask."""
        return Seen(*(values[index] for values in self))


@dataclass(frozen=True)
class Reference:
    """Retained samples of the attacker's, and what all his attacks take from them."""

    seen: Seen

    @cached_property
    def classes(self) -> Tensor:
        """The classes that occur, in order."""
        found: Tensor = self.seen.labels.unique()
        return found

    @cached_property
    def means(self) -> Tensor:
        """``(R, D)`` mean feature of every class."""
        features, labels = self.seen.features, self.seen.labels
        return torch.stack([features[labels == c].mean(dim=0) for c in self.classes])

    @cached_property
    def scatter(self) -> Tensor:
        """``(D, D)`` covariance around the class means."""
        features, labels = self.seen.features, self.seen.labels
        apart = features - self.means[torch.searchsorted(self.classes, labels)]
        return apart.T @ apart / len(apart)

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Those of all features."""
        return moments(self.seen.features)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ``(D,)`` mean and the ``(D, D)`` second moment of ``(N, D)`` features."""
    return features.mean(dim=0), features.T @ features / len(features)


@dataclass(frozen=True)
class Attacker:
    """What an attacker knows and holds.

    Attributes:
        head: Of the network that is attacked; never changed.
        forget_classes: The classes to bring back.
        support: His samples of the forget classes.
        reference: His retained samples.
        validation: More samples of both kinds, on which he chooses settings and threshold.
        allowed: Retained accuracy that he is ready to lose there, in [0, 1].
    """

    head: nn.Linear
    forget_classes: tuple[int, ...]
    support: Seen
    reference: Reference
    validation: Seen
    allowed: float = 0.01

    def __post_init__(self) -> None:
        check_fraction(allowed=self.allowed)
        check_forget_classes(self.forget_classes, self.head.out_features)
        for c in self.forget_classes:
            if not bool((self.support.labels == c).any()):
                raise ValueError(f"support holds no sample of forget class {c}")

    def of_class(self, c: int) -> Tensor:
        """Return ``(k, D)`` features of the support of one forget class."""
        return self.support.features[self.support.labels == c]

    @cached_property
    def halves(self) -> tuple[Seen, Seen]:
        """The forget and the retained samples of the validation set."""
        index = torch.tensor(self.forget_classes, device=self.validation.labels.device)
        forgotten = torch.isin(self.validation.labels, index)
        return self.validation.pick(forgotten), self.validation.pick(~forgotten)


@dataclass(frozen=True)
class Found:
    """An attack with its settings and its threshold chosen.

    Attributes:
        settings: What was chosen from the attack's grid.
        detector: The margin.
        threshold: The forgotten class is answered where the margin exceeds it.
        forget_classes: Whose margins the columns are.
    """

    settings: dict[str, Any]
    detector: Detector
    threshold: float
    forget_classes: tuple[int, ...]

    def answers(self, seen: Seen) -> Tensor:
        """Return ``(N,)`` predicted classes."""
        return answers(self.detector(seen), seen.logits, self.forget_classes, self.threshold)

    def accuracy(self, seen: Seen) -> float:
        """Return the share of samples answered by their label, in [0, 1]."""
        return (self.answers(seen) == seen.labels).double().mean().item()


@dataclass(frozen=True)
class HeadAttack(ABC):
    """A way to find a forgotten class in cached predictions."""

    name: ClassVar[str]
    calibrated: ClassVar[bool] = True
    """Whether the threshold is chosen; else it is 0, as where a row competes in the head."""

    @abstractmethod
    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield settings and detector for every point of the attack's grid."""

    def __call__(self, attacker: Attacker) -> Found:
        """Return the best detector: most of the validation's forget samples, within ``allowed``.

        Where no point of the grid keeps within it, the one that loses least. Of equal ones the
        first.
        """
        forget, retain = attacker.halves
        classes = attacker.forget_classes
        best: tuple[tuple[float, float], Found] | None = None
        for settings, detector in self.detectors(attacker):
            margins = detector(retain)
            threshold = 0.0
            if self.calibrated:
                threshold = threshold_within(margins, retain, classes, attacker.allowed)
            found = Found(settings, detector, threshold, classes)
            lost = loss_of_retained(margins, retain, classes, threshold)
            excess = max(lost - attacker.allowed - ROUNDING, 0.0)
            merit = (-excess, found.accuracy(forget))
            if best is None or merit > best[0]:
                best = merit, found
        if best is None:
            raise ValueError(f"{self.name} has an empty grid")
        return best[1]


def answers(
    margins: Tensor, logits: Tensor, forget_classes: Sequence[int], threshold: float
) -> Tensor:
    """Return ``(N,)`` classes: the forget class of largest margin above ``threshold``, if any.

    Else the retained class of largest logit.
    """
    index = torch.tensor(forget_classes, device=logits.device)
    largest, which = margins.max(dim=1)
    others = logits.index_fill(1, index, -torch.inf).argmax(dim=1)
    return torch.where(largest > threshold, index[which], others)


def loss_of_retained(
    margins: Tensor, retain: Seen, forget_classes: Sequence[int], threshold: float
) -> float:
    """Return by how much the answers fall below the network's own accuracy; a gain is negative."""
    before = (retain.logits.argmax(dim=1) == retain.labels).double().mean()
    found = answers(margins, retain.logits, forget_classes, threshold)
    return (before - (found == retain.labels).double().mean()).item()


def threshold_within(
    margins: Tensor, retain: Seen, forget_classes: Sequence[int], allowed: float
) -> float:
    """Return the least threshold whose false alarms cost at most ``allowed`` of the accuracy.

    Args:
        margins: ``(N, F)`` of retained samples.
        retain: Those samples.
        forget_classes: Whose margins they are.
        allowed: In [0, 1].
    """
    if len(retain.labels) == 0:
        raise ValueError("validation holds no retained sample: a threshold can't be chosen")
    silent = answers(margins, retain.logits, forget_classes, torch.inf) == retain.labels
    before = int((retain.logits.argmax(dim=1) == retain.labels).sum())
    # without an alarm nothing is lost: what the network called forgotten is now called otherwise
    spare = int(silent.sum()) - before + int((allowed + ROUNDING) * len(silent))
    at_stake = margins.max(dim=1).values[silent].sort(descending=True).values
    if spare >= len(at_stake):
        return -torch.inf
    return at_stake[spare].item()
