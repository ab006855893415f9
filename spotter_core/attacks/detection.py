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
"""(samples) -> ``(S, N, F)`` margins: for each draw of the attacker's samples, a column for each
forget class."""
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
    def center(self) -> Tensor:
        """``(D,)`` mean of the class means."""
        return self.means.mean(dim=0)

    @cached_property
    def scatter(self) -> Tensor:
        """``(D, D)`` covariance around the class means."""
        features, labels = self.seen.features, self.seen.labels
        apart = features - self.means[torch.searchsorted(self.classes, labels)]
        return apart.T @ apart / len(apart)

    def inverse(self, shrinkage: float) -> Tensor:
        """Return the ``(D, D)`` inverse of the scatter, shrunk toward equal variances.

        Args:
            shrinkage: In (0, 1].
        """
        if shrinkage not in self._inverses:
            size = self.scatter.diagonal().mean().clamp_min(1e-12)
            eye = torch.eye(len(self.scatter), dtype=size.dtype, device=size.device)
            shrunk = (1 - shrinkage) * self.scatter + shrinkage * size * eye
            self._inverses[shrinkage] = torch.linalg.inv(shrunk)
        return self._inverses[shrinkage]

    @cached_property
    def _inverses(self) -> dict[float, Tensor]:
        return {}

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Those of all features."""
        return moments(self.seen.features)


def without(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Return ``(N, C)`` logits with those of some classes out of reach."""
    return logits.index_fill(1, torch.tensor(classes, device=logits.device), -torch.inf)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(..., D)`` means and ``(..., D, D)`` second moments of ``(..., N, D)`` features."""
    return features.mean(dim=-2), features.mT @ features / features.shape[-2]


@dataclass(frozen=True)
class Attacker:
    """What an attacker knows and holds, in each of S independent draws of his forget samples.

    Attributes:
        head: Of the network that is attacked; never changed.
        forget_classes: The F classes to bring back.
        support: ``(S, F, K, D)`` features of his samples of the forget classes.
        reference: His retained samples.
        validation: More samples of both kinds, on which he chooses settings and threshold.
        allowed: Retained accuracy that he is ready to lose there, in [0, 1].
    """

    head: nn.Linear
    forget_classes: tuple[int, ...]
    support: Tensor
    reference: Reference
    validation: Seen
    allowed: float = 0.01

    def __post_init__(self) -> None:
        check_fraction(allowed=self.allowed)
        check_forget_classes(self.forget_classes, self.head.out_features)
        shape = tuple(self.support.shape)
        if len(shape) != 4 or shape[1] != len(self.forget_classes) or 0 in shape:
            raise ValueError(
                f"support must be (draws, {len(self.forget_classes)}, shots, features) and not "
                f"empty, got {shape}"
            )

    @cached_property
    def means(self) -> Tensor:
        """``(S, F, D)`` mean features of the attacker's samples."""
        return self.support.mean(dim=2)

    @cached_property
    def halves(self) -> tuple[Seen, Seen]:
        """The forget and the retained samples of the validation set."""
        index = torch.tensor(self.forget_classes, device=self.validation.labels.device)
        forgotten = torch.isin(self.validation.labels, index)
        return self.validation.pick(forgotten), self.validation.pick(~forgotten)


@dataclass(frozen=True)
class Found:
    """An attack whose settings and threshold were chosen, draw by draw.

    Attributes:
        grid: Settings and detector of every point of the attack's grid.
        chosen: ``(S,)`` the point that each draw's attacker took.
        thresholds: ``(S,)``; the forgotten class is answered where the margin exceeds it.
        forget_classes: Whose margins the columns are.
    """

    grid: list[tuple[dict[str, Any], Detector]]
    chosen: Tensor
    thresholds: Tensor
    forget_classes: tuple[int, ...]

    @property
    def settings(self) -> list[dict[str, Any]]:
        """What each draw's attacker took."""
        return [self.grid[i][0] for i in self.chosen.tolist()]

    def margins(self, seen: Seen) -> Tensor:
        """Return ``(S, N, F)`` margins, each draw's by its own settings."""
        parts: dict[int, Tensor] = {i: self.grid[i][1](seen) for i in set(self.chosen.tolist())}
        return torch.stack([parts[i][draw] for draw, i in enumerate(self.chosen.tolist())])

    def hits(self, seen: Seen, margins: Tensor | None = None) -> Tensor:
        """Return ``(S, N)``, whether a sample is answered by its label.

        Args:
            seen: The samples.
            margins: Theirs, if known.
        """
        known = self.margins(seen) if margins is None else margins
        return answers(known, seen.logits, self.forget_classes, self.thresholds) == seen.labels


