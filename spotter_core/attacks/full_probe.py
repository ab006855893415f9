"""A new head on frozen features, trained on all images: what any head could do.

Layer 4. No attacker with a handful of images; the upper bound of those who leave the features as
they are.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spotter_core.attacks.detection import Seen


class Rows(NamedTuple):
    """A linear head: ``(M,)`` classes, their ``(M, D)`` rows and ``(M,)`` biases."""

    classes: Tensor
    weight: Tensor
    bias: Tensor


def fit_head(seen: Seen) -> Rows:
    """Return the rows of a logistic regression on features, every class of equal weight.

    Features are standardised inside; the penalty is scikit-learn's default, L2 with C = 1. A single
    class gets a row of zeros.

    Args:
        seen: Samples of the classes to tell apart.
    """
    # here, since whoever only reads rows or draws should not wait for it
    from sklearn.linear_model import LogisticRegression

    features, classes = seen.features.cpu().numpy(), seen.labels.unique()
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0.0] = 1.0
    rows, biases = np.zeros((len(classes), features.shape[1])), np.zeros(len(classes))
    if len(classes) > 1:
        probe = LogisticRegression(class_weight="balanced", max_iter=500)
        probe.fit((features - mean) / spread, seen.labels.cpu().numpy())
        # of two classes it has one row, the second's
        rows[-len(probe.coef_) :] = probe.coef_ / spread
        biases[-len(probe.coef_) :] = probe.intercept_ - probe.coef_ @ (mean / spread)
    found = (torch.as_tensor(values).to(seen.features) for values in (rows, biases))
    return Rows(classes, *found)


def full_probe(pool: Seen, reference: Seen, targets: Mapping[str, Seen]) -> dict[str, float]:
    """Return the accuracy of :func:`fit_head` over all classes, by target, in [0, 1].

    Args:
        pool: All training samples of the forget classes.
        reference: Retained ones.
        targets: Samples to score on.

    References:
        The "knowledge retention" test of the ESC code, a new head on a frozen backbone, here
        trained to its optimum.
    """
    head = fit_head(Seen(*(torch.cat(pair) for pair in zip(pool, reference, strict=True))))
    found = {}
    for where, seen in targets.items():
        logits = seen.features @ head.weight.T + head.bias
        right = head.classes[logits.argmax(dim=1)] == seen.labels
        found[where] = right.double().mean().item()
    return found
