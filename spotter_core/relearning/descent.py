"""What all attacks that train share: a copy of the network descends, step by step.

Batch norm is frozen, as a few images would ruin its statistics.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Generator
from torch.nn import functional as F

from spotter_core.data import ImageSet
from spotter_core.methods.neggrad_plus import without_end
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier
from spotter_core.runtime import mixed_precision
from spotter_core.training import predict


def students(
    model: Classifier,
    sides: Sequence[tuple[ImageSet, int]],
    *,
    learning_rate: float,
    momentum: float,
    steps: int,
    seed: int,
) -> Iterator[Classifier]:
    """Yield a copy of the network as it was found, and the same copy after every step of SGD.

    Args:
        model: Left as it is.
        sides: What is descended, by cross-entropy, and how many images of each in every step; all
            of fewer.
        learning_rate: Constant.
        momentum: Of SGD.
        steps: How many.
        seed: Of the order of the images.
    """
    student = copy.deepcopy(model).eval()
    yield student
    optimizer = torch.optim.SGD(student.parameters(), lr=learning_rate, momentum=momentum)
    generator = Generator().manual_seed(seed)
    endless = [without_end(side, size, generator) for side, size in sides]
    for _ in range(steps):
        drawn = [(side, next(order)) for (side, _), order in zip(sides, endless, strict=True)]
        images = torch.cat([side.pixels(index) for side, index in drawn])
        labels = torch.cat([side.labels[index] for side, index in drawn])
        with mixed_precision(student.device, "auto"):
            logits = student(images)
        optimizer.zero_grad()
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        yield student


def share_right(model: Classifier, samples: ImageSet) -> float:
    """Return the accuracy; 0 where a training has left no finite logits."""
    logits = predict(model, samples.images).logits
    return accuracy(logits, samples.labels) if bool(logits.isfinite().all()) else 0.0
