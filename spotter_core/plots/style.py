"""How every picture of the study looks: themes and contexts, a look for each method.

Layer 9. A base method has a colour and a marker of its own. Every two colours, Spotter's and the
yardsticks' among them, are told apart by readers with any of the three kinds of color blindness
(simulated after Machado et al., 2009; at least 20 apart in CIELAB), the markers are for the rest of
us, too. In the dark theme a method keeps its hue and gets lighter. ``spotter+`` a method keeps that
method's colour and marker, filled with a tint of Spotter's own and dashed, so that a pair is seen
as one. Methods that read retained samples are dotted. The two yardsticks are neutral: the original
is the ink itself and solid, the retrained oracle grey and dashed, in every picture.

All colours are in :mod:`~spotter_core.plots.inks`, all sizes in :mod:`~spotter_core.plots.sizes`.
"""

import hashlib
import os
from typing import Any, Literal, NamedTuple

import matplotlib as mpl

from spotter_core.plots.inks import METHODS, RESERVE, THEMES, inks, legible, of_theme, outline
from spotter_core.plots.saving import save_figure
from spotter_core.plots.sizes import (
    LENGTHS,
    SCALES,
    area,
    figure_size,
    fitted,
    on_paper,
    scale,
    screen_figure,
    sized,
    width_of,
)

__all__ = [
    "CONTROLS",
    "LN_2",
    "YARDSTICKS",
    "Look",
    "area",
    "figure_size",
    "fitted",
    "inks",
    "legible",
    "look",
    "on_paper",
    "save_figure",
    "scale",
    "screen_figure",
    "sized",
    "use_style",
    "width_of",
]

YARDSTICKS = ("original", "retrain")
"""Drawn in every picture: the model before, and the model that never saw the forget classes."""
CONTROLS = (*YARDSTICKS, "untrained")
"""And, where attacks are measured, a network that was never trained at all."""
LN_2 = 0.6931471805599453
VARIABLE = "SPOTTER_STYLE"
"""The environment variable with the defaults: ``presentation``, ``dark``, both with a hyphen."""

Context = Literal["paper", "presentation"]
Theme = Literal["light", "dark"]

DOTS, DASHES = (0, (1, 1.2)), (0, (5, 1))

# method: (marker, label)
_FORGET_ONLY: dict[str, tuple[Any, str]] = {
    "neggrad": ("v", "NegGrad"),
    "random_label": ("^", "Random label"),
    "boundary_shrink": ("P", "Boundary Shrink"),
    "boundary_expand": ("p", "Boundary Expand"),
    "delete": ("X", "DELETE"),
}
_WITH_RETAIN: dict[str, tuple[Any, str]] = {
    "finetune": ("o", "Fine-tune"),
    "neggrad_plus": ("<", "NegGrad+"),
    "bad_teacher": ((4, 1, 0), "Bad Teacher"),
    "scrub": ("d", "SCRUB"),
    "salun": (">", "SalUn"),
    "ssd": ("h", "SSD"),
    "l1_sparse": ((6, 1, 0), "L1-sparse"),
    "unsc": ("s", "UNSC"),
}
_FIXED: dict[str, tuple[Any, str, str]] = {
    "original": ("s", "Original", "-"),
    "retrain": ("D", "Retrained oracle", "--"),
    "spotter": ("*", "Spotter", "-"),
    "untrained": ("8", "Untrained network", ":"),
}
_RESERVE_MARKERS = ("o", "v", "^", "P", "X", "<", ">", "p")


