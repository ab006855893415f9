"""A picture on disk: PNG for the screen, and PDF beside it for print.

Layer 9. PDF rather than SVG: LaTeX takes it as it is, and the study's pictures are 1.2 MB together
and not 4.6, since markers and fonts are stored once. Fonts are embedded as TrueType, as publishers
ask.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from spotter_core.files import atomic_path

DPI = 160
"""Of the PNG."""
FINE = 300
"""Dots per inch of what is drawn as pixels inside the PDF."""
DENSE = 1000
"""Points of a cloud, above which it is drawn as pixels there; fewer are smaller as points."""
VECTOR = ".pdf"
NO_DATE = {"CreationDate": None, "Creator": None, "Producer": None}


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``figure`` as PNG and, beside it, as PDF; an equal figure gives equal bytes.

    Each file is written whole or not at all. Dense clouds are pixels in the PDF, all else is drawn.

    Args:
        figure: Or ``axes.figure`` of what a plot function returned.
        path: Ends in ``.png``; folders are made.

    Returns:
        ``path``.

    Raises:
        ValueError: If ``path`` does not end in ``.png``.
    """
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"path must end in .png, got {path.name!r}")
    paper: dict[str, Any] = {
        "facecolor": figure.get_facecolor()
    }  # of the theme that it was drawn in
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None}, **paper)
    fonts = mpl.rc_context({"pdf.fonttype": 42})
    with atomic_path(path.with_suffix(VECTOR)) as temporary, fonts, dense_as_pixels(figure):
        figure.savefig(temporary, format=VECTOR[1:], dpi=FINE, metadata=NO_DATE, **paper)
    return path


@contextlib.contextmanager
def dense_as_pixels(figure: Figure) -> Iterator[None]:
    """Have clouds of more than :data:`DENSE` points rasterised inside the block."""
    changed: list[PathCollection] = []
    clouds = [each for each in figure.findobj() if isinstance(each, PathCollection)]
    for cloud in clouds:
        if len(np.asarray(cloud.get_offsets())) > DENSE and not cloud.get_rasterized():
            cloud.set_rasterized(True)
            changed.append(cloud)
    try:
        yield
    finally:
        for cloud in changed:
            cloud.set_rasterized(False)
