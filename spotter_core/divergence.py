"""Distances between class distributions, with the forget classes cut out.

Layer 1: tensors in, tensors out. No model, no device choice, no I/O, no randomness. All in log
space and without an epsilon: a class of probability 0 costs nothing, exactly.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from spotter_core._checks import check_forget_classes, check_logits, check_same_shape


def masked_log_softmax(logits: Tensor, forget_classes: Sequence[int]) -> Tensor:
    r"""Log of masked softmax :math:`\tilde\sigma(z)`: forget classes at 0, the rest renormalised.

    The mask is set on the *logits*, so the result sums to one however certain the network is of a
    forgotten class. Masking probabilities and dividing by ``sum + 1e-10``, as the published code
    does, keeps 0.56 of the mass at a forget margin of 25 nats and 0.01 at 30.

    Args:
        logits: ``(N, C)``, floating point; ``-inf`` allowed.
        forget_classes: Indices in ``[0, C)``; not empty, not all of them.

    Returns:
        ``(N, C)`` log-probabilities, ``-inf`` at the forget classes. The gradient is finite, and 0
        at the forget classes.

    Raises:
        ValueError: If ``logits`` is not ``(N, C)`` or holds NaN, if a row has no retained class of
            finite logit, or if ``forget_classes`` is no proper non-empty subset.

    References:
        Ha et al. (2025), arXiv:2506.01318, the masked softmax of OU@epsilon.

    Example:
        >>> masked_log_softmax(torch.tensor([[200.0, 1.0, 1.0]]), [0]).exp()
        tensor([[0.0000, 0.5000, 0.5000]])
    """
    check_logits(logits=logits)
    classes = check_forget_classes(forget_classes, logits.shape[1])
    index = torch.tensor(classes, device=logits.device)
    masked = logits.index_fill(1, index, -torch.inf)
    if len(masked) and bool((masked.detach().amax(dim=1) == -torch.inf).any()):
        raise ValueError(
            "logits has a row whose retained classes are all -inf: its masked softmax is undefined"
        )
    return masked.log_softmax(dim=1)


def js_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two sets of distributions.

    ``JS = KL(p || m) / 2 + KL(q || m) / 2`` with ``m = (p + q) / 2``; exact, with finite gradient,
    where ``p`` or ``q`` or both are 0 (torchmetrics 1.9 gives NaN there).

    Args:
        log_p: ``(N, C)`` log-probabilities; ``-inf`` is probability 0.
        log_q: ``(N, C)`` log-probabilities; ``-inf`` is probability 0.

    Returns:
        ``(N,)`` nats in ``[0, ln 2]``, symmetric in its arguments.

    Raises:
        ValueError: If the shapes differ or a value is NaN.

    Example:
        >>> one_hot = torch.eye(2, dtype=torch.float64).log()
        >>> js_divergence(one_hot, one_hot.flip(0)).round(decimals=4)
        tensor([0.6931, 0.6931], dtype=torch.float64)
    """
    check_same_shape(log_p=log_p, log_q=log_q)
    check_logits(log_p=log_p, log_q=log_q)
    # A finite floor instead of -inf: exp() of it is exactly 0, and 0 * floor is 0 where
    # 0 * -inf would be NaN; clamp passes no gradient below the floor.
    floor = torch.finfo(log_p.dtype).min / 4
    log_p, log_q = log_p.clamp_min(floor), log_q.clamp_min(floor)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    terms = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return (0.5 * terms.sum(dim=1)).clamp(0.0, math.log(2.0))


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``KL(p || q)`` to ``q`` from ``p``.

    Args:
        log_p: ``(N, C)`` log-probabilities; ``-inf`` is probability 0 and contributes exactly 0.
        log_q: ``(N, C)`` log-probabilities.

    Returns:
        ``(N,)`` nats, ``>= 0``; ``inf`` where ``q`` is 0 and ``p`` is not.

    Raises:
        ValueError: If the shapes differ or a value is NaN.
    """
    check_same_shape(log_p=log_p, log_q=log_q)
    check_logits(log_p=log_p, log_q=log_q)
    absent = log_p.detach().exp() == 0.0  # -inf, or finite and so low that exp() underflows
    # both sides are replaced by 0 before the product, so neither value nor gradient meets inf
    difference = log_p.masked_fill(absent, 0.0) - log_q.masked_fill(absent, 0.0)
    return (log_p.exp() * difference).sum(dim=1).clamp_min(0.0)
