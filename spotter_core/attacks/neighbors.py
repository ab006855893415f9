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
    """Largest cosine with one of the attacker's images, as seen from the retained classes' center.

    A penalty on the mean cosine of a class is met by K tight, mutually orthogonal clusters as well,
    at 1/K; their mean is like none of them, but every member is like some other.
    """

    name: ClassVar[str] = "nearest_image"

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield the one detector."""
        center = attacker.reference.center
        images = attacker.support - center

        def nearest(seen: Seen) -> Tensor:
            # draw by draw: all at once would be S K cosines for every sample
            features = seen.features - center
            return torch.stack([cosines(features, own).amax(dim=2).T for own in images])

        yield {}, nearest