@dataclass(frozen=True)
class HeadAttack(ABC):
    """A way to find a forgotten class in cached predictions."""

    name: ClassVar[str]
    calibrated: ClassVar[bool] = True
    """Whether the threshold is chosen; else it is 0, as where a row competes in the head."""
    needs_images: ClassVar[bool] = True
    """Whether it looks at the attacker's samples of the class at all."""

    @abstractmethod
    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield settings and detector for every point of the attack's grid."""

    def __call__(self, attacker: Attacker) -> Found:
        """Return the best detector of each draw: most of the validation's forget samples.

        Within ``allowed``; where no point of the grid keeps within it, the one that loses least. Of
        equal ones the first.
        """
        forget, retain = attacker.halves
        classes, grid = attacker.forget_classes, list(self.detectors(attacker))
        if not grid:
            raise ValueError(f"{self.name} has an empty grid")
        merits, thresholds = [], []
        for _, detector in grid:
            margins = detector(retain)
            limit = margins.new_zeros(len(margins))
            if self.calibrated:
                limit = threshold_within(margins, retain, classes, attacker.allowed)
            lost = loss_of_retained(margins, retain, classes, limit)
            excess = (lost - attacker.allowed - ROUNDING).clamp_min(0.0)
            found = answers(detector(forget), forget.logits, classes, limit)
            share = (found == forget.labels).double().mean(dim=1)
            # nothing that is regained makes up for what was not allowed
            merits.append(torch.where(excess > 0.0, -1.0 - excess, share))
            thresholds.append(limit)
        chosen = torch.stack(merits).argmax(dim=0)  # of equal ones the first
        taken = torch.stack(thresholds).gather(0, chosen[None])[0]
        return Found(grid, chosen, taken, classes)


def answers(
    margins: Tensor, logits: Tensor, forget_classes: Sequence[int], thresholds: Tensor
) -> Tensor:
    """Return ``(S, N)`` classes: the forget class of largest margin above the threshold, if any.

    Else the retained class of largest logit.

    Args:
        margins: ``(S, N, F)``.
        logits: ``(N, C)``.
        forget_classes: F of the C classes.
        thresholds: ``(S,)``.
    """
    index = torch.tensor(forget_classes, device=logits.device)
    largest, which = margins.max(dim=2)
    others = without(logits, forget_classes).argmax(dim=1)
    return torch.where(largest > thresholds[:, None], index[which], others)


def loss_of_retained(
    margins: Tensor, retain: Seen, forget_classes: Sequence[int], thresholds: Tensor
) -> Tensor:
    """Return ``(S,)``, how far answers fall below the network's accuracy; a gain is negative."""
    before = (retain.logits.argmax(dim=1) == retain.labels).double().mean()
    found = answers(margins, retain.logits, forget_classes, thresholds)
    return before - (found == retain.labels).double().mean(dim=1)


def threshold_within(
    margins: Tensor, retain: Seen, forget_classes: Sequence[int], allowed: float
) -> Tensor:
    """Return ``(S,)`` least thresholds whose false alarms cost at most ``allowed`` of the accuracy.

    Args:
        margins: ``(S, N, F)`` of retained samples.
        retain: Those samples.
        forget_classes: Whose margins they are.
        allowed: In [0, 1].
    """
    if len(retain.labels) == 0:
        raise ValueError("validation holds no retained sample: a threshold can't be chosen")
    # without an alarm nothing is lost: what the network called forgotten is now called otherwise
    silent = without(retain.logits, forget_classes).argmax(dim=1) == retain.labels
    before = int((retain.logits.argmax(dim=1) == retain.labels).sum())
    spare = int(silent.sum()) - before + int((allowed + ROUNDING) * len(silent))
    at_stake = margins.amax(dim=2)[:, silent]
    if spare >= at_stake.shape[1]:
        return margins.new_full((len(margins),), -torch.inf)
    return at_stake.topk(spare + 1, dim=1).values[:, spare]
