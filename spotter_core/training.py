"""Fitting a classifier, and the one pass that yields all its features and logits.

Layer 3: data is on the device already; a step is a few tensor calls, nothing runs sample by sample.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core._checks import check_positive, check_unit_images
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.runtime import evaluating, global_seed_from

Watch = Callable[[int, Classifier, dict[str, float]], None]
"""Called after every epoch with (epochs done, the network, mean losses of the epoch)."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: SGD with Nesterov momentum under a one-cycle schedule."""

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        check_positive(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )


class Predictions(NamedTuple):
    """Features ``(N, D)`` and logits ``(N, C)`` of one model on one set of images."""

    features: Tensor
    logits: Tensor


@dataclass
class Fitted:
    """A trained copy and the mean training loss of every epoch, in nats."""

    model: Classifier
    losses: list[float] = field(default_factory=list)


class Diverged(ArithmeticError):
    """Training reached a loss that is not finite."""


def fit(
    model: Classifier,
    train: ImageSet,
    *,
    recipe: Recipe | None = None,
    generator: Generator,
    watch: Watch | None = None,
) -> Fitted:
    """Train a copy of ``model`` on ``train`` by cross-entropy; ``model`` is left as it is.

    Args:
        model: Starting point, on the device to train on.
        train: Samples, on the same device.
        recipe: Epochs, batch size, learning rate.
        generator: Order of the samples, and dropout where the network has it.
        watch: Called after every epoch.

    Raises:
        Diverged: If the loss becomes NaN or infinite.
        ValueError: If there is no sample.
    """
    if len(train) == 0:
        raise ValueError("train is empty: nothing to fit")
    recipe = recipe or Recipe()
    fitted = Fitted(copy.deepcopy(model).train())
    steps = -(-len(train) // recipe.batch_size)
    optimizer = torch.optim.SGD(
        fitted.model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, cycle_momentum=False
    )
    with global_seed_from(generator):  # dropout draws from torch's global generator
        for epoch in range(recipe.epochs):
            total = torch.zeros((), device=model.device)
            for index in train.batches(recipe.batch_size, generator):
                loss = F.cross_entropy(fitted.model(train.pixels(index)), train.labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.detach() * len(index)
            fitted.losses.append(total.item() / len(train))
            if not torch.isfinite(total):
                raise Diverged(
                    f"training loss became {total.item()} in epoch {epoch + 1} of {recipe.epochs}: "
                    f"lower learning_rate (it is {recipe.learning_rate})"
                )
            if watch is not None:
                watch(epoch + 1, fitted.model, {"loss": fitted.losses[-1]})
    fitted.model.eval()
    return fitted


@torch.no_grad()
def predict(
    model: Classifier,
    images: Tensor,
    *,
    batch_size: int = 1024,
    device: torch.device | None = None,
) -> Predictions:
    """Return features and logits of all ``images`` from one pass in eval mode.

    Args:
        model: Left as it is, its train or eval mode included.
        images: ``(N, ...)`` floats in [0, 1], or bytes.
        batch_size: Images a step; changes memory and speed, not the result.
        device: Where to compute and where the result lies; default the model's own.

    Raises:
        ValueError: If the images lie outside [0, 1] or there is none.
    """
    check_positive(batch_size=batch_size)
    if len(images) == 0:
        raise ValueError("images is empty: nothing to predict")
    if device is not None and device != model.device:
        model = copy.deepcopy(model).to(device)
    parts = []
    with evaluating(model):
        for chunk in images.split(batch_size):
            batch = chunk.to(model.device)
            batch = batch if batch.is_floating_point() else batch.float() / 255.0
            check_unit_images(batch)
            features = model.features(batch)
            parts.append((features, model.head(features)))
    return Predictions(*(torch.cat(column) for column in zip(*parts, strict=True)))
