"""Prototypical Relearning: a forgotten class brought back by rewriting its row of the head.

Layer 4: one frozen attack serves every model. It works on a copy; a sweep over thousands of
configurations is arithmetic on features that were computed once.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from spotter_core._checks import (
    check_choice,
    check_forget_classes,
    check_fraction,
    check_labels,
    check_positive,
    check_shots,
    check_unit_images,
)
from spotter_core.models import Classifier
from spotter_core.training import Predictions, predict

Metric = Literal["cosine", "l2"]


def draw_support(
    labels: Tensor, forget_classes: Sequence[int], shots: int, generator: Generator
) -> Tensor:
    """Return ``(F, shots)`` indices of the attacker's samples, a row for each forget class.

    A class's row is the head of one permutation: with an equal generator the support of few shots
    is the beginning of the support of many.

    Raises:
        ValueError: If a forget class has fewer than ``shots`` samples.
    """
    rows = []
    for c in sorted(forget_classes):
        members = (labels == c).nonzero().flatten().cpu()
        check_shots(shots, len(members), c)
        rows.append(members[torch.randperm(len(members), generator=generator)[:shots]])
    return torch.stack(rows)


def prototype_rows(features: Tensor, metric: Metric, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the head rows ``(..., D)`` and biases ``(...)`` that prototypes stand for.

    Args:
        features: ``(..., K, D)`` of the attacker's K samples.
        metric: With ``p`` the l2-normalised mean: ``"cosine"`` is ``(p, 0)``, ``"l2"``, the
            nearest-mean rule of ProtoNet, is ``(2 p, -|p|²)``.
        scale: Multiplies both.

    References:
        Ha et al. (2025), arXiv:2506.01318, PRA; Snell et al. (2017), prototypical networks.
    """
    check_choice("metric", metric, ("cosine", "l2"))
    prototype = F.normalize(features.mean(dim=-2), dim=-1)
    if metric == "cosine":
        return scale * prototype, prototype.new_zeros(prototype.shape[:-1])
    return 2.0 * scale * prototype, -scale * prototype.square().sum(dim=-1)


def blend(new: Tensor, old: Tensor, alpha: float) -> Tensor:
    """Return ``alpha new + (1 - alpha) old``; at 1 ``new``, even where ``old`` is ``-inf``."""
    return new if alpha == 1.0 else alpha * new + (1.0 - alpha) * old


@dataclass(frozen=True)
class PrototypeAttack:
    """PRA: blend each forget class's prototype into its row of the head.

    ``w_c <- alpha w + (1 - alpha) w_c`` and ``b_c <- alpha b + (1 - alpha) b_c`` with the
    prototype's row (w, b); nothing else changes.

    Attributes:
        shots: Samples of each forget class that the attacker holds; the paper uses 1 to 10.
        alpha: 0 keeps the row (no attack), 1 replaces it.
        metric: ``"cosine"`` or ``"l2"``, see :func:`prototype_rows`.
        scale: Length of the prototype's row in units of the mean length of the retained rows;
            ``None`` leaves it at unit length, as published.

    References:
        Ha et al. (2025), arXiv:2506.01318, Prototypical Relearning Attack. The published code uses
        another alpha for each model and edits the model it is given.
    """

    shots: int = 5
    alpha: float = 1.0
    metric: Metric = "cosine"
    scale: float | None = None

    def __post_init__(self) -> None:
        check_positive(shots=self.shots)
        check_fraction(alpha=self.alpha)
        check_choice("metric", self.metric, ("cosine", "l2"))
        if self.scale is not None:
            check_positive(scale=self.scale)

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Classifier:
        """Return an attacked copy of ``model``.

        Args:
            model: Left as it is.
            images: ``(N, ...)`` in [0, 1], the pool that the attacker's samples are drawn from.
            labels: ``(N,)`` classes of the pool; samples of other classes are never looked at.
            forget_classes: The classes to bring back.
            generator: Draws the samples.

        Raises:
            ValueError: If a forget class has fewer samples than ``shots``, or images are not in
                [0, 1].
        """
        check_unit_images(images)
        check_labels(labels, len(images))
        classes = check_forget_classes(forget_classes, model.num_classes)
        support = draw_support(labels, classes, self.shots, generator)
        features = predict(model, images[support.flatten()]).features.unflatten(0, support.shape)
        attacked = copy.deepcopy(model)
        with torch.no_grad():
            rewrite_rows(attacked, classes, features, self)
        return attacked


