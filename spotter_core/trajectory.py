"""An unlearning run watched on its way: what is lost when, epoch by epoch.

Layer 8. The run is the study's own, with its settings and its seed, so it ends with the same
weights; looking changes nothing. What is done with a moment (a row, a picture, a pause) is the
caller's.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from spotter_core._checks import check_positive
from spotter_core.methods import unlearn
from spotter_core.metrics import accuracy, mean_cosine_similarity, over_unlearning
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.runtime import seeded_generator
from spotter_core.study import Study
from spotter_core.training import predict


@dataclass(frozen=True)
class Moment:
    """A network after some epochs; everything but the losses is on held-out images.

    Attributes:
        epoch: Epochs done; 0 is the original.
        losses: Means over the last epoch by name; none at epoch 0.
        forget_accuracy: Fraction in [0, 1].
        retain_accuracy: Fraction in [0, 1].
        over_unlearning: Nats in [0, ln 2], on the headline neighborhood of the profile.
        mean_cosine: Over pairs of forget images, in [-1, 1].
    """

    epoch: int
    losses: dict[str, float]
    forget_accuracy: float
    retain_accuracy: float
    over_unlearning: float
    mean_cosine: float


See = Callable[[Moment, Classifier], None]
"""What is called with a moment and the network; it may wait, or raise to end the run."""


def moment(
    study: Study, cell: Cell, network: Classifier, *, epoch: int, losses: dict[str, float]
) -> Moment:
    """Return the numbers of a network on the cell's test images."""
    forget, retain = study.part(cell, "forget/test"), study.part(cell, "retain/test")
    near = study.near(cell, study.profile.headline, "forget/test")
    seen = predict(network, forget.images)
    return Moment(
        epoch=epoch,
        losses=dict(losses),
        forget_accuracy=accuracy(seen.logits, forget.labels),
        retain_accuracy=accuracy(predict(network, retain.images).logits, retain.labels),
        over_unlearning=over_unlearning(
            near.logits, predict(network, near.images).logits, cell.forget
        ).item(),
        mean_cosine=mean_cosine_similarity(seen.features, forget.labels),
    )


def moments_of(epochs: int, *, most: int = 14) -> list[int]:
    """Return the epochs at which a run of so many is worth a look: nearly all first, ever fewer.

    Spaced like cubes, and never closer than one epoch. On the digits most is lost in the first few
    epochs: straight lines between 14 such moments miss the forget accuracy of an epoch by a third
    of what they miss between 14 moments evenly apart (0.005 against 0.017, the mean over methods,
    three cells and all epochs), OU by a quarter (0.002 against 0.008 nats).

    Args:
        epochs: Of the run, ``>= 1``.
        most: How many moments at most, the start and the end among them, ``>= 2``.

    Returns:
        Rising epochs, the first 0, the last ``epochs``.

    Raises:
        ValueError: If ``epochs`` or ``most`` is too small.

    >>> moments_of(100)
    [0, 1, 2, 3, 4, 6, 10, 16, 23, 33, 46, 61, 79, 100]
    >>> moments_of(3)
    [0, 1, 2, 3]
    """
    check_positive(epochs=epochs)
    if most < 2:
        raise ValueError(f"most must be at least 2, the start and the end, got {most}")
    chosen = [0]
    for i in range(1, most):
        wanted = round(epochs * (i / (most - 1)) ** 3)
        chosen.append(min(epochs, max(chosen[-1] + 1, wanted)))
    return sorted(set(chosen))


def follow(
    study: Study,
    cell: Cell,
    method: str,
    see: See,
    *,
    every: int = 1,
    at: Collection[int] | None = None,
) -> Classifier:
    """Run a method of the study once more and look at its network every so many epochs.

    Args:
        study: Whose settings and seed are used; nothing is written below its root but the original
            where that was not made yet.
        cell: Forget classes and seed.
        method: A method of the profile that descends; one without epochs is seen at its start only.
        see: Called at epoch 0 with the original, after every ``every`` epochs, and after the last.
        every: Epochs between two looks.
        at: Epochs after which to look, instead; ``see`` is called at the start and the end anyway.

    Returns:
        The unlearned network, the same as ``study.model(cell, method)``.

    Raises:
        ValueError: If ``every`` is below 1, or the method is the original.
        Diverged: If a loss becomes NaN or infinite.
    """
    check_positive(every=every)
    if method == "original":
        raise ValueError("method must be one that unlearns, got 'original': nothing happens to it")
    original = study.model(cell, "original")
    see(moment(study, cell, original, epoch=0, losses={}), original)
    last: tuple[int, dict[str, float]] = (0, {})

    def wanted(epoch: int) -> bool:
        return epoch % every == 0 if at is None else epoch in at

    def watch(epoch: int, network: Classifier, losses: dict[str, float]) -> None:
        nonlocal last
        last = epoch, losses
        if wanted(epoch):
            see(moment(study, cell, network, epoch=epoch, losses=losses), network)

    generator = seeded_generator(study.profile.dataset, cell.seed, method)
    result = unlearn(study.method(method), original, study.split(cell), generator, watch)
    epoch, losses = last
    if epoch and not wanted(epoch):
        see(moment(study, cell, result.model, epoch=epoch, losses=losses), result.model)
    return result.model
