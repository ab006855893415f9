"""Every colour of the study, on white paper and on dark; no other file chooses one.

Layer 9. Pictures ask :func:`inks` when they are drawn, never when they are imported, so that one
session can draw both. The current theme is what ``use_style`` wrote into Matplotlib's settings,
nothing else: it ends with their ``rc_context``.
"""

from typing import NamedTuple

import matplotlib as mpl
import numpy as np


class Inks(NamedTuple):
    """The colours of a theme that are no method's.

    Attributes:
        paper: What is drawn on.
        ink: Text, axes, outlines.
        quiet: Bounds, notes and everything else that is no method.
        edge: Frames of panels, lines between rows, areas without a meaning of their own.
        grid: Lines behind the data.
        spotted: What fills the marker of a method that Spotter's terms are around.
        damage_map: Colour map of every divergence and loss: near the paper's colour is unharmed.
        more: What a larger value on ``damage_map`` is, beside a smaller one.
        forget: Forget classes, wherever single samples are drawn.
        land: Regions of retained classes; ink on top is read on every one.
        forget_land: Regions of forget classes.
        crowd: Samples of retained classes: told apart, but behind the forgotten ones.
        good: A claim that holds.
        bad: A claim that doesn't, and what collapsed.
        allowed: The range that a claim allows.
    """

    paper: str
    ink: str
    quiet: str
    edge: str
    grid: str
    spotted: str
    damage_map: str
    more: str
    forget: tuple[str, ...]
    land: tuple[str, ...]
    forget_land: str
    crowd: tuple[str, ...]
    good: str
    bad: str
    allowed: str


_LAND = "#A6CEE3 #B2DF8A #CAB2D6 #FFF2AE #B3E2CD #FDDAEC #D9D9D9 #C6DBEF #E6D5B8 #CCEBC5"
_DARK_LAND = "#2B5673 #3F6827 #5A4580 #6B6120 #2A6652 #7A3F62 #4D4D4D #3A5488 #6B5235 #2F6B3C"
_CROWD = "#B9C6D3 #D0D0D0 #A9B4BF #C9BFB5 #BFCBBF #D9CCD9 #AFC0C0 #CFC9A8 #B5B5C8 #C8D6DF"
_DARK_CROWD = "#6C7782 #727272 #656F79 #797169 #697669 #796E79 #647373 #767258 #6C6C7E #6A7880"

THEMES = {
    "light": Inks(
        paper="#FFFFFF",
        ink="#000000",
        quiet="#555555",
        edge="#BBBBBB",
        grid="#DDDDDD",
        spotted="#FBD9BF",
        damage_map="magma_r",
        more="darker",
        forget=("#D55E00", "#0072B2", "#009E73", "#CC79A7"),
        land=tuple(_LAND.split()),
        forget_land="#F4B183",
        crowd=tuple(_CROWD.split()),
        good="#00775A",
        bad="#B5480A",
        allowed="#E3EFEA",
    ),
    "dark": Inks(
        paper="#15181D",
        ink="#FFFFFF",
        quiet="#B9BEC6",
        edge="#5A616B",
        grid="#30353D",
        spotted="#63330F",
        damage_map="magma",
        more="brighter",
        forget=("#FF8A3D", "#56B4E9", "#2FC89B", "#E39AC4"),
        land=tuple(_DARK_LAND.split()),
        forget_land="#9A4A12",
        crowd=tuple(_DARK_CROWD.split()),
        good="#4FD1A5",
        bad="#FF9A5C",
        allowed="#1E3A33",
    ),
}

# method: its colour on white paper, and the same hue lighter on dark
METHODS: dict[str, tuple[str, str]] = {
    "original": ("#000000", "#FFFFFF"),
    "retrain": ("#7F7F7F", "#919191"),
    "untrained": ("#4A4A4A", "#C8C8C8"),
    "spotter": ("#D55E00", "#FF7F2A"),
    "neggrad": ("#4BC3D2", "#81CED2"),
    "random_label": ("#96C396", "#C0FDC3"),
    "boundary_shrink": ("#0000F0", "#673CFA"),
    "boundary_expand": ("#5A0F69", "#8948AD"),
    "delete": ("#962DE1", "#BD7CFB"),
    "finetune": ("#3C78A5", "#6994BD"),
    "neggrad_plus": ("#3C4B00", "#A3C87F"),
    "bad_teacher": ("#C3B45A", "#D8D76B"),
    "scrub": ("#781E4B", "#994881"),
    "salun": ("#FFA50F", "#FFC705"),
    "ssd": ("#A5694B", "#A57F61"),
    "l1_sparse": ("#4B0096", "#7A47D5"),
    "unsc": ("#E169FF", "#FB98FF"),
}
# For methods that this list has never heard of, chosen by their name.
RESERVE = (
    ("#6A51A3", "#A08AD6"),
    ("#35978F", "#5CC4BA"),
    ("#6B8E23", "#9CC04A"),
    ("#4682B4", "#7FB2DC"),
    ("#8C6BB1", "#B79AD8"),
    ("#2E8B57", "#58BB84"),
    ("#5F6CAF", "#94A0E0"),
    ("#41AB5D", "#6FCF88"),
)


OUTLINE = 3.0
"""Contrast to the paper that an outline has at least (WCAG 2 asks it of what is no text)."""


def theme() -> str:
    """Return the current theme's name; ``light`` if ``use_style`` was never called."""
    face = mpl.rcParams["figure.facecolor"]
    return next((name for name, each in THEMES.items() if each.paper == face), "light")


def inks() -> Inks:
    """Return the colours of the current theme."""
    return THEMES[theme()]


def of_theme(pair: tuple[str, str]) -> str:
    """Return the colour of a pair, light theme first, that the current one asks for."""
    return pair[list(THEMES).index(theme())]


def luminance(color: object) -> float:
    """Return the relative luminance of a colour (WCAG 2), 0 for black and 1 for white."""
    rgb: np.ndarray = np.array(mpl.colors.to_rgb(color))  # type: ignore[arg-type]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: object, other: object) -> float:
    """Return the contrast of two colours (WCAG 2), from 1 to 21."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def legible(background: object) -> str:
    """Return black or white, whichever is read better; the contrast is at least 4.58."""
    return max(("#000000", "#FFFFFF"), key=lambda color: contrast(color, background))


def outline(color: str) -> str:
    """Return the colour, or if it is too pale for the paper, the same hue closer to the ink.

    Sixteen colours that color-blind readers tell apart need the pale ones, too; on white these are
    seen by the outline of their markers.
    """
    rgb, towards = np.array(mpl.colors.to_rgb(color)), np.array(mpl.colors.to_rgb(inks().ink))
    for share in np.linspace(0.0, 1.0, 51):
        mixed = mpl.colors.to_hex((1 - share) * rgb + share * towards).upper()
        if contrast(mixed, inks().paper) >= OUTLINE:
            return mixed
    return inks().ink
