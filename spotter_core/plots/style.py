"""How every picture of the study looks: one colour, marker and label for each method; saving.

Layer 9. A base method has a colour and a marker of its own. Every two colours, Spotter's and the
yardsticks' among them, are told apart by readers with any of the three kinds of color blindness
(simulated after Machado et al., 2009; at least 20 apart in CIELAB), the markers are for the rest of
us, too. ``spotter+`` a method keeps that method's colour and marker, filled with a tint of
Spotter's own and dashed, so that a pair is seen as one. Methods that read retained samples are
dotted. The two yardsticks are neutral: the original black and solid, the retrained oracle grey and
dashed, in every picture.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from spotter_core.files import atomic_path

YARDSTICKS = ("original", "retrain")
"""Drawn in every picture: the model before, and the model that never saw the forget classes."""
CONTROLS = (*YARDSTICKS, "untrained")
"""And, where attacks are measured, a network that was never trained at all."""
LN_2 = 0.6931471805599453
DPI = 160
DAMAGE_MAP = "magma_r"
"""Colour map of every divergence and loss: pale is unharmed, dark is damaged."""
FORGET_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7")
"""Of forget classes wherever single samples are drawn."""
QUIET = "#555555"
"""Colour of bounds, notes and everything else that is no method."""

SPOTTED = "#FBD9BF"
"""What fills the marker of a method that Spotter's terms are around."""
DOTS, DASHES = (0, (1, 1.2)), (0, (5, 1))

# method: (colour, marker, label)
_FORGET_ONLY: dict[str, tuple[str, Any, str]] = {
    "neggrad": ("#4BC3D2", "v", "NegGrad"),
    "random_label": ("#96C396", "^", "Random label"),
    "boundary_shrink": ("#0000F0", "P", "Boundary Shrink"),
    "boundary_expand": ("#5A0F69", "p", "Boundary Expand"),
    "delete": ("#962DE1", "X", "DELETE"),
}
_WITH_RETAIN: dict[str, tuple[str, Any, str]] = {
    "finetune": ("#3C78A5", "o", "Fine-tune"),
    "neggrad_plus": ("#3C4B00", "<", "NegGrad+"),
    "bad_teacher": ("#C3B45A", (4, 1, 0), "Bad Teacher"),
    "scrub": ("#781E4B", "d", "SCRUB"),
    "salun": ("#FFA50F", ">", "SalUn"),
    "ssd": ("#A5694B", "h", "SSD"),
    "l1_sparse": ("#4B0096", (6, 1, 0), "L1-sparse"),
    "unsc": ("#E169FF", "s", "UNSC"),
}
# The reserve for methods that this list has never heard of, chosen by their name.
_RESERVE = ("#6A51A3", "#35978F", "#6B8E23", "#4682B4", "#8C6BB1", "#2E8B57", "#5F6CAF", "#41AB5D")
_RESERVE_MARKERS = ("o", "v", "^", "P", "X", "<", ">", "p")


class Look(NamedTuple):
    """How a method is drawn, everywhere."""

    label: str
    color: str
    marker: Any
    filled: bool = True
    dashes: Any = "-"

    @property
    def face(self) -> str:
        """What fills the marker."""
        return self.color if self.filled else SPOTTED

    def line(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.plot``."""
        return {
            "label": self.label,
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.dashes,
            "markerfacecolor": self.face,
            "markeredgecolor": self.color,
            "markersize": 8.5 if self.marker == "*" else 5.0,
        }

    def dots(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.scatter``."""
        return {
            "marker": self.marker,
            "facecolors": self.face,
            "edgecolors": self.color,
        }


_FIXED = {
    "original": Look("Original", "#000000", "s"),
    "retrain": Look("Retrained oracle", "#7F7F7F", "D", dashes="--"),
    "spotter": Look("Spotter", "#D55E00", "*"),
    "untrained": Look("Untrained network", "#B5B5B5", "8", dashes=":"),
}


def look(method: str) -> Look:
    """Return how ``method`` is drawn; a name nobody has heard of gets a colour that stays its own.

    Args:
        method: ``original``, or a name in ``METHODS``.
    """
    if method in _FIXED:
        return _FIXED[method]
    around, plus, base = method.rpartition("+")
    known = _FORGET_ONLY | _WITH_RETAIN
    if base in known and around in ("", "spotter"):
        color, marker, label = known[base]
        if plus:
            return Look(f"Spotter + {label}", color, marker, filled=False, dashes=DASHES)
        return Look(label, color, marker, dashes=DOTS if base in _WITH_RETAIN else "-")
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
