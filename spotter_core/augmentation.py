"""Random crops and flips of a whole batch at once, on the device where the images lie.

Layer 1. The numbers are drawn on the CPU, so they are equal on every device, and once an epoch, so
that no step waits for a copy.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Moves(NamedTuple):
    """What is done to each of N images: shifts down and right in pixels, then a mirror or not."""

    down: Tensor
    right: Tensor
    mirrored: Tensor

    def at(self, index: Tensor | slice) -> "Moves":
        """Return the moves of the images at ``index``."""
        return Moves(*(part[index] for part in self))


def draw_moves(
    count: int, shape: Sequence[int], generator: Generator, device: torch.device
) -> Moves:
    """Return random moves for ``count`` images of ``shape``, drawn on the CPU, laid on ``device``.

    An image is shifted by up to an eighth of its height and width in each direction, every shift
    equally likely (padding by 4 and cropping for 32×32), and mirrored half of the time.

    Raises:
        ValueError: If ``shape`` is not ``(C, H, W)``.
    """
    if len(shape) != 3:
        raise ValueError(
            f"only pictures of shape (C, H, W) can be cropped and mirrored, got {tuple(shape)}: "
            "set augment=False"
        )
    down, right = (
        torch.randint(-(side // 8), side // 8 + 1, (count,), generator=generator)
        for side in shape[1:]
    )
    mirrored = torch.rand(count, generator=generator) < 0.5
    return Moves(down.to(device), right.to(device), mirrored.to(device))


def move(images: Tensor, moves: Moves) -> Tensor:
    """Return ``(N, C, H, W)`` shifted and mirrored copies, zero where nothing was shifted to.

    Args:
        images: ``(N, C, H, W)``, bytes or floats; left as they are.
        moves: Of N images, on the same device.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - moves.down[:, None]
    columns = torch.arange(width, device=images.device).expand(len(images), width)
    columns = torch.where(moves.mirrored[:, None], columns.flip(1), columns) - moves.right[:, None]
    outside = ((rows < 0) | (rows >= height))[:, :, None]
    outside = outside | ((columns < 0) | (columns >= width))[:, None, :]
    which = torch.arange(len(images), device=images.device)[:, None, None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    moved = images.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
    return moved.masked_fill_(outside[..., None], 0).permute(0, 3, 1, 2)
