r"""What "near the forget set" means: perturbed copies of images, inside a ball, inside [0, 1].

Layer 3: a neighborhood is a frozen setting, called on (model, images, labels, forget classes). It
depends on the *original* model alone, so it is computed once and shared by all methods. Epsilon is
in pixel units; the ball and the box are asserted on what is returned, not believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core._checks import (
    check_choice,
    check_forget_classes,
    check_labels,
    check_positive,
    check_unit_images,
)
from spotter_core.models import Classifier
from spotter_core.runtime import evaluating

Direction = Literal["toward", "away"]
ROUNDING = 1e-5
"""Slack of the asserted ball: float32 rounding of x + delta - x."""
BATCH = 1024
VALUES = 2**18
"""Pixel values a pass on a CPU: activations stay near its cache, and few of them in memory."""


class Neighborhood(Protocol):
    """Frozen settings, called for one perturbed copy of every image."""

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Tensor:
        """Return images of the same shape in [0, 1], near ``images``; nothing passed in changes."""
        ...


def assert_ball(images: Tensor, near: Tensor, radius: float) -> Tensor:
    """Return ``near`` if it lies within ``radius`` (l-infinity) of ``images`` and within [0, 1].

    Raises:
        AssertionError: If a value left the ball or the box; this would be a fault of this library.
    """
    distance = (near - images).abs().max().item()
    low, high = near.min().item(), near.max().item()
    if not (distance <= radius + ROUNDING and low >= 0.0 and high <= 1.0):
        raise AssertionError(
            f"a neighborhood left its ball: distance {distance:.6g} > radius {radius:.6g}, "
            f"or its box: values in [{low:.6g}, {high:.6g}]"
        )
    return near


def uniform_noise(like: Tensor, radius: float, generator: Generator) -> Tensor:
    """Return noise uniform in ``[-radius, radius]``; drawn on the CPU, equal on every device."""
    noise = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    return ((2.0 * noise - 1.0) * radius).to(like.device)


def gaussian_noise(like: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Return noise of that standard deviation; drawn on the CPU, equal on every device."""
    return (torch.randn(like.shape, generator=generator, dtype=like.dtype) * sigma).to(like.device)


@dataclass(frozen=True)
class UniformNeighborhood:
    """Uniform noise in the l-infinity ball of ``epsilon`` pixel units."""

    epsilon: float = 0.03

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Tensor:
        """Return one perturbed copy of every image; the model is not asked."""
        check_unit_images(images)
        near = (images + uniform_noise(images, self.epsilon, generator)).clamp(0.0, 1.0)
        return assert_ball(images, near, self.epsilon)


@dataclass(frozen=True)
class GaussianNeighborhood:
    """Gaussian noise of standard deviation ``sigma`` pixel units, cut at ``CUT`` sigmas.

    The cut (6 pixels in 100,000 are touched) gives it a radius that can be asserted.
    """

    sigma: float = 0.01
    CUT: ClassVar[float] = 4.0

    def __post_init__(self) -> None:
        check_positive(sigma=self.sigma)

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Tensor:
        """Return one perturbed copy of every image; the model is not asked."""
        check_unit_images(images)
        radius = self.CUT * self.sigma
        noise = gaussian_noise(images, self.sigma, generator).clamp(-radius, radius)
        return assert_ball(images, (images + noise).clamp(0.0, 1.0), radius)


def chunk_size(images: Tensor) -> int:
    """Return how many images a pass takes: ``BATCH``, on a CPU fewer of large ones."""
    values = max(1, images.shape[1:].numel())
    return BATCH if images.device.type != "cpu" else max(1, min(BATCH, VALUES // values))


@torch.no_grad()
def logits_of(model: Classifier, images: Tensor) -> Tensor:
    """Return ``(N, C)`` logits in eval mode."""
    with evaluating(model):
        return torch.cat([model(chunk) for chunk in images.split(chunk_size(images))])


def runner_up(model: Classifier, images: Tensor, forget_classes: Sequence[int]) -> Tensor:
    """Return ``(N,)``, the retained class that the model finds most likely.

    For one forget class and labels in it this is the paper's target: the top-1 class where that
    differs from the label, else the top-2. With several forget classes the boundary that matters
    is the one to a *retained* class, so the others are passed over as well.
    """
    logits = logits_of(model, images)
    classes = check_forget_classes(forget_classes, logits.shape[1])
    index = torch.tensor(classes, device=logits.device)
    return logits.index_fill(1, index, -torch.inf).argmax(dim=1)


def across(
    model: Classifier, images: Tensor, labels: Tensor, forget_classes: Sequence[int]
) -> Tensor:
    """Return ``(N,)``, the likeliest class of the other side.

    Of a forget sample that is the :func:`runner_up`, of a retained one the likeliest forget class.
    """
    logits = logits_of(model, images)
    classes = check_forget_classes(forget_classes, logits.shape[1])
    index = torch.tensor(classes, device=logits.device)
    retained = logits.index_fill(1, index, -torch.inf).argmax(dim=1)
    forgotten = index[logits[:, index].argmax(dim=1)]
    return torch.where(torch.isin(labels, index), retained, forgotten)


def image_gradient(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient of the summed cross-entropy to ``targets`` with respect to images.

    Only the images' gradient is computed: autograd skips the parameters' when it is asked for one
    input. No parameter's ``.grad`` is touched. Never in bfloat16: what counts is the sign, and
    rounding would flip it where the gradient is small.
    """
    parts, size = [], chunk_size(images)
    with evaluating(model), torch.enable_grad():
        for x, y in zip(images.split(size), targets.split(size), strict=True):
            leaf = x.detach().requires_grad_()
            loss = F.cross_entropy(model(leaf), y, reduction="sum")
            parts.append(torch.autograd.grad(loss, leaf)[0])
    return torch.cat(parts)


@dataclass(frozen=True)
class BoundaryNeighborhood:
    """PGD in the l-infinity ball, towards the boundary to the runner-up class or away from it.

    Starts uniformly in the ball, then takes ``steps`` sign steps. ``"toward"`` *descends* the
    cross-entropy to the runner-up, so its probability grows: the points near the boundary that the
    paper's text asks for. ``"away"`` ascends it, which is what the published code does. Around
    retained samples the boundary is the same one, from its other side: see :func:`across`.

    References:
        Ha et al. (2025), arXiv:2506.01318 (epsilon 0.03, step 0.01, 3 steps); Madry et al. (2018).
    """

    epsilon: float = 0.03
    step: float = 0.01
    steps: int = 3
    direction: Direction = "toward"

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon, step=self.step, steps=self.steps)
        check_choice("direction", self.direction, ("toward", "away"))

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Tensor:
        """Return one perturbed copy of every image.

        Args:
            model: The original; asked for the runner-up and for gradients, left as it is.
            images: ``(N, ...)`` in [0, 1].
            labels: ``(N,)``; they tell which side of the boundary a sample is from.
            forget_classes: The classes on one side.
            generator: Of the random start.
        """
        check_unit_images(images)
        check_labels(labels, len(images))
        sign = -1.0 if self.direction == "toward" else 1.0
        targets = across(model, images, labels, forget_classes)
        low, high = images - self.epsilon, images + self.epsilon
        near = (images + uniform_noise(images, self.epsilon, generator)).clamp(0.0, 1.0)
        for _ in range(self.steps):
            step = sign * self.step * image_gradient(model, near, targets).sign()
            near = torch.minimum(torch.maximum(near + step, low), high).clamp(0.0, 1.0)
        return assert_ball(images, near, self.epsilon)
