"""The attacker's mean among the means of all classes, and what is like none of them.

Layer 4. In the competition a sample can win for the forgotten class by being unlike every retained
one, whatever the attacker's images are. How far that alone leads is measured beside it, by an
attack that holds no image of the class.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from spotter_core.attacks.class_means import closeness, cosines, distances
from spotter_core.attacks.detection import Attacker, Detector, HeadAttack, Seen, without

Scores = Callable[[Tensor, Tensor], Tensor]
"""(features ``(N, D)``, means ``(..., M, D)``) -> ``(..., N, M)``, larger is nearer"""


@dataclass(frozen=True)
class AllMeans(HeadAttack):
    """Nearest class mean: cosine, Euclidean, or whitened as in linear discriminant analysis.

    The head is not looked at.

    Attributes:
        shrinkage: Of the whitened ones, in (0, 1].

    References:
        Snell et al. (2017), prototypical networks, with prototypes of all classes.
    """

    name: ClassVar[str] = "all_means"
    shrinkage: tuple[float, ...] = (0.001, 0.01, 0.1, 0.5)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every distance."""
        own, others = attacker.means, attacker.reference.means

        def against(scores: Scores) -> Detector:
            def margin(seen: Seen) -> Tensor:
                best = scores(seen.features, others).amax(dim=-1, keepdim=True)
                return scores(seen.features, own) - best

            return margin

        yield {"distance": "cosine"}, against(cosines)
        yield {"distance": "euclidean"}, against(closeness)
        for s in self.shrinkage:
            inverse = attacker.reference.inverse(s)

            def whitened(features: Tensor, means: Tensor, inverse: Tensor = inverse) -> Tensor:
                return closeness(features, means, inverse)

            yield {"distance": "whitened", "shrinkage": s}, against(whitened)


@dataclass(frozen=True)
class Novelty(HeadAttack):
    """What is like no retained class is the forgotten one: no image of it is needed.

    By the largest retained logit, the largest cosine with a retained mean, or the distance from the
    nearest one, whitened. Several forget classes can't be told apart.

    Attributes:
        shrinkage: Of the whitened ones, in (0, 1].

    References:
        Hendrycks & Gimpel (2017) by the head, Lee et al. (2018) by Mahalanobis distance.
    """

    name: ClassVar[str] = "novelty"
    needs_images: ClassVar[bool] = False
    shrinkage: tuple[float, ...] = (0.001, 0.01, 0.1, 0.5)

    def detectors(self, attacker: Attacker) -> Iterator[tuple[dict[str, Any], Detector]]:
        """Yield a detector for every measure of likeness."""
        classes, means = list(attacker.forget_classes), attacker.reference.means

        def alike(likeness: Callable[[Seen], Tensor]) -> Detector:
            def margin(seen: Seen) -> Tensor:  # the same for every draw and forget class
                own = -likeness(seen)
                return own[None, :, None].expand(len(attacker.support), -1, len(classes))

            return margin

        yield {"likeness": "logit"}, alike(lambda seen: without(seen.logits, classes).amax(dim=1))
        yield {"likeness": "cosine"}, alike(lambda seen: cosines(seen.features, means).amax(dim=1))
        for s in self.shrinkage:
            inverse = attacker.reference.inverse(s)

            def nearest(seen: Seen, inverse: Tensor = inverse) -> Tensor:
                return -distances(seen.features, means, inverse).amin(dim=1)

            yield {"likeness": "distance", "shrinkage": s}, alike(nearest)
