"""Accuracies, over-unlearning with its two parts, and how tightly embeddings sit together.

Layer 3: functions of cached predictions, computed in float64; the accumulator only adds up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spotter_core._checks import (
    check_forget_classes,
    check_fraction,
    check_labels,
    check_logits,
    check_same_shape,
)
from spotter_core.divergence import js_divergence, masked_log_softmax
from spotter_core.losses import Reduction, dispersion_loss, reduce


def over_unlearning(
    original_logits: Tensor,
    unlearned_logits: Tensor,
    forget_classes: Sequence[int],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""OU@epsilon on perturbed forget samples: :math:`JS(\tilde\sigma(z_0) \| \sigma(z_u))`.

    The original's softmax is masked, the unlearned model's is not, so the value mixes what is left
    of the forget classes with what became of the others; see :func:`residual_forget_mass` and
    :func:`conditional_shift`. It measures closeness to the *original*: a retrained model, which
    never was that model, is far from 0.

    Args:
        original_logits: ``(N, C)`` of the original on points of the neighborhood.
        unlearned_logits: ``(N, C)`` of the unlearned model on the same points.
        forget_classes: Indices in ``[0, C)``; not empty, not all of them.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for shape ``(N,)``.

    Returns:
        Nats in ``[0, ln 2]``, float64, lower is better.

    Raises:
        ValueError: If shapes differ, a logit is NaN, or ``forget_classes`` is no proper non-empty
            subset.

    References:
        Ha et al. (2025), arXiv:2506.01318, OU@epsilon.
    """
    check_same_shape(original_logits=original_logits, unlearned_logits=unlearned_logits)
    check_logits(unlearned_logits=unlearned_logits)
    log_p = masked_log_softmax(original_logits.double(), forget_classes)
    return reduce(js_divergence(log_p, unlearned_logits.double().log_softmax(dim=1)), reduction)


def residual_forget_mass(
    original_logits: Tensor,
    unlearned_logits: Tensor,
    forget_classes: Sequence[int],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Probability m that the unlearned model still gives to the forget classes.

    Arguments as in :func:`over_unlearning`; the original's logits are checked and not used.

    Returns:
        ``m`` in ``[0, 1]``, float64. With a perfect conditional, OU is ``mass_floor(m)``.
    """
    check_same_shape(original_logits=original_logits, unlearned_logits=unlearned_logits)
    check_logits(unlearned_logits=unlearned_logits)
    classes = check_forget_classes(forget_classes, unlearned_logits.shape[1])
    # the sum over the forget classes, not 1 - the rest: exact when the mass is tiny
    mass = unlearned_logits.double().softmax(dim=1)[:, list(classes)].sum(dim=1)
    return reduce(mass.clamp(max=1.0), reduction)  # rounding can pass 1 by some 1e-16


def conditional_shift(
    original_logits: Tensor,
    unlearned_logits: Tensor,
    forget_classes: Sequence[int],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Damage to the rest alone: :math:`JS(\tilde\sigma(z_0) \| \tilde\sigma(z_u))`, both masked.

    Arguments as in :func:`over_unlearning`.

    Returns:
        Nats in ``[0, ln 2]``, float64; 0 if only the forget classes' logits changed.
    """
    check_same_shape(original_logits=original_logits, unlearned_logits=unlearned_logits)
    log_p = masked_log_softmax(original_logits.double(), forget_classes)
    log_q = masked_log_softmax(unlearned_logits.double(), forget_classes)
    return reduce(js_divergence(log_p, log_q), reduction)


def mass_floor(mass: Tensor) -> Tensor:
    r"""OU of a model with residual forget mass m and an otherwise perfect conditional, J(m).

    :math:`J(m) = \frac12 [\ln\frac{2}{2-m} + (1-m) \ln\frac{2(1-m)}{2-m} + m \ln 2]`. No model
    with that mass has a smaller OU (data processing inequality), sample by sample.

    Args:
        mass: Any shape, in ``[0, 1]``.

    Returns:
        Nats in ``[0, ln 2]``, float64, of the same shape.
    """
    check_fraction(**{"mass.min()": mass.min().item(), "mass.max()": mass.max().item()})
    m = mass.double()
    kept = torch.special.xlogy(1 - m, 2 * (1 - m) / (2 - m))
    floor: Tensor = 0.5 * (torch.log(2 / (2 - m)) + kept + m * math.log(2.0))
    return floor


@dataclass
class OverUnlearning:
    """Mean of :func:`over_unlearning` over batches; exact when the last one is short."""

    forget_classes: Sequence[int]
    total: float = 0.0
    count: int = 0

    def update(self, original_logits: Tensor, unlearned_logits: Tensor) -> None:
        """Add a batch of ``(N, C)`` logits."""
        each = over_unlearning(
            original_logits, unlearned_logits, self.forget_classes, reduction="none"
        )
        self.total += each.sum().item()
        self.count += len(each)

    def compute(self) -> float:
        """Return the mean so far, in nats.

        Raises:
            RuntimeError: If no sample was seen.
        """
        if self.count == 0:
            raise RuntimeError("OverUnlearning.compute() before update(): no samples seen")
        return self.total / self.count


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the fraction of samples whose largest logit is their label's, in [0, 1].

    Raises:
        ValueError: If there is no sample, a logit is NaN, or labels do not match.
    """
    check_logits(logits=logits)
    check_labels(labels, len(logits))
    if len(labels) == 0:
        raise ValueError("logits is empty: the accuracy of no samples is undefined")
    return (logits.argmax(dim=1) == labels).double().mean().item()


def mean_cosine_similarity(features: Tensor, labels: Tensor) -> float:
    """Return the mean cosine over pairs of different samples of one class, in float64.

    The number behind :func:`~spotter_core.losses.dispersion_loss`; the published Spotter network
    reaches 0.19 on its forget class, its original has 0.92.
    """
    return dispersion_loss(features.detach().double(), labels).item()


def knn_purity(
    features: Tensor, labels: Tensor, forget_classes: Sequence[int], *, k: int = 10
) -> float:
    """Return how far forget samples keep to themselves, in [0, 1].

    The share of their k nearest neighbors (cosine, among all samples passed) that bear their own
    label.

    Raises:
        ValueError: If k is not below the number of samples, or no sample is of a forget class.
    """
    from sklearn.neighbors import NearestNeighbors

    check_labels(labels, len(features))
    if not 1 <= k < len(features):
        raise ValueError(
            f"k must lie in [1, {len(features) - 1}] for {len(features)} samples, got {k}"
        )
    own = labels.cpu().numpy()
    asked = (
        torch.isin(labels, torch.tensor(list(forget_classes), device=labels.device)).cpu().numpy()
    )
    if not asked.any():
        raise ValueError(f"labels holds no sample of forget_classes {list(forget_classes)}")
    table = features.detach().double().cpu().numpy()
    # brute force and one neighbor more, because the sample itself is dropped: by its index, since
    # among equal features it need not come first (and may not be found: then the last is dropped)
    search = NearestNeighbors(n_neighbors=k + 1, metric="cosine", algorithm="brute").fit(table)
    found = search.kneighbors(table[asked], return_distance=False)
    others = found != asked.nonzero()[0][:, None]
    others[others.all(axis=1), -1] = False
    near = own[found[others]].reshape(-1, k)
    return float((near == own[asked][:, None]).mean())
