"""Fitting a classifier, and the one pass that yields all its features and logits.

Layer 3: data is on the device already; a step is a few tensor calls, nothing runs sample by sample.
"""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

from spotter_core._checks import check_fraction, check_positive, check_unit_images
from spotter_core.augmentation import draw_moves, move
from spotter_core.data import ImageSet
from spotter_core.memory import is_out_of_memory, largest_fitting, out_of_memory, release
from spotter_core.models import Classifier
from spotter_core.progress import Progress, start_digest
from spotter_core.runtime import (
    Precision,
    evaluating,
    full_precision,
    global_seed_from,
    mixed_precision,
    repeatable_kernels,
    uses_bfloat16,
)

log = logging.getLogger(__name__)

Watch = Callable[[int, Classifier, dict[str, float]], None]
"""Called after every epoch with (epochs done, the network, means over the epoch by name)."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: SGD with Nesterov momentum under a one-cycle schedule.

    Attributes:
        epochs: Passes over the samples.
        batch_size: Samples a step.
        learning_rate: At the top of the cycle.
        momentum: Nesterov's.
        weight_decay: On every parameter.
        augment: Random crops and mirrored images, see :mod:`~spotter_core.augmentation`.
        label_smoothing: Share of the target that is spread over all classes.
        warmup: Share of the steps on which the learning rate climbs.
        progressive: Share of the epochs, the first ones, that show images at three quarters of
            their side, for nine sixteenths of the time (progressive resizing). For networks that
            take images of any size.
        precision: Of the forward pass, see :func:`~spotter_core.runtime.mixed_precision`.
        compile: Whether ``torch.compile`` makes kernels first, which takes a minute and a C++
            compiler. Optional: on two CPU cores it did not pay (600 against 610 images a second).
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = False
    label_smoothing: float = 0.0
    warmup: float = 0.3
    progressive: float = 0.0
    precision: Precision = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        check_positive(
            epochs=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate
        )
        check_fraction(label_smoothing=self.label_smoothing, progressive=self.progressive)
        if not 0.0 <= self.warmup < 1.0:
            raise ValueError(f"warmup must lie in [0, 1), got {self.warmup}")
        uses_bfloat16(torch.device("cpu"), self.precision)  # refuses a word without meaning
        for name in ("augment", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")


class Predictions(NamedTuple):
    """Features ``(N, D)`` and logits ``(N, C)`` of one model on one set of images."""

    features: Tensor
    logits: Tensor


@dataclass
class Fitted:
    """A trained copy, and by epoch the mean training loss in nats and the training accuracy.

    The accuracy is the fraction of samples that were right when their batch came by, in train mode
    and as augmented: a lower bound, and free.
    """

    model: Classifier
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


class Diverged(ArithmeticError):
    """Training reached a loss that is not finite."""


@dataclass
class _Run:
    """A copy of a network with all that moves while it is trained."""

    model: Classifier
    train: ImageSet
    recipe: Recipe
    generator: Generator

    def __post_init__(self) -> None:
        recipe = self.recipe
        steps = recipe.epochs * -(-len(self.train) // recipe.batch_size)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
            fused=True if self.model.device.type == "cuda" else None,
        )
        self.schedule = OneCycleLR(
            self.optimizer,
            recipe.learning_rate,
            total_steps=steps,
            # a climb of one step has no slope, and torch divides by its length
            pct_start=0.0 if recipe.warmup * steps == 1 else recipe.warmup,
            cycle_momentum=False,
        )
        self.forward: Callable[[Tensor], Tensor] = (
            torch.compile(self.model) if recipe.compile else self.model
        )
        if recipe.progressive > 0.0:
            self._check_sizes()

    def _check_sizes(self) -> None:
        """Raise ``ValueError`` unless the network takes shrunk images as well."""
        try:
            with torch.no_grad(), evaluating(self.model):
                self.model(shrunk(_as_floats(self.train.images[:1])))
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError(
                f"progressive must be 0 for this network, got {self.recipe.progressive}: it does "
                f"not take images at three quarters of their side ({error})"
            ) from error

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Descend on one batch; return the sum of its losses and how many were right."""
        with mixed_precision(self.model.device, self.recipe.precision):
            logits = self.forward(_as_floats(images)).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach() * len(labels), (logits.detach().argmax(1) == labels).sum()

    def epoch(self, number: int) -> dict[str, float]:
        """Descend on every sample once; return means over them. Waits for the device at its end.

        Args:
            number: Of the epoch, from 1.
        """
        train, device, moves = self.train, self.model.device, None
        if self.recipe.augment:
            moves = draw_moves(len(train), train.images.shape[1:], self.generator, device)
        total, right = torch.zeros((), device=device), torch.zeros((), device=device)
        for index in train.batches(self.recipe.batch_size, self.generator):
            images = train.images[index]
            if moves is not None:
                images = move(images, moves.at(index))
            if number <= self.recipe.progressive * self.recipe.epochs:
                images = shrunk(_as_floats(images))
            loss, hits = self.step(images, train.labels[index])
            self.schedule.step()
            total += loss
            right += hits
        return {"loss": total.item() / len(train), "accuracy": right.item() / len(train)}

    def fitting_batch_size(self) -> int | None:
        """Return a batch size at which a step fits into memory; spoils the copy."""
        self.optimizer.zero_grad()

        def trial(size: int) -> None:
            self.step(self.train.images[:size], self.train.labels[:size])

        return largest_fitting(trial, min(self.recipe.batch_size, len(self.train)))


