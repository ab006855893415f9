"""Prototypes as rows of the head: as published, and with their length and threshold set properly.

Layer 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen, without
from spotter_core.attacks.prototype import Metric, blend, prototype_rows, row_scale


@dataclass(frozen=True)
class PublishedRow(HeadAttack):
    """PRA: a unit-length prototype is blended into the forget class's row, which then competes.

    Attributes:
        alphas: The attacker chooses among them; 0 is no attack.
        metric: ``"cosine"`` or ``"l2"``.

    References:
        Ha et al. (2025), arXiv:2506.01318, Prototypical Relearning Attack.
    """

    name: ClassVar[str] = "pra"
    calibrated: ClassVar[bool] = False
    alphas: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    metric: Metric = "cosine"

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every alpha."""
        for alpha in self.alphas:
            yield {"alpha": alpha}, row_detector(attacker, self.metric, alpha=alpha)


@dataclass(frozen=True)
class CalibratedRow(HeadAttack):
    """PRA whose row has a length among the retained rows' and a threshold of its own.

    The published row has length 1 among rows that are longer or shorter; what that costs the
    attacker differs by model.

    Attributes:
        scales: Lengths on offer, in units of the mean length of the retained rows.
    """

    name: ClassVar[str] = "pra_calibrated"
    scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every length."""
        for scale in self.scales:
            yield {"scale": scale}, row_detector(attacker, "cosine", scale=scale)


def row_detector(
    attacker: Attacker, metric: Metric, *, alpha: float = 1.0, scale: float | None = None
) -> Detector:
    """Return the margin of prototype rows over the head's retained rows."""
    classes = list(attacker.forget_classes)
    length = row_scale(attacker.head.weight, classes, scale)
    rows, biases = prototype_rows(attacker.support, metric, length)

    def margin(seen: Seen) -> Tensor:
        index = torch.tensor(classes, device=seen.logits.device)
        new = seen.features @ rows.mT + biases[:, None]
        others = without(seen.logits, classes).amax(dim=1, keepdim=True)
        return blend(new, seen.logits[:, index], alpha) - others

    return margin
