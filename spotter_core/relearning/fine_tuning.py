"""Fine-tuning with a few forget images or none: what comes back, and how fast."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.relearning.descent import share_right, students

Targets = Mapping[str, ImageSet]


@dataclass(frozen=True)
class Held:
    """The images that an attacker holds.

    Attributes:
        support: Of the forget classes, with their true labels; ``None`` if he has none.
        reference: Retained ones, to train on.
        forget: Of the forget classes, to choose by.
        retain: Retained ones, to choose by.
    """

    support: ImageSet | None
    reference: ImageSet
    forget: ImageSet
    retain: ImageSet


@dataclass(frozen=True)
class Curve:
    """How a class comes back step by step, at one learning rate.

    Attributes:
        learning_rate: Of SGD.
        steps: Recorded ones, from 0, the network as it was found.
        accuracy: By followed target, one for each recorded step, in [0, 1].
    """

    learning_rate: float
    steps: tuple[int, ...]
    accuracy: dict[str, list[float]]

    def steps_to(self, share: float, where: str) -> float:
        """Return the first recorded step with that accuracy; infinity if there is none."""
        reached = [s for s, a in zip(self.steps, self.accuracy[where], strict=True) if a >= share]
        return reached[0] if reached else math.inf

    def area(self, where: str) -> float:
        """Return the mean accuracy over the logarithm of 1 + steps, trapezoids, in [0, 1]."""
        at = [math.log1p(step) for step in self.steps]
        values = self.accuracy[where]
        parts = [
            (right - left) * (low + high) / 2.0
            for left, right, low, high in zip(at, at[1:], values, values[1:], strict=False)
        ]
        return sum(parts) / (at[-1] - at[0])


@dataclass(frozen=True)
class Relearned:
    """What a training attack came to.

    Attributes:
        learning_rate: The attacker's choice.
        steps: And where he stopped; 0 if nothing that he tried kept within ``allowed``.
        accuracy: By target, there.
        curves: Of the learning rates that he tried: all up to the one that left nothing to gain.
    """

    learning_rate: float
    steps: int
    accuracy: dict[str, float]
    curves: list[Curve] = field(repr=False)

    @property
    def curve(self) -> Curve:
        """The curve of the attacker's learning rate."""
        return next(c for c in self.curves if c.learning_rate == self.learning_rate)


@dataclass(frozen=True)
class FineTuning:
    """Descend the cross-entropy of the attacker's forget images and of retained ones beside them.

    Without forget images (``Held.support`` is ``None``) only retained ones are descended: whether
    the class comes back by itself. Of all learning rates and recorded steps the attacker takes the
    first that is best on his own forget images among those that cost him no more than ``allowed``;
    where that is all of them, he looks no further, as nothing could be better.

    Attributes:
        steps: Where accuracies are recorded; the last is the budget.
        learning_rates: That the attacker tries, in this order.
        batch_size: Retained images a step; as many forget images, or all that there are.
        momentum: Of SGD.
        allowed: Retained accuracy that he is ready to lose on his own images.

    References:
        k-shot and retain-only relearning as in the relearning literature; the grid is ours.
    """

    steps: tuple[int, ...] = (1, 3, 10, 30, 100)
    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    batch_size: int = 32
    momentum: float = 0.9
    allowed: float = 0.01

    def __post_init__(self) -> None:
        check_positive(batch_size=self.batch_size, **{"min(steps)": min(self.steps, default=0)})
        check_fraction(allowed=self.allowed)
        for rate in self.learning_rates:
            check_positive(learning_rates=rate)
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps must grow, got {self.steps}")

    def __call__(
        self,
        model: Classifier,
        held: Held,
        targets: Targets,
        *,
        followed: Sequence[str] = (),
        seed: int = 0,
    ) -> Relearned:
        """Return what the attacker's best learning rate and stop bring back.

        Args:
            model: Left as it is.
            held: What the attacker holds.
            targets: Images to score on where he stops.
            followed: Targets whose accuracy the curve has at every recorded step.
            seed: Of the order of the images; equal for every model.
        """
        most = share_right(model, held.forget)
        least = share_right(model, held.retain) - self.allowed - 1e-9
        curves: list[Curve] = []
        place, stop, best = 0, 0, model  # to leave it as it is
        for rate in self.learning_rates:
            curve = Curve(rate, (0, *self.steps), {where: [] for where in followed})
            for step, student in self.recorded(model, held, rate, seed):
                for where in followed:
                    curve.accuracy[where].append(share_right(student, targets[where]))
                share = share_right(student, held.forget) if most < 1.0 else 0.0
                if share > most and share_right(student, held.retain) >= least:
                    most, place, stop, best = share, len(curves), step, copy.deepcopy(student)
            curves.append(curve)
            if most == 1.0:
                break
        reached = {where: share_right(best, samples) for where, samples in targets.items()}
        return Relearned(curves[place].learning_rate, stop, reached, curves)

    def recorded(
        self, model: Classifier, held: Held, learning_rate: float, seed: int
    ) -> Iterator[tuple[int, Classifier]]:
        """Yield the network as it was found, and then as it is at every recorded step."""
        sides = [held.reference] if held.support is None else [held.support, held.reference]
        run = students(
            model,
            [(side, self.batch_size) for side in sides],
            learning_rate=learning_rate,
            momentum=self.momentum,
            steps=self.steps[-1],
            seed=seed,
        )
        for step, student in enumerate(run):
            if step in (0, *self.steps):
                yield step, student
