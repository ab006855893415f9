"""The published code's perturbation, faults and all, to compare with published numbers only.

Layer 4: what it makes lies in [0, 1] but in no ball around the images; see ``neighborhoods`` for
what this study measures on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from spotter_core._checks import check_choice, check_labels, check_positive, check_unit_images
from spotter_core.models import Classifier
from spotter_core.neighborhoods import gaussian_noise, image_gradient, logits_of, uniform_noise


@dataclass(frozen=True)
class PublishedNeighborhood:
    """The published code's perturbation, for comparison with published numbers only.

    It normalises first, then clamps every step to [0, 1] *in normalised space*, which cuts off most
    dark and bright pixels: what comes out is in no ball around the images. PGD moves away from the
    runner-up. Returned in pixel units, so that any model here can be asked about it.

    References:
        Code of Ha et al. (2025); epsilon 0.03, step 0.01, 3 steps, or Gaussian 0.01, all in
        normalised units.
    """

    noise: Literal["pgd", "gaussian"] = "pgd"
    epsilon: float = 0.03
    step: float = 0.01
    steps: int = 3
    sigma: float = 0.01

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon, step=self.step, steps=self.steps, sigma=self.sigma)
        check_choice("noise", self.noise, ("pgd", "gaussian"))

    def __call__(
        self,
        model: Classifier,
        images: Tensor,
        labels: Tensor,
        forget_classes: Sequence[int],
        *,
        generator: Generator,
    ) -> Tensor:
        """Return one perturbed copy of every image, in [0, 1] but in no ball."""
        check_unit_images(images)
        check_labels(labels, len(images))
        shape = (-1,) + (1,) * (images.ndim - 2)
        mean, std = model.mean.view(shape), model.std.view(shape)
        clean = (images - mean) / std
        if self.noise == "gaussian":
            near = clean + gaussian_noise(clean, self.sigma, generator)
        else:
            # its target: the likeliest class but the label, be it a forget class, too
            others = logits_of(model, images).scatter(1, labels[:, None], -torch.inf)
            targets = others.argmax(dim=1)
            near = (clean + uniform_noise(clean, self.epsilon, generator)).clamp(0.0, 1.0)
            for _ in range(self.steps):
                # d/d(normalised) has the sign of d/d(pixel): std is positive
                gradient = image_gradient(model, near * std + mean, targets)
                near = near + self.step * gradient.sign()
                near = torch.minimum(
                    torch.maximum(near, clean - self.epsilon), clean + self.epsilon
                )
                near = near.clamp(0.0, 1.0)
        return (near.clamp(0.0, 1.0) * std + mean).clamp(0.0, 1.0)
