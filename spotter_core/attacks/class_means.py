"""The forgotten class beside the means of the retained ones: nearest mean, plain and whitened.

Layer 4.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen

Scores = Callable[[Tensor, Tensor], Tensor]
"""(features ``(N, D)``, means ``(..., M, D)``) -> ``(..., N, M)``"""


@dataclass(frozen=True)
class NearestMean(HeadAttack):
    """Nearest class mean, by cosine or Euclidean distance; the head is not looked at.

    References:
        Snell et al. (2017), prototypical networks, with prototypes of all classes.
    """

    name: ClassVar[str] = "nearest_mean"

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield the detector of either distance."""
        own, others = attacker.means, attacker.reference.means
        yield {"distance": "cosine"}, lambda seen: margin(cosines, seen, own, others)
        yield {"distance": "euclidean"}, lambda seen: margin(closeness, seen, own, others)


@dataclass(frozen=True)
class WhitenedMean(HeadAttack):
    r"""Linear discriminant analysis with a shrunk covariance, around the retained class means.

    :math:`s_c(\phi) = \mu_c^T S^{-1} \phi - \frac12 \mu_c^T S^{-1} \mu_c` with
    :math:`S = (1-s) \hat S + s \frac{tr \hat S}{D} I`. Whitening undoes a dispersion that is alike
    in all directions.

    Attributes:
        shrinkage: Values of s on offer, in (0, 1].
    """

    name: ClassVar[str] = "lda"
    shrinkage: tuple[float, ...] = (0.001, 0.01, 0.1, 0.5)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every shrinkage."""
        scatter = attacker.reference.scatter
        size = scatter.diagonal().mean().clamp_min(1e-12)
        eye = torch.eye(len(scatter), dtype=scatter.dtype, device=scatter.device)
        own, others = attacker.means, attacker.reference.means
        for s in self.shrinkage:
            inverse = torch.linalg.inv((1 - s) * scatter + s * size * eye)

            def scores(features: Tensor, means: Tensor, inverse: Tensor = inverse) -> Tensor:
                rows = means @ inverse
                return features @ rows.mT - 0.5 * (rows * means).sum(dim=-1)[..., None, :]

            def detector(seen: Seen, scores: Scores = scores) -> Tensor:
                return margin(scores, seen, own, others)

            yield {"shrinkage": s}, detector


def margin(scores: Scores, seen: Seen, own: Tensor, others: Tensor) -> Tensor:
    """Return ``(S, N, F)``: a forget mean's score less the best retained mean's."""
    best = scores(seen.features, others).amax(dim=-1, keepdim=True)
    return scores(seen.features, own) - best


def cosines(features: Tensor, means: Tensor) -> Tensor:
    """Return ``(..., N, M)`` cosines of ``(N, D)`` with ``(..., M, D)``."""
    return F.normalize(features, dim=-1) @ F.normalize(means, dim=-1).mT


def closeness(features: Tensor, means: Tensor) -> Tensor:
    """Return ``(..., N, M)`` negative squared distances, less a part that all means share."""
    return 2.0 * features @ means.mT - means.square().sum(dim=-1)[..., None, :]
