"""How every picture of the study looks: one colour, marker and label for each method; saving.

Layer 9. Colours are told apart by color-blind readers (after Okabe and Ito) and, as there are more
methods than safe colours, by marker, too: a method and ``spotter+`` that method share theirs, the
first filled and in a cool colour, the second open and in a warm one. The two yardsticks are
neutral: the original black and solid, the retrained oracle grey and dashed, in every picture.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from spotter_core.files import atomic_path

YARDSTICKS = ("original", "retrain")
"""Drawn in every picture: the model before, and the model that never saw the forget classes."""
LN_2 = 0.6931471805599453
DPI = 160
DAMAGE_MAP = "magma_r"
"""Colour map of every divergence and loss: pale is unharmed, dark is damaged."""
FORGET_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
"""Of forget classes wherever single samples are drawn."""
QUIET = "#555555"
"""Colour of bounds, notes and everything else that is no method."""

# method: (cool colour alone, warm colour under Spotter, marker, label)
_BASES = {
    "finetune": ("#0072B2", "#F28E2B", "o", "Fine-tune"),
    "neggrad": ("#56B4E9", "#E8A33D", "v", "NegGrad"),
    "random_label": ("#009E73", "#CC79A7", "^", "Random label"),
    "boundary_shrink": ("#3B4CC0", "#A02C2C", "P", "Boundary Shrink"),
    "delete": ("#8DA0CB", "#FB8072", "X", "DELETE"),
    "neggrad_plus": ("#1F9E9E", "#C46A1B", "<", "NegGrad+"),
    "boundary_expand": ("#5E3C99", "#D6604D", "p", "Boundary Expand"),
    "bad_teacher": ("#7FBC41", "#E377C2", "h", "Bad Teacher"),
    "scrub": ("#01665E", "#B2182B", "d", "SCRUB"),
    "salun": ("#80CDC1", "#F4A582", ">", "SalUn"),
    "ssd": ("#4D9221", "#9E0142", "H", "SSD"),
    "l1_sparse": ("#2166AC", "#FDAE61", "8", "L1-sparse"),
    "unsc": ("#9970AB", "#DD1C77", "s", "UNSC"),
}
# The reserve for methods that this list has never heard of, chosen by their name.
_RESERVE = ("#6A51A3", "#35978F", "#6B8E23", "#4682B4", "#8C6BB1", "#2E8B57", "#5F6CAF", "#41AB5D")
_RESERVE_MARKERS = ("o", "v", "^", "P", "X", "<", ">", "p")


class Look(NamedTuple):
    """How a method is drawn, everywhere."""

    label: str
    color: str
    marker: str
    filled: bool = True
    dashes: str = "-"

    def line(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.plot``."""
        return {
            "label": self.label,
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.dashes,
            "markerfacecolor": self.color if self.filled else "white",
            "markeredgecolor": self.color,
            "markersize": 8.5 if self.marker == "*" else 5.0,
        }

    def dots(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.scatter``."""
        return {
            "marker": self.marker,
            "facecolors": self.color if self.filled else "white",
            "edgecolors": self.color,
        }


_FIXED = {
    "original": Look("Original", "#000000", "s"),
    "retrain": Look("Retrained oracle", "#7F7F7F", "D", dashes="--"),
    "spotter": Look("Spotter", "#D55E00", "*"),
}


def look(method: str) -> Look:
    """Return how ``method`` is drawn; a name nobody has heard of gets a colour that stays its own.

    Args:
        method: ``original``, or a name in ``METHODS``.
    """
    if method in _FIXED:
        return _FIXED[method]
    spotted, plus, rest = method.rpartition("+")
    if rest in _BASES and spotted in ("", "spotter"):
        cool, warm, marker, label = _BASES[rest]
        if plus:
            return Look(f"Spotter + {label}", warm, marker, filled=False, dashes=(0, (5, 1)))  # type: ignore[arg-type]
        return Look(label, cool, marker)
    number = hashlib.sha256(method.encode()).digest()[0]
    return Look(
        method.replace("_", " "),
        _RESERVE[number % len(_RESERVE)],
        _RESERVE_MARKERS[number // len(_RESERVE) % len(_RESERVE_MARKERS)],
    )


def use_style() -> None:
    """Set fonts, grid, sizes and layout for the study's figures, on screen and in print."""
    mpl.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "savefig.dpi": DPI,
            "savefig.facecolor": "white",
            "pdf.fonttype": 42,
            "font.size": 9.5,
            "axes.titlesize": 10.5,
            "axes.titlelocation": "left",
            "axes.labelsize": 9.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.color": "#DDDDDD",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.6,
            "lines.markersize": 5.0,
            "lines.markeredgewidth": 1.2,
            "legend.frameon": False,
            "legend.fontsize": 8.5,
            "image.interpolation": "nearest",
        }
    )


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``figure`` as PNG, whole or not at all; an equal figure gives equal bytes.

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
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
    return path
