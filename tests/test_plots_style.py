"""What holds for every picture in both themes and both contexts."""

import functools
import importlib
import pkgutil
import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from drawn import PICTURES
from matplotlib.text import Text
from test_plots import BLINDNESS, FAMILY, lab

from spotter_core import plots
from spotter_core.plots.inks import METHODS, RESERVE, THEMES, contrast, inks, legible, theme
from spotter_core.plots.sizes import SCALES, fitted, scale
from spotter_core.plots.style import VARIABLE, look, use_style

STYLES = [(c, t) for c in SCALES for t in THEMES]
BETTER = re.compile(
    r"(lower|higher)[^\n]*\n?[^\n]*(better|safer|nearer|harder|scattered|mixed|cheaper|less)"
    r"|nearer to 0 is better|lower:"
)
UNIT = re.compile(
    r"%|nats|pixel|points|ratio|images|probability|epoch|steps|λ|α|k\b|cosine|no unit|0 to 1|class"
)


@pytest.fixture(autouse=True)
def restored():
    with mpl.rc_context():
        yield
    plt.close("all")


def drawn(name, context="paper", theme="light"):
    """Draw a picture in a style; any warning is an error."""
    use_style(context, theme)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = PICTURES[name]()
        figure = np.asarray(axes, dtype=object).reshape(-1)[0].figure
        figure.canvas.draw()
    return figure


def words(figure):
    """Return the texts that are seen, with their boxes in pixels."""
    found = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    hidden = {
        label
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not label.get_visible() or not within(tick.get_loc(), axis)
    }
    return [(t, t.get_window_extent()) for t in found if t not in hidden]


def within(place, axis):
    low, high = sorted(axis.get_view_interval())
    slack = 1e-6 * (high - low)
    return low - slack <= place <= high + slack


def test_every_plot_function_is_among_the_pictures():
    found = set()
    for module in pkgutil.iter_modules(plots.__path__):
        each = importlib.import_module(f"spotter_core.plots.{module.name}")
        own = [f for n, f in vars(each).items() if n.startswith("plot_")]
        prefix = "audit." if module.name == "audit" else ""
        found |= {prefix + f.__name__ for f in own if f.__module__ == each.__name__}
    assert found == set(PICTURES)


@pytest.mark.parametrize(("context", "theme"), STYLES)
@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_no_words_lie_on_one_another(name, context, theme):
    figure = drawn(name, context, theme)
    boxes = [(t.get_text(), box.padded(-1)) for t, box in words(figure)]
    right, top = figure.bbox.max
    cut = [s for s, b in boxes if min(b.min) < -3 or b.x1 > right + 2 or b.y1 > top + 2]
    assert not cut
    on = [(a, b) for i, (a, p) in enumerate(boxes) for b, q in boxes[:i] if p.overlaps(q)]
    assert not on


@pytest.mark.parametrize(("context", "theme"), STYLES)
@pytest.mark.parametrize("name", PICTURES)
def test_every_word_stands_out_from_what_is_behind_it(name, context, theme):
    """Contrast 4.5 to four fifths of the pixels behind, the rest lines; a halo is behind its word.

    A halo of four fifths opacity counts as whole.
    """
    figure = drawn(name, context, theme)
    seen = words(figure)
    halos = {text: [e._gc["foreground"] for e in text.get_path_effects()] for text, _ in seen}
    contrast_to = functools.cache(contrast)
    for text, _ in seen:
        text.set_path_effects([])
        text.set_alpha(0.0)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].astype(int)
    for text, box in seen:
        x, y, *_ = np.maximum(box.bounds, 0).astype(int)
        behind = pixels[y : int(box.y1) + 1, x : int(box.x1) + 1].reshape(-1, 3)
        colors, counts = np.unique(behind @ [65536, 256, 1], return_counts=True)
        shown = halos[text] * len(colors) or [f"#{color:06X}" for color in colors]
        fine = [contrast_to(text.get_color(), color) >= 4.5 for color in shown]
        assert counts[fine].sum() >= 0.8 * counts.sum(), text.get_text()


# --- axes


def side(ax, which):
    """Return an axis's label, those of axes that it is shared with, and its panel's title."""
    shared = getattr(ax, f"get_shared_{which}_axes")().get_siblings(ax)
    labels = " ".join(getattr(each, f"get_{which}label")() for each in (ax, *shared))
    return f"{labels} {ax.get_title(loc='left')}"


def is_number(label):
    return re.fullmatch(r"[-−]?[\d.]+", label.get_text()) is not None


@pytest.mark.parametrize("name", PICTURES)
def test_every_axis_with_numbers_has_a_unit_and_the_picture_says_what_is_better(name):
    figure = drawn(name)
    around = " ".join(t.get_text() for t in figure.findobj(Text) if len(t.get_text()) > 12)
    for ax in figure.axes:
        labels = {"x": ax.get_xticklabels(), "y": ax.get_yticklabels()}
        for which, ticks in labels.items():
            if [t for t in ticks if t.get_visible() and is_number(t)] and ax.axison:
                own = side(ax, which)
                if "across:" in around:  # planes say it once for all panels
                    own += around
                assert UNIT.search(own), f"{which} axis: {own!r}"
    if name not in NEUTRAL:
        assert BETTER.search(around), around


