"""The three terms of Spotter, and their sum.

Layer 2: tensors in, tensors out. No model is called here, no retained sample is asked for.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from spotter_core._checks import (
    check_choice,
    check_forget_classes,
    check_fraction,
    check_labels,
    check_same_shape,
)
from spotter_core.divergence import kl_divergence, masked_log_softmax

Reduction = Literal["mean", "sum", "none"]
BaseLoss = Callable[[Tensor, Tensor], Tensor]
"""``(student_logits (N, C), targets (N, ...)) -> scalar``: any method's own unlearning loss."""


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Return the mean or sum of ``(N,)`` values, or the values; ``ValueError`` on another word."""
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


def masked_distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    forget_classes: Sequence[int],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""KL divergence to the student from the teacher with the forget classes cut out.

    :math:`KL(\tilde\sigma(z_0) \,\|\, \sigma(z_u))`, the terms :math:`L_u` (on forget samples) and
    :math:`L_o` (on their perturbed twins) of Spotter; alone on forget samples it is DELETE.

    Args:
        student_logits: ``(N, C)``, the network in training; the only path of gradient.
        teacher_logits: ``(N, C)``, the frozen original; detached here.
        forget_classes: Indices in ``[0, C)``; not empty, not all of them.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for shape ``(N,)``.

    Returns:
        Nats, ``>= 0``.

    Raises:
        ValueError: If shapes differ, a logit is NaN, or ``forget_classes`` is no proper non-empty
            subset.

    References:
        Ha et al. (2025), arXiv:2506.01318, masked distillation; Zhou et al. (2025), DELETE.
    """
    check_same_shape(student_logits=student_logits, teacher_logits=teacher_logits)
    log_target = masked_log_softmax(teacher_logits.detach(), forget_classes)
    return reduce(kl_divergence(log_target, student_logits.log_softmax(dim=1)), reduction)


def dispersion_loss(features: Tensor, labels: Tensor) -> Tensor:
    r"""Mean cosine similarity over ordered pairs of different samples of the same class.

    :math:`L_{sim}` of Spotter, in O(N D) instead of O(N² D): with unit vectors :math:`u_i`, the sum
    over pairs of a class is :math:`\|\sum_i u_i\|^2 - \sum_i \|u_i\|^2`, exactly.

    Args:
        features: ``(N, D)``; a zero vector has similarity 0 to all others and no gradient.
        labels: ``(N,)`` integers. A class with one sample has no pair: it contributes nothing.

    Returns:
        Scalar in ``[-1, 1]``; a differentiable 0 where there is no pair at all.

    Raises:
        ValueError: If ``features`` is not ``(N, D)`` or ``labels`` not ``(N,)``.

    References:
        Ha et al. (2025), arXiv:2506.01318, the intra-class dispersion loss.

    Example:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
        >>> dispersion_loss(features, torch.tensor([7, 7, 7]))
        tensor(0.4714)
    """
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"features must be a floating-point (N, D) tensor, "
            f"got {features.dtype} of shape {tuple(features.shape)}"
        )
    check_labels(labels, len(features))
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()  # sums of thousands of unit vectors need the digits
    _, group, counts = labels.unique(return_inverse=True, return_counts=True)
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        return (features * 0.0).sum()
    norms = features.norm(dim=1, keepdim=True)
    units = features / norms.where(norms > 0, torch.inf)  # x / inf: value and gradient are 0
    sums = units.new_zeros(len(counts), units.shape[1]).index_add(0, group, units)
    similarity: Tensor = (sums.square().sum() - units.square().sum()) / pairs
    return similarity


class SpotterTerms(NamedTuple):
    """The unweighted terms of one batch, scalars."""

    unlearning: Tensor
    over_unlearning: Tensor
    dispersion: Tensor


class SpotterLoss(nn.Module):
    r"""Spotter's objective: :math:`\lambda_1 L_u + (1 - \lambda_1) L_o + \lambda_2 L_{sim}`.

    Reads the forget samples, their perturbed twins and the original's outputs on both; no retained
    sample. In the plug-and-play form :math:`L_u` is ``base_loss``, any method's own.

    Args:
        forget_classes: Indices in ``[0, C)``; not empty, not all of them.
        lambda_1: Weight of forgetting against protecting the neighborhood, in ``[0, 1]``.
        lambda_2: Weight of dispersion, ``>= 0``.
        base_loss: ``(student_logits, targets) -> scalar``. ``None``: masked distillation, whose
            targets are the original's logits.

    Raises:
        ValueError: If a weight is out of its range.

    References:
        Ha et al. (2025), arXiv:2506.01318, the Spotter objective.
    """

    def __init__(
        self,
        forget_classes: Sequence[int],
        *,
        lambda_1: float = 0.7,
        lambda_2: float = 1.0,
        base_loss: BaseLoss | None = None,
    ) -> None:
        super().__init__()
        check_fraction(lambda_1=lambda_1)
        if not lambda_2 >= 0.0:
            raise ValueError(f"lambda_2 must be at least 0, got {lambda_2}")
        # how many classes there are is known when logits come; until then what can be is checked
        self.forget_classes = check_forget_classes(forget_classes, sys.maxsize)
        self.lambda_1 = lambda_1
        self.lambda_2 = lambda_2
        self.base_loss: BaseLoss = base_loss or self.distil

    def distil(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Masked distillation from ``teacher_logits`` with this loss's forget classes; scalar."""
        return masked_distillation_loss(student_logits, teacher_logits, self.forget_classes)

    def terms(
        self,
        student_logits: Tensor,
        targets: Tensor,
        near_student_logits: Tensor,
        near_teacher_logits: Tensor,
        features: Tensor,
        labels: Tensor,
    ) -> SpotterTerms:
        """Return the three unweighted terms; arguments as in :meth:`forward`."""
        return SpotterTerms(
            unlearning=self.base_loss(student_logits, targets),
            over_unlearning=self.distil(near_student_logits, near_teacher_logits),
            dispersion=dispersion_loss(features, labels),
        )

    def forward(
        self,
        student_logits: Tensor,
        targets: Tensor,
        near_student_logits: Tensor,
        near_teacher_logits: Tensor,
        features: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Return the weighted sum for one batch of forget samples.

        Args:
            student_logits: ``(N, C)`` of the network in training on the forget samples.
            targets: What ``base_loss`` compares them with; for the default the original's logits
                ``(N, C)`` on the same samples.
            near_student_logits: ``(M, C)`` of the network in training on the perturbed twins.
            near_teacher_logits: ``(M, C)`` of the original on the perturbed twins.
            features: ``(N, D)`` of the network in training on the forget samples.
            labels: ``(N,)`` classes of the forget samples.

        Raises:
            ValueError: If shapes do not match or a logit is NaN.
        """
        return self.weigh(
            self.terms(
                student_logits, targets, near_student_logits, near_teacher_logits, features, labels
            )
        )

    def weigh(self, terms: SpotterTerms) -> Tensor:
        """Return the weighted sum of the three terms."""
        return (
            self.lambda_1 * terms.unlearning
            + (1.0 - self.lambda_1) * terms.over_unlearning
            + self.lambda_2 * terms.dispersion
        )