def row_scale(head_weight: Tensor, forget_classes: Sequence[int], scale: float | None) -> float:
    """Return the length of a prototype's row: 1, or ``scale`` mean lengths of retained rows."""
    if scale is None:
        return 1.0
    kept = torch.ones(len(head_weight), dtype=torch.bool)
    kept[list(forget_classes)] = False
    lengths = head_weight.detach()[kept.to(head_weight.device)].norm(dim=1)
    return scale * float(lengths.mean())


def rewrite_rows(
    model: Classifier, forget_classes: Sequence[int], features: Tensor, attack: PrototypeAttack
) -> None:
    """Blend prototypes of ``features`` ``(F, K, D)`` into the head of ``model``, in place."""
    if model.head.bias is None:  # the l2 rule needs one; zeros change nothing
        zeros = model.head.weight.new_zeros(model.num_classes)
        model.head.bias = nn.Parameter(zeros)
    rows, biases = prototype_rows(
        features, attack.metric, row_scale(model.head.weight, forget_classes, attack.scale)
    )
    index = list(forget_classes)
    weight, bias = model.head.weight, model.head.bias
    weight[index] = blend(rows, weight[index], attack.alpha)
    bias[index] = blend(biases, bias[index], attack.alpha)


@dataclass(frozen=True)
class PrototypeSweep:
    """Every attack of a grid on one model, from one pass of the network.

    Attributes:
        shots: Values of k.
        alphas: Values of alpha.
        seeds: Draws of the attacker's samples.
        metric: ``"cosine"`` or ``"l2"``.
        scale: As in :class:`PrototypeAttack`.
    """

    shots: tuple[int, ...] = tuple(range(1, 11))
    alphas: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    seeds: tuple[int, ...] = tuple(range(20))
    metric: Metric = "cosine"
    scale: float | None = None

    def __post_init__(self) -> None:
        for shots, alpha in product(self.shots, self.alphas):
            PrototypeAttack(shots, alpha, self.metric, self.scale)  # refuses what is out of range

    def supports(self, labels: Tensor, forget_classes: Sequence[int]) -> Tensor:
        """Return ``(seeds, F, max shots)`` indices, as :class:`PrototypeAttack` would draw them."""
        return torch.stack(
            [
                draw_support(labels, forget_classes, max(self.shots), Generator().manual_seed(seed))
                for seed in self.seeds
            ]
        )

    @torch.no_grad()
    def __call__(
        self,
        head: nn.Linear,
        pool: Tensor,
        pool_labels: Tensor,
        target: Predictions,
        target_labels: Tensor,
        forget_classes: Sequence[int],
    ) -> Tensor:
        """Return the accuracy of every attacked head on the target samples.

        Args:
            head: The model's head, left as it is.
            pool: ``(P, D)`` features that the attacker's samples are drawn from.
            pool_labels: ``(P,)``.
            target: Features ``(N, D)`` and logits ``(N, C)`` to score on: forget samples for the
                accuracy regained, retained ones for the price.
            target_labels: ``(N,)``.
            forget_classes: The classes to bring back.

        Returns:
            ``(shots, alphas, seeds)`` accuracies in [0, 1], float64.
        """
        classes = check_forget_classes(forget_classes, target.logits.shape[1])
        check_labels(pool_labels, len(pool))
        check_labels(target_labels, len(target.logits))
        scale = row_scale(head.weight, classes, self.scale)
        support = self.supports(pool_labels, classes).to(pool.device)
        sums = pool[support].cumsum(dim=2)  # (S, F, K, D): prototypes of all k at once
        means = sums[:, :, [k - 1 for k in self.shots]].unsqueeze(-2)
        rows, biases = prototype_rows(means, self.metric, scale)  # (S, F, k, D), (S, F, k)
        scores = torch.einsum("nd,sfkd->nfks", target.features, rows) + biases.permute(1, 2, 0)
        return torch.stack(
            [self._accuracy(scores, a, target, target_labels, classes) for a in self.alphas], 1
        )

    @staticmethod
    def _accuracy(
        scores: Tensor, alpha: float, target: Predictions, labels: Tensor, classes: tuple[int, ...]
    ) -> Tensor:
        """Return ``(k, S)`` accuracies for blended logits, ``scores`` being ``(N, F, k, S)``."""
        index = torch.tensor(classes, device=labels.device)
        old = target.logits[:, index][:, :, None, None]
        forgotten, which = blend(scores, old, alpha).max(dim=1)
        retained, other = target.logits.index_fill(1, index, -torch.inf).max(dim=1)
        predicted = torch.where(
            forgotten > retained[:, None, None], index[which], other[:, None, None]
        )
        return (predicted == labels[:, None, None]).double().mean(dim=0)
