"""Points in the plane as images of two pixels: a study small enough for everything to be seen.

Layer 3: an ordinary data set, so that every method, neighborhood and metric works on it unchanged.
"""

import math

import torch
from torch import Generator, Tensor

from spotter_core._checks import check_positive
from spotter_core.data import Dataset, ImageSet

FORGET = 0
"""The class in the middle, which the others surround."""
PETALS = 5


def toy_dataset(
    generator: Generator, *, petals: int = PETALS, radius: float = 0.3, points: int = 100
) -> Dataset:
    """Return one class in the middle of the unit square, surrounded by the others.

    Clouds are Gaussian, of standard deviation 0.1 in the middle and 0.09 around it, so that they
    overlap: some forget points lie in a neighbor's land, as images do that look like another class.

    Args:
        generator: Draws the points; train, validation and test part one after the other.
        petals: Classes around the middle, 2 or more.
        radius: Of the circle that they stand on, at most 0.5.
        points: Training points of a class; half as many for validation, twice as many for test.

    Returns:
        A data set ``toy`` of floats ``(N, 2)`` in [0, 1] with ``1 + petals`` classes, the middle 0.

    Raises:
        ValueError: If a number is out of range.
    """
    check_positive(radius=radius, points=points, **{"petals - 1": petals - 1})
    if radius > 0.5:
        raise ValueError(f"radius must be at most 0.5 to stay inside the unit square, got {radius}")
    angles = torch.arange(petals) * (2.0 * math.pi / petals) + math.pi / 2.0
    around = 0.5 + radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    centres = torch.cat([torch.tensor([[0.5, 0.5]]), around])
    spread = torch.tensor([0.1] + [0.09] * petals)
    names = ("middle", *(chr(ord("A") + i) for i in range(petals)))
    parts = (clouds(centres, spread, n, generator) for n in (points, -(-points // 2), 2 * points))
    return Dataset("toy", names, *parts)


def clouds(centres: Tensor, spread: Tensor, points: int, generator: Generator) -> ImageSet:
    """Return ``points`` a class around ``(C, 2)`` centres with ``(C,)`` standard deviations."""
    labels = torch.arange(len(centres)).repeat_interleave(points)
    noise = torch.randn(len(labels), 2, generator=generator)
    return ImageSet((centres[labels] + spread[labels, None] * noise).clamp(0.0, 1.0), labels)
