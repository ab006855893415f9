"""The toy's points, before any network: what the tour's first picture shows."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from test_plots_style import STYLES, words

from spotter_core.plots.inks import contrast, inks
from spotter_core.plots.style import use_style
from spotter_core.plots.toy import draw_toy

NAMES = ["middle", "A", "B", "C"]
CENTRES = np.array([[0.5, 0.5], [0.5, 0.8], [0.2, 0.3], [0.8, 0.3]])


@pytest.fixture(autouse=True)
def restored():
    with mpl.rc_context():
        yield
    plt.close("all")


def drawn(**more):
    labels = np.repeat(np.arange(4), 30)
    points = CENTRES[labels] + 0.05 * np.random.default_rng(0).normal(size=(120, 2))
    return points, draw_toy(points, labels, forget_classes=[0], class_names=NAMES, **more)


@pytest.mark.parametrize(("context", "theme"), STYLES)
def test_every_point_is_drawn_and_those_to_be_forgotten_stand_out(context, theme):
    use_style(context, theme)
    points, ax = drawn()
    seen = np.concatenate([c.get_offsets() for c in ax.collections])
    assert sorted(map(tuple, seen)) == sorted(map(tuple, points))
    *kept, forgotten = sorted(ax.collections, key=lambda c: c.get_zorder())
    np.testing.assert_allclose(forgotten.get_offsets(), points[:30])
    colors = [mpl.colors.to_hex(c.get_facecolor()[0]).upper() for c in (*kept, forgotten)]
    assert len(set(colors)) == 4
    assert colors[-1] == inks().forget[0]
    assert contrast(colors[-1], inks().paper) > 3


@pytest.mark.parametrize(("context", "theme"), STYLES)
def test_every_class_is_named_once_and_no_words_lie_on_one_another(context, theme):
    use_style(context, theme)
    _, ax = drawn()
    ax.figure.canvas.draw()
    boxes = [(t.get_text(), box.padded(-1)) for t, box in words(ax.figure)]
    said = [text for text, _ in boxes]
    assert all(said.count(name) == 1 for name in NAMES)
    assert {"to be forgotten", "to be kept"} <= set(said)
    right, top = ax.figure.bbox.max
    assert not [s for s, b in boxes if min(b.min) < -3 or b.x1 > right + 2 or b.y1 > top + 2]
    assert not [(a, b) for i, (a, p) in enumerate(boxes) for b, q in boxes[:i] if p.overlaps(q)]


def test_axes_that_are_given_are_drawn_on():
    _, given = plt.subplots()
    assert drawn(ax=given)[1] is given