def fit(
    model: Classifier,
    train: ImageSet,
    *,
    recipe: Recipe | None = None,
    generator: Generator,
    watch: Watch | None = None,
    resume: Path | None = None,
    settings: str = "",
) -> Fitted:
    """Train a copy of ``model`` on ``train`` by cross-entropy; ``model`` is left as it is.

    Args:
        model: Starting point, on the device to train on.
        train: Samples, on the same device.
        recipe: Epochs, batch size, learning rate and so on.
        generator: Order of the samples, augmentation, and dropout where the network has it.
        watch: Called after every epoch of this call with its ``loss`` and ``accuracy``.
        resume: File to keep the state of the last whole epoch in, written every ten seconds at
            most and removed at the end. A call with the same arguments goes on from it and ends
            with the same bits as an unbroken one; a file of anything else is ignored.
        settings: Says what the training stands for besides its arguments, such as a fingerprint
            of code and data; a file of other settings is ignored.

    Raises:
        Diverged: If the loss becomes NaN or infinite.
        OutOfMemory: If a step does not fit into memory; names a batch size that does.
        ValueError: If there is no sample, or no picture to augment.
    """
    if len(train) == 0:
        raise ValueError("train is empty: nothing to fit")
    recipe, device = recipe or Recipe(), model.device
    run = _Run(copy.deepcopy(model).train(), train, recipe, generator)
    if resume is not None:
        words = (astuple(recipe), len(train), device.type, torch.__version__)
        start = [*model.state_dict().values(), generator.get_state(), train.labels]
        settings = f"{settings} {start_digest(start, *words)}"
    # dropout draws from torch's global generator
    with global_seed_from(generator), repeatable_kernels(device):
        progress = Progress(resume, settings, run.model, run.optimizer, run.schedule, generator)
        history = progress.restore()
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            try:
                means = run.epoch(epoch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                release(error)
                fits = run.fitting_batch_size()
                raise out_of_memory(error, device, recipe.batch_size, fits) from error
            if not math.isfinite(means["loss"]):
                progress.remove()
                raise Diverged(
                    f"training loss became {means['loss']} in epoch {epoch} of {recipe.epochs}: "
                    f"lower learning_rate (it is {recipe.learning_rate})"
                )
            history.append(means)
            progress.save(history)
            if watch is not None:
                watch(epoch, run.model, dict(means))
    progress.remove()
    losses, accuracies = ([means[name] for means in history] for name in ("loss", "accuracy"))
    return Fitted(run.model.eval(), losses, accuracies)


@torch.no_grad()
def predict(
    model: Classifier,
    images: Tensor,
    *,
    batch_size: int = 1024,
    device: torch.device | None = None,
) -> Predictions:
    """Return features and logits of all ``images`` from one pass in eval mode, in float32.

    Args:
        model: Left as it is, its train or eval mode included.
        images: ``(N, ...)`` floats in [0, 1], or bytes.
        batch_size: Images a step; changes memory and speed, and the result by rounding only. If a
            step does not fit into memory, it is halved with a warning.
        device: Where to compute and where the result lies; default the model's own.

    Raises:
        ValueError: If the images lie outside [0, 1] or there is none.
        OutOfMemory: If not even one image fits.
    """
    check_positive(batch_size=batch_size)
    if len(images) == 0:
        raise ValueError("images is empty: nothing to predict")
    if device is not None and device != model.device:
        model = copy.deepcopy(model).to(device)
    parts: list[Predictions] = []
    size, done = min(batch_size, len(images)), 0
    with evaluating(model), full_precision(model.device):
        while done < len(images):
            try:
                parts.append(_predict_batch(model, images[done : done + size]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                release(error)
                if size == 1:
                    raise out_of_memory(error, model.device, batch_size, None) from error
                size //= 2
                log.warning(
                    "a step of %d images needs too much memory: halved to %d", 2 * size, size
                )
            else:
                done += len(parts[-1].features)
    return Predictions(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _predict_batch(model: Classifier, images: Tensor) -> Predictions:
    batch = _as_floats(images.to(model.device))
    check_unit_images(batch)
    features = model.features(batch)
    return Predictions(features, model.head(features))


def shrunk(images: Tensor) -> Tensor:
    """Return ``(N, C, H, W)`` floats at three quarters of their height and width, in [0, 1]."""
    size = [3 * side // 4 for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True).clamp(0.0, 1.0)


def _as_floats(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float() / 255.0
