"""How fast a class is learned that the network once knew, beside one that it never saw."""

import math
from dataclasses import dataclass

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.relearning.descent import share_right, students


@dataclass(frozen=True)
class Reminded:
    """Steps until the attacker's images were learned, by learning rate.

    Attributes:
        forget: Of the forget class's.
        never_seen: Of the class's that no network saw, under the same label.
    """

    forget: dict[float, int]
    never_seen: dict[float, int]

    def score(self, learning_rate: float) -> int:
        """Return how many steps later the class never seen is learned; above 0: remembered."""
        return self.never_seen[learning_rate] - self.forget[learning_rate]

    def mean_score(self) -> float:
        """Return the mean of the scores over the learning rates."""
        return sum(map(self.score, self.forget)) / len(self.forget)


@dataclass(frozen=True)
class Reminiscence:
    """Convergence speed: a network learns a class anew sooner if it was trained on it before.

    Every step descends one batch of the attacker's images with retained ones beside them. The index
    of a class is the first step after which enough of his images are right: 0 for a network that
    knows them as it is found, and ``limit + 1`` where that never comes, so that a score is then a
    bound. An oracle's own score tells what the two classes differ by without any memory.

    Attributes:
        share: Of the forget class's training images that the attacker holds.
        at_least: Images, where that share would be fewer; all, where there are no more.
        learning_rates: Each has an index of its own; none is chosen.
        limit: Steps.
        reached: Accuracy on the attacker's images that counts as learned.
        batch_size: His images in a step; all of fewer. Ours.
        beside: Retained images in a step.
        momentum: Of SGD.

    References:
        Xiao et al., ICCV 2025, arXiv:2507.20573, class-wise Reminiscence Attack; share, learning
        rates, limit, threshold and retained images are those of the authors' code. Theirs takes
        another data set's class as never seen; frozen batch norm and ``at_least`` are ours.
    """

    share: float = 0.03
    at_least: int = 10
    learning_rates: tuple[float, ...] = (0.001, 0.005, 0.006, 0.01, 0.012)
    limit: int = 75
    reached: float = 0.9
    batch_size: int = 64
    beside: int = 14
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_fraction(share=self.share, reached=self.reached)
        for name in ("at_least", "limit", "batch_size", "beside"):
            check_positive(**{name: getattr(self, name)})
        for rate in self.learning_rates:
            check_positive(learning_rates=rate)

    def images_of(self, available: int) -> int:
        """Return how many of that many images of a class the attacker holds."""
        return min(available, max(self.at_least, math.ceil(self.share * available)))

    def __call__(
        self,
        model: Classifier,
        forget: ImageSet,
        never_seen: ImageSet,
        retained: ImageSet,
        *,
        seed: int = 0,
    ) -> Reminded:
        """Return both indices at every learning rate.

        Args:
            model: Left as it is.
            forget: The attacker's images of the forget classes.
            never_seen: As many of classes that no network saw, with the forget classes' labels.
            retained: Retained images.
            seed: Of the order of the images: the same places in both, for every model.

        Raises:
            ValueError: If there is no image, or not equally many of both.
        """
        if not 0 < len(forget) == len(never_seen):
            raise ValueError(
                "forget and never_seen must hold equally many images, at least one, got "
                f"{len(forget)} and {len(never_seen)}"
            )
        both = [
            {rate: self.index(model, own, retained, rate, seed) for rate in self.learning_rates}
            for own in (forget, never_seen)
        ]
        return Reminded(*both)

    def index(
        self, model: Classifier, own: ImageSet, retained: ImageSet, learning_rate: float, seed: int
    ) -> int:
        """Return the first step after which enough of ``own`` are right, or ``limit + 1``."""
        run = students(
            model,
            [(own, self.batch_size), (retained, self.beside)],
            learning_rate=learning_rate,
            momentum=self.momentum,
            steps=self.limit,
            seed=seed,
        )
        for step, student in enumerate(run):
            if share_right(student, own) >= self.reached:
                return step
        return self.limit + 1
