"""The explorers' panels in all four styles, from made-up numbers: nothing cut off, no warning."""

import re
import warnings
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
from drawn import view
from matplotlib.backends.backend_agg import FigureCanvasAgg
from test_plots_style import BETTER, STYLES, UNIT, words

from spotter_core.plots.map_panels import MapPanels
from spotter_core.plots.relearning_panels import Cloud, Regained, RelearningPanels
from spotter_core.plots.run_panels import RunPanels
from spotter_core.plots.slice_panels import SlicePanels
from spotter_core.plots.style import screen_figure, use_style

NAMES = ("cat", "bird", "ship", "airplane", "frog", "automobile")
SHOWN = ("original", "retrain", "spotter+boundary_shrink")


@pytest.fixture(autouse=True)
def restored():
    with mpl.rc_context():
        use_style("paper", "light")
        yield


def made_slice():
    panels = SlicePanels(screen_figure(9.8, 5.2), 3, NAMES)
    image = np.linspace(0, 1, 48).reshape(4, 4, 3)
    seen = view(SHOWN)
    panels.show_view(seen, image, "1000 of 1000 by margin", "nearest image of class automobile")
    panels.show_radius(seen, 0.1, dict.fromkeys(SHOWN, 0.693), 256)
    panels.show_place(0.1, -0.05, image, dict.fromkeys(SHOWN, "automobile (0.98)"))
    return panels


def crowd(classes):
    random = np.random.default_rng(0)
    labels = np.arange(60 * classes) % classes
    turns = 2 * np.pi * np.arange(classes) / classes
    middles = 5 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return middles[labels] + random.normal(size=(len(labels), 2)), labels


def made_relearning(classes=6):
    names = (NAMES * classes)[:classes]
    panels = RelearningPanels(screen_figure(9.8, 4.6), names, 20)
    points, labels = crowd(classes)
    forgotten = labels == 3
    cloud = Cloud(
        forget=points[forgotten],
        retain=points[~forgotten],
        retain_labels=labels[~forgotten],
        named=np.arange(60) % 2 == 0,
        forget_margin=np.where(np.arange(60) % 2 == 0, 1.0, -1.0),
        retain_margin=np.full(60 * (classes - 1), -1.0),
        support=points[forgotten][:5],
        prototypes=points[forgotten][:5].mean(axis=0, keepdims=True),
        corners=np.stack([points.min(axis=0), points.max(axis=0)]),
    )
    values = dict(zip(SHOWN, (1.0, 0.5, 0.0), strict=True))
    regained = {m: Regained(v, np.linspace(v / 2, v, 20), 1.0 - v, 0.99) for m, v in values.items()}
    panels.show("Spotter + Boundary Shrink", cloud, regained)
    return panels


def made_map(color="class"):
    points, labels = crowd(6)
    spaces = {m: (-1) ** i * points for i, m in enumerate(SHOWN)}
    panels = MapPanels(screen_figure(9.8, 4.5), spaces, labels, [3], NAMES)
    damage = color == "damage"
    values = np.linspace(0, 0.69, len(labels)) if damage else labels[::-1]
    panels.show(SHOWN[1:], color, dict.fromkeys(SHOWN, values))
    said = "an automobile, to be forgotten\nSpotter + Boundary Shrink: frog (0.98)\n  OU here 0.693"
    panels.show_image(3, np.linspace(0, 1, 48).reshape(4, 4, 3), said)
    return panels


def moment(epoch, **changes):
    end = {"forget_accuracy": 0.9, "retain_accuracy": 0.95, "over_unlearning": 0.4}
    losses = {"loss": 1.0 / (epoch or 1), "over_unlearning": 0.2, "dispersion": 0.7}
    at = {**end, "mean_cosine": 0.9, "losses": losses if epoch else {}}
    return SimpleNamespace(epoch=epoch, **(at | changes))


def made_run():
    panels = RunPanels(screen_figure(9.8, 4.9))
    points, labels = crowd(6)
    yardsticks = {m: moment(0) for m in ("original", "retrain")}
    panels.start("spotter+boundary_shrink", 100, yardsticks, points, labels, [3])
    for epoch in (0, 50, 100):
        panels.add(moment(epoch, forget_accuracy=0.9 - epoch / 200), points)
    return panels


def diverged():
    panels = made_run()
    panels.tell_divergence()
    return panels


MADE = {
    "slice": made_slice,
    "relearning": made_relearning,
    "run": made_run,
    "diverged run": diverged,
    **{f"map by {c}": lambda c=c: made_map(c) for c in ("class", "answer", "damage", "method")},
}
KINDS = ("slice", "relearning", "run", "map by class")
"""Of which the others are variants."""


def drawn(name, context="paper", theme="light"):
    use_style(context, theme)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        panels = MADE[name]()
        FigureCanvasAgg(panels.figure).draw()
    return panels


@pytest.mark.parametrize(
    ("name", "context", "theme"),
    [(name, *style) for name in MADE for style in (STYLES if name in KINDS else STYLES[-1:])],
)
def test_nothing_is_cut_off_no_words_lie_on_one_another_and_units_are_told(name, context, theme):
    figure = drawn(name, context, theme).figure
    boxes = [(t.get_text(), box.padded(-1)) for t, box in words(figure)]
    right, top = figure.bbox.max
    assert not [s for s, b in boxes if min(b.min) < -1 or b.x1 > right + 1 or b.y1 > top + 1]
    on = [(a, b) for i, (a, p) in enumerate(boxes) for b, q in boxes[:i] if p.overlaps(q)]
    assert not on
    said = " ".join(text for text, _ in boxes)
    assert UNIT.search(said)
    assert BETTER.search(said) or name in ("map by class", "map by answer", "map by method")
    corner = np.asarray(figure.canvas.buffer_rgba())[0, 0, :3]
    assert (corner < 50).all() if theme == "dark" else (corner > 250).all()


def test_of_many_classes_none_is_named():
    assert len(made_relearning(6).cloud.texts) == 5
    assert not made_relearning(30).cloud.texts


def test_an_axis_makes_room_for_what_leaves_it_in_its_own_unit():
    panels = made_run()
    points, _ = crowd(6)
    panels.add(moment(100, mean_cosine=-0.2, retain_accuracy=0.1), 3 * points)
    assert panels.axes["mean_cosine"].get_ylim()[0] == pytest.approx(-0.3)
    assert panels.axes["retain_accuracy"].get_ylim()[0] == pytest.approx(0.0)
    assert panels.cloud.get_xlim()[1] >= 3 * np.abs(points).max()


def test_the_divergence_is_told_with_its_epoch():
    assert re.fullmatch(
        r"Spotter \+ Boundary Shrink\ndiverged after epoch 100",
        diverged().cloud.get_title(loc="left"),
    )
    panels = RunPanels(screen_figure(9.8, 4.9))
    points, labels = crowd(6)
    panels.start("delete", 5, {"original": moment(0), "retrain": moment(0)}, points, labels, [3])
    panels.tell_divergence()
    assert panels.cloud.get_title(loc="left") == "DELETE\ndiverged after epoch 0"


def test_the_nearest_image_is_that_of_the_panel():
    panels = made_map()
    own = panels.coordinates[SHOWN[2]]
    assert panels.nearest(panels.panels[1], *own[7]) == 7
    assert panels.nearest(panels.picture, 0, 0) is None
