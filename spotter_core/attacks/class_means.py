"""The mean of the attacker's images as seen from the retained classes: by cosine, and whitened.

Layer 4. Both look at the direction from the center of the retained classes to that mean and at
nothing else, so that images of other classes lead nowhere. Competing with the retained means as
well (:mod:`~spotter_core.attacks.all_means`) also finds what is merely like none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen


@dataclass(frozen=True)
class NearestMean(HeadAttack):
    """Largest cosine with the attacker's mean, both as seen from the center of retained classes.

    References:
        Snell et al. (2017), prototypical networks; the center is ours: features behind a ReLU all
        point one way.
    """

    name: ClassVar[str] = "nearest_mean"

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield the one detector."""
        center = attacker.reference.center
        own = attacker.means - center
        yield {}, lambda seen: cosines(seen.features - center, own)


@dataclass(frozen=True)
class WhitenedMean(HeadAttack):
    r"""Linear discriminant analysis: the attacker's mean against the center, shrunk covariance.

    :math:`(\mu_f - \bar\mu)^T S^{-1} \phi` with :math:`S = (1-s) \hat S + s \frac{tr \hat S}{D} I`
    around the retained class means. Whitening undoes a dispersion that is alike in all directions.

    Attributes:
        shrinkage: Values of s on offer, in (0, 1].
    """

    name: ClassVar[str] = "lda"
    shrinkage: tuple[float, ...] = (0.001, 0.01, 0.1, 0.5)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every shrinkage."""
        for s in self.shrinkage:
            rows = (attacker.means - attacker.reference.center) @ attacker.reference.inverse(s)

            def detector(seen: Seen, rows: Tensor = rows) -> Tensor:
                return seen.features @ rows.mT

            yield {"shrinkage": s}, detector


def cosines(features: Tensor, means: Tensor) -> Tensor:
    """Return ``(..., N, M)`` cosines of ``(N, D)`` with ``(..., M, D)``."""
    return F.normalize(features, dim=-1) @ F.normalize(means, dim=-1).mT


def closeness(features: Tensor, means: Tensor, inverse: Tensor | None = None) -> Tensor:
    """Return ``(..., N, M)`` negative squared distances, less a part that all means share.

    Args:
        features: ``(N, D)``.
        means: ``(..., M, D)``.
        inverse: ``(D, D)`` of a covariance, for Mahalanobis distances; ``None``: Euclidean.
    """
    rows = means if inverse is None else means @ inverse
    return 2.0 * features @ rows.mT - (rows * means).sum(dim=-1)[..., None, :]


def distances(features: Tensor, means: Tensor, inverse: Tensor) -> Tensor:
    """Return ``(N, M)`` Mahalanobis distances of ``(N, D)`` from ``(M, D)``."""
    root = torch.linalg.cholesky(inverse)
    return torch.cdist(features @ root, means @ root)