NEUTRAL = ("plot_strips", "audit.plot_spaces")
"""Pictures of what networks say and where samples lie: no value in them is good or bad."""


@pytest.mark.parametrize("name", PICTURES)
def test_both_yardsticks_are_in_every_picture(name):
    said = " ".join(t.get_text().replace("\n", " ") for t in drawn(name).findobj(Text))
    assert "Original" in said
    assert "Retrained oracle" in said


# --- colours


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", THEMES)
def test_colours_are_told_apart_by_color_blind_readers_in_both_themes(theme, blindness):
    use_style(theme=theme)
    seen = {n: lab(look(n).color, BLINDNESS[blindness]) for n in FAMILY if "+" not in n}
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a in seen for b in seen if a < b}
    assert min(apart.values()) > 20, min(apart, key=apart.get)


@pytest.mark.parametrize("theme", THEMES)
def test_every_method_stands_out_from_the_paper(theme):
    """Outlines 3, colours 3 in the dark and 1.9 on white.

    Sixteen colours of contrast 3 to white that are 20 apart for every reader were not found; pale
    ones have a darker outline instead.
    """
    use_style(theme=theme)
    least = {"light": 1.9, "dark": 3.0}[theme]
    for name in [*METHODS, *(f"stranger {i}" for i in range(40))]:
        assert contrast(look(name).edge, inks().paper) >= 3.0, name
        assert contrast(look(name).color, inks().paper) >= least, name


def test_a_method_keeps_its_hue_in_the_dark():
    hues = []
    for light, dark in [*METHODS.values(), *RESERVE]:
        a, b = (lab(color, BLINDNESS["none"])[1:] for color in (light, dark))
        if np.hypot(*a) > 8:
            hues.append(abs(np.angle(complex(*a) / complex(*b), deg=True)))
            assert np.hypot(*b) > 8
    assert max(hues) < 20


@pytest.mark.parametrize("theme", THEMES)
def test_words_are_read_on_all_inks(theme):
    use_style(theme=theme)
    now = inks()
    assert all(contrast(now.ink, each) >= 4.5 for each in (*now.land, now.forget_land, now.paper))
    assert all(contrast(each, now.paper) >= 4.5 for each in (now.quiet, now.good, now.bad))
    assert all(contrast(each, now.paper) >= 3.0 for each in now.forget)


def test_figures_on_a_heat_map_are_black_or_white_and_read_on_every_colour():
    for each in THEMES.values():
        colors = mpl.colormaps[each.damage_map](np.linspace(0, 1, 256))
        assert min(contrast(legible(c), c) for c in colors) >= 4.5


# --- choosing


def test_the_environment_chooses_and_an_argument_wins(monkeypatch):
    monkeypatch.setenv(VARIABLE, "presentation-dark")
    use_style()
    assert (theme(), scale()) == ("dark", 1.6)
    use_style("paper")
    assert (theme(), scale()) == ("dark", 1.0)
    use_style(theme="light")
    assert (theme(), scale()) == ("light", 1.6)
    monkeypatch.setenv(VARIABLE, "dark")
    use_style()
    assert (theme(), scale()) == ("dark", 1.0)
    monkeypatch.delenv(VARIABLE)
    use_style()
    assert (theme(), scale()) == ("light", 1.0)


def test_unknown_words_are_refused_and_the_known_ones_named(monkeypatch):
    with pytest.raises(ValueError, match="paper, presentation"):
        use_style("poster")
    with pytest.raises(ValueError, match="light, dark"):
        use_style(theme="sepia")
    for words in ("poster", "dark-poster", "dark_presentation"):
        monkeypatch.setenv(VARIABLE, words)
        with pytest.raises(ValueError, match=r"presentation, light, dark.*got"):
            use_style()
    for words in ("dark-light", "paper-paper"):
        monkeypatch.setenv(VARIABLE, words)
        with pytest.raises(ValueError, match="twice"):
            use_style()


def test_a_style_ends_with_matplotlibs_context():
    use_style("paper", "light")
    before = look("original").color
    with mpl.rc_context():
        use_style("presentation", "dark")
        assert look("original").color != before
    assert look("original").color == before
    assert scale() == 1.0


def test_on_a_slide_words_are_larger_against_the_picture_and_it_is_no_wider_than_a_slide():
    for name in ("plot_ou_parts", "plot_relearning", "plot_slices"):
        paper, slide = drawn(name), drawn(name, "presentation")
        growth = slide.get_figwidth() / paper.get_figwidth()
        assert growth <= 1.6
        assert slide.get_figwidth() * 14 / 15.2 < 16  # 14 points or more where it fills a slide


def test_lines_are_wrapped_where_they_would_be_too_wide():
    assert fitted("Spotter + Random label", 9.0, 10.5) == "Spotter + Random label"
    assert fitted("Spotter + Random label", 1.2, 10.5) == "Spotter +\nRandom label"
