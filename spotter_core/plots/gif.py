"""A film that is whole or absent; equal shots give equal bytes.

Layer 9. Not by Matplotlib's ``PillowWriter``: it gives every shot the same time, and its own
palette, so that still paper flickers and a file takes twice the room.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
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
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Shot(np.asarray(canvas.buffer_rgba())[..., :3].copy(), milliseconds)


def save_gif(shots: Sequence[Shot], path: Path) -> Path:
    """Write a film that starts again at its end.

    Args:
        shots: Of one size.
        path: Ends in ``.gif``; folders are made.

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
    palette = common_palette(shots)
    images = [
        Image.fromarray(shot.pixels).quantize(palette=palette, dither=Image.Dither.NONE)
        for shot in shots
    ]
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
    """Return a picture whose palette serves all shots: of the first, the middle and the last.

    The paper, the colour of the first corner, is kept as it is; else it would be an average.
    """
    some = [shots[i].pixels for i in (0, len(shots) // 2, -1)]
    palette = Image.fromarray(np.concatenate(some)).quantize(COLORS, Image.Quantize.MEDIANCUT)
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    paper = shots[0].pixels[0, 0].astype(int)
    colors[np.abs(colors - paper).sum(axis=1).argmin()] = paper
    palette.putpalette(colors.flatten().tolist())
    return palette
