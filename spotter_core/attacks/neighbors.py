"""The nearest of the attacker's images instead of their mean: what tight clusters can't fool.

Layer 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from spotter_core.attacks.class_means import cosines
from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen


@dataclass(frozen=True)
class NearestImage(HeadAttack):
    """Largest cosine with one of the attacker's images, alone or less that with a retained mean.

    A penalty on the mean cosine of a class is met by K tight, mutually orthogonal clusters as well,
    at 1/K; their mean is like none of them, but every member is like some other.
    """

    name: ClassVar[str] = "nearest_image"

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield both detectors."""
        images, means = attacker.support, attacker.reference.means

        def alone(seen: Seen) -> Tensor:
            # draw by draw: all at once would be S K cosines for every sample
            return torch.stack([cosines(seen.features, own).amax(dim=2).T for own in images])

        def against(seen: Seen) -> Tensor:
            return alone(seen) - cosines(seen.features, means).amax(dim=1, keepdim=True)

        yield {"against": "nothing"}, alone
        yield {"against": "retained means"}, against
