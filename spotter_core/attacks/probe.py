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
        classes = len(attacker.reference.classes)
        retained = attacker.reference.moments
        own = {c: moments(attacker.of_class(c)) for c in attacker.forget_classes}
        eye = torch.eye(len(retained[0]), dtype=retained[0].dtype, device=retained[0].device)
        fits = []
        for c, (mean_f, moment_f) in own.items():
            rest = [pair for other, pair in own.items() if other != c]
            mean_r, moment_r = (
                (classes * of_retained + sum(others)) / (classes + len(rest))
                for of_retained, *others in zip(retained, *rest, strict=True)
            )
            middle = 0.5 * (mean_f + mean_r)
            spread = 0.5 * (moment_f + moment_r) - torch.outer(middle, middle)
            fits.append((spread, spread.diagonal().mean().clamp_min(1e-12), mean_f - mean_r))
        for ridge in self.ridges:
            rows = torch.stack(
                [
                    torch.linalg.solve(spread + ridge * size * eye, apart) / 4.0
                    for spread, size, apart in fits
                ]
            )

            def detector(seen: Seen, rows: Tensor = rows) -> Tensor:
                return seen.features @ rows.T

            yield {"ridge": ridge}, detector