class Look(NamedTuple):
    """How a method is drawn, everywhere, in the theme in which it was asked for."""

    label: str
    color: str
    marker: Any
    filled: bool = True
    dashes: Any = "-"

    @property
    def face(self) -> str:
        """What fills the marker."""
        return self.color if self.filled else inks().spotted

    @property
    def edge(self) -> str:
        """What surrounds the marker: the colour, darker where it would be too pale alone."""
        return outline(self.color)

    def line(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.plot``."""
        return {
            "label": self.label,
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.dashes,
            "markerfacecolor": self.face,
            "markeredgecolor": self.edge,
            "markersize": sized(8.5 if self.marker == "*" else 5.0),
        }

    def dots(self) -> dict[str, Any]:
        """Return keyword arguments for ``Axes.scatter``."""
        return {
            "marker": self.marker,
            "facecolors": self.face,
            "edgecolors": self.edge,
        }


def look(method: str) -> Look:
    """Return how ``method`` is drawn; a name nobody has heard of gets a colour that stays its own.

    Args:
        method: ``original``, or a name in ``METHODS``.
    """
    if method in _FIXED:
        marker, label, dashes = _FIXED[method]
        return Look(label, of_theme(METHODS[method]), marker, dashes=dashes)
    around, plus, base = method.rpartition("+")
    known = _FORGET_ONLY | _WITH_RETAIN
    if base in known and around in ("", "spotter"):
        (marker, label), color = known[base], of_theme(METHODS[base])
        if plus:
            return Look(f"Spotter + {label}", color, marker, filled=False, dashes=DASHES)
        return Look(label, color, marker, dashes=DOTS if base in _WITH_RETAIN else "-")
    number = hashlib.sha256(method.encode()).digest()[0]
    return Look(
        method.replace("_", " "),
        of_theme(RESERVE[number % len(RESERVE)]),
        _RESERVE_MARKERS[number // len(RESERVE) % len(_RESERVE_MARKERS)],
    )


def use_style(context: Context | None = None, theme: Theme | None = None) -> None:
    """Set colours, fonts, sizes and layout for the study's figures, on screen and in print.

    Args:
        context: ``"paper"``, or ``"presentation"``, which the last row of a classroom can read.
        theme: ``"light"`` or ``"dark"``. What is not given is taken from the environment variable
            ``SPOTTER_STYLE``, such as ``presentation-dark``; else it is paper and light.

    Raises:
        ValueError: If a word is unknown, here or in the variable; lists those that are known.
    """
    wished = wishes(os.environ.get(VARIABLE, ""))
    given = {"context": context, "theme": theme}
    chosen = {**wished, **{kind: word for kind, word in given.items() if word is not None}}
    for kind, known in (("context", SCALES), ("theme", THEMES)):
        if chosen[kind] not in known:
            raise ValueError(f"{kind} must be one of {', '.join(known)}, got {chosen[kind]!r}")
    colors, factor = THEMES[chosen["theme"]], SCALES[chosen["context"]]
    settings: dict[Any, Any] = {key: factor * value for key, value in LENGTHS.items()}
    settings |= dict.fromkeys(INKED, colors.ink) | dict.fromkeys(PAPERED, colors.paper)
    mpl.rcParams.update({**FLAGS, **settings, "grid.color": colors.grid})


def wishes(words: str) -> dict[str, str]:
    """Return context and theme as the environment variable wishes them.

    >>> wishes("dark")
    {'context': 'paper', 'theme': 'dark'}
    """
    chosen: dict[str, str] = {}
    for word in filter(None, words.strip().lower().split("-")):
        if word not in (*SCALES, *THEMES):
            known = f"{', '.join(SCALES)}, {', '.join(THEMES)}"
            raise ValueError(f"{VARIABLE} knows {known}, joined by a hyphen; got {words!r}")
        kind = "context" if word in SCALES else "theme"
        if kind in chosen:
            raise ValueError(f"{VARIABLE} names the {kind} twice, once is enough; got {words!r}")
        chosen[kind] = word
    return {"context": "paper", "theme": "light", **chosen}


FLAGS: dict[Any, Any] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "savefig.facecolor": "auto",  # that of the figure
    "pdf.fonttype": 42,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}
INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
PAPERED = ("figure.facecolor", "axes.facecolor", "figure.edgecolor")
