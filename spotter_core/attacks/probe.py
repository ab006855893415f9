"""A linear probe: a row of its own for the forgotten class, fitted against retained samples.

Layer 4. With all forget samples as support it bounds what any row of the head could do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen, moments


@dataclass(frozen=True)
class LinearProbe(HeadAttack):
    r"""Ridge regression of "is it the class", both answers of equal weight, on frozen features.

    :math:`w = (S + \rho \frac{tr S}{D} I)^{-1} (\mu_f - \mu_r) / 4`, S being the covariance of a
    mixture in which the attacker's samples weigh as much as the others: his retained ones, and
    those of other forget classes, each as much as one retained class.

    Attributes:
        ridges: Values of rho on offer, above 0.
    """

    name: ClassVar[str] = "linear_probe"
    ridges: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every ridge."""
        rows = [self.rows_of(attacker, place) for place in range(len(attacker.forget_classes))]
        for ridge, of_classes in zip(self.ridges, zip(*rows, strict=True), strict=True):
            weight = torch.stack(of_classes, dim=1)  # (S, F, D)

            def detector(seen: Seen, weight: Tensor = weight) -> Tensor:
                return seen.features @ weight.mT

            yield {"ridge": ridge}, detector

    def rows_of(self, attacker: Attacker, place: int) -> list[Tensor]:
        """Return ``(S, D)`` rows of one forget class, one tensor a ridge."""
        own = moments(attacker.support)  # (S, F, D) and (S, F, D, D)
        mean_f, moment_f = (values[:, place] for values in own)
        retained = attacker.reference.moments
        classes, rest = len(attacker.reference.classes), own[0].shape[1] - 1
        mean_r, moment_r = (
            (classes * of_retained + values.sum(dim=1) - values[:, place]) / (classes + rest)
            for of_retained, values in zip(retained, own, strict=True)
        )
        middle = 0.5 * (mean_f + mean_r)
        spread = 0.5 * (moment_f + moment_r) - middle[:, :, None] * middle[:, None, :]
        size = spread.diagonal(dim1=1, dim2=2).mean(dim=1).clamp_min(1e-12)
        eye = torch.eye(spread.shape[1], dtype=spread.dtype, device=spread.device)
        return [
            torch.linalg.solve(spread + ridge * size[:, None, None] * eye, mean_f - mean_r) / 4.0
            for ridge in self.ridges
        ]
