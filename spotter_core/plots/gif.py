"""A film that is whole or absent; equal shots give equal bytes.

Layer 9. Not by Matplotlib's ``PillowWriter``: it gives every shot the same time, and its own
palette, so that still paper flickers and a file takes twice the room.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from spotter_core.files import atomic_path

COLORS = 96
"""Of the one palette of all shots."""


class Shot(NamedTuple):
    """One picture of a film: ``(H, W, 3)`` uint8, and how long it stays, in milliseconds."""

    pixels: np.ndarray
    milliseconds: int


def photograph(figure: Figure, milliseconds: int) -> Shot:
    """Return what ``figure`` shows now."""
    raw = io.BytesIO()
    figure.savefig(raw, format="rgba", dpi=figure.dpi)
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    pixels = np.frombuffer(raw.getvalue(), dtype=np.uint8).reshape(height, width, 4)
    return Shot(pixels[..., :3].copy(), milliseconds)


def save_gif(shots: Sequence[Shot], path: Path) -> Path:
    """Write a film that starts again at its end.

    Args:
        shots: Of one size.
        path: Ends in ``.gif``; folders are made.

    The first corner is taken for the paper.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is no shot, their sizes differ, or ``path`` does not end in ``.gif``.
    """
    path = Path(path)
    if path.suffix != ".gif":
        raise ValueError(f"path must end in .gif, got {path.name!r}")
    if not shots or len({shot.pixels.shape for shot in shots}) != 1:
        sizes = sorted({shot.pixels.shape for shot in shots})
        raise ValueError(f"shots must be one or more of one size, got sizes {sizes}")
    palette, paper = common_palette(shots), shots[0].pixels[0, 0]
    images = [in_palette(shot.pixels, palette, paper) for shot in shots]
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=[shot.milliseconds for shot in shots],
            loop=0,
            disposal=1,
            optimize=False,  # it would give every shot a palette of its own
        )
    return path


def common_palette(shots: Sequence[Shot]) -> Image.Image:
    """Return a picture whose palette serves all shots: of the first, the middle and the last."""
    some = [shots[i].pixels for i in (0, len(shots) // 2, -1)]
    return Image.fromarray(np.concatenate(some)).quantize(COLORS - 1, Image.Quantize.MEDIANCUT)


def in_palette(pixels: np.ndarray, palette: Image.Image, paper: np.ndarray) -> Image.Image:
    """Return a shot in the common colours, the paper's exactly as it is: not an average of pales.

    Args:
        pixels: ``(H, W, 3)`` uint8.
        palette: From :func:`common_palette`.
        paper: ``(3,)`` uint8; gets the palette's last place.
    """
    drawn = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
    index = np.array(drawn)
    index[(pixels == paper).all(axis=-1)] = COLORS - 1
    colors = (palette.getpalette() or [])[: 3 * (COLORS - 1)]
    image = Image.fromarray(index)
    image.putpalette(colors + [0] * (3 * (COLORS - 1) - len(colors)) + paper.tolist())
    return image
