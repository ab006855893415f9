"""Layer 10: what is moved by hand. Its numbers are the core's, its pictures those that stand still.

Controls are moved in plain Python; no frontend is there.
"""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tiny import CELL, METHODS, SHORT, make_project, tiny_study
from torch import Generator

mpl.use("Agg")
import spotter_core.explorers as doors
from spotter_core import frontends
from spotter_core.attacks import PrototypeAttack, PrototypeSweep
from spotter_core.data import Dataset, ImageSet
from spotter_core.execute import main as execute
from spotter_core.explorers import background, frontend, live, neighborhood, opening
from spotter_core.explorers.background import Command, Work
from spotter_core.explorers.dispersion import COLORS, Dispersion, DispersionExplorer
from spotter_core.explorers.live import LiveRun, Run
from spotter_core.explorers.neighborhood import Neighborhood, NeighborhoodExplorer
from spotter_core.explorers.relearning import DRAWS, ROWS, Relearning, RelearningExplorer
from spotter_core.maps import EmbeddingMap
from spotter_core.measurements import over_unlearning_everywhere
from spotter_core.metrics import accuracy, over_unlearning
from spotter_core.plots.style import use_style
from spotter_core.prepare import missing
from spotter_core.profiles import Cell
from spotter_core.slices import view_slice
from spotter_core.study import Study
from spotter_core.training import predict

# ipympl makes its toolbar in a way that traitlets means to refuse one day
pytestmark = pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")
MODELS = ("original", "retrain", "delete", "spotter")
ATTACKS = [
    PrototypeAttack(k, alpha, *row) for k, alpha in ((1, 1.0), (5, 0.4)) for row in ROWS.values()
]


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        use_style("paper", "light")
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    tiny_study(root).surviving(CELL, MODELS)
    return tiny_study(root)  # loaded, as on most days: without gradients left from training


@pytest.fixture(scope="module")
def near(study):
    return Neighborhood(study, CELL, resolution=15)


@pytest.fixture(scope="module")
def relearning(study):
    return Relearning(study, CELL)


def made_map(study, cell=CELL, models=MODELS):
    """A map whose coordinates are two of the features: no UMAP, which compiles for long."""
    parts = [study.part(cell, f"{side}/test") for side in ("forget", "retain")]
    images = ImageSet(*(torch.cat([getattr(p, n) for p in parts]) for n in ("images", "labels")))
    features = {m: predict(study.model(cell, m), images.images).features for m in models}
    places = {m: f[:, :2].double().numpy() for m, f in features.items()}
    return EmbeddingMap(images, features, images.labels, places)


@pytest.fixture(scope="module")
def dispersion(study):
    return Dispersion(study, CELL, made_map(study))


@pytest.fixture(scope="module")
def numbers(study, near, relearning, dispersion):
    return {"neighborhood": near, "relearning": relearning, "dispersion": dispersion}


@pytest.fixture
def build(numbers):
    """``build("relearning")`` makes an explorer of the shared numbers."""

    def call(kind):
        if kind == "dispersion":
            return DispersionExplorer(numbers[kind])
        explorer = {"neighborhood": NeighborhoodExplorer, "relearning": RelearningExplorer}[kind]
        return explorer(numbers[kind], ["spotter", "delete"])

    return call


@pytest.fixture(autouse=True)
def finest(monkeypatch):
    """The same resolution however slow this machine is today; both are less than a reader has."""
    monkeypatch.setattr(neighborhood, "PATIENCE", 1e9)
    monkeypatch.setattr(neighborhood, "FINEST", 15)


def pixels(explorer):
    return np.asarray(explorer.figure.canvas.buffer_rgba()).copy()


def standing(explorer):
    """The pixels of an explorer's state where nobody can move it."""
    FigureCanvasAgg(explorer.figure)
    explorer.draw()
    explorer.figure.canvas.draw()
    return pixels(explorer)


def moving(explorer):
    """The explorer with its controls, its picture asked for once as a page does."""
    frontend.panel(explorer)
    explorer.figure.canvas.draw()
    return explorer


# --- numbers: the neighborhood


def test_the_damage_at_the_headlines_epsilon_is_the_studys_own_measurement(study, near):
    rows = over_unlearning_everywhere(study, CELL, MODELS)
    found = {
        r.method: r.value
        for r in rows
        if (r.measure, r.split) == ("over_unlearning", "forget/test")
        and r.at["neighborhood"] == study.profile.headline
    }
    for method in MODELS:
        assert near.damage(near.near.epsilon, method) == pytest.approx(found[method], abs=1e-7)


def test_damage_is_of_a_sample_where_there_are_many_and_the_same_in_any_order(study, monkeypatch):
    monkeypatch.setattr(neighborhood, "COUNTED", 10)
    one, other = Neighborhood(study, CELL), Neighborhood(study, CELL)
    assert len(one.counted) == 10
    asked = [(0.05, "spotter"), (0.1, "original"), (0.2, "delete"), (0.05, "delete")]
    first = {key: one.damage(*key) for key in asked}
    assert first == {key: other.damage(*key) for key in reversed(asked)}


def test_a_view_is_the_slice_of_the_core(study, near):
    plane = near.plane(2, "7")
    models = {m: study.model(CELL, m) for m in ("original", "retrain", "delete")}
    side = neighborhood.REACH * 0.1
    own = view_slice(
        models, plane, (3,), epsilon=0.1, reach=(-side, side), resolution=near.resolution
    )
    view = near.view(2, "7", "delete")
    for model in models:
        for name in ("predicted", "probability", "margin", "over_unlearning"):
            np.testing.assert_array_equal(
                getattr(view.answers[model], name), getattr(own.answers[model], name)
            )


def test_images_are_in_the_order_of_the_originals_margin(study, near):
    logits = predict(study.model(CELL, "original"), near.samples.images).logits[near.order]
    others = logits.clone()
    others[:, 3] = -torch.inf
    margins = logits[:, 3] - others.amax(dim=1)
    assert (margins.diff() >= 0).all()
    assert near.typical == (len(near.order) - 1) // 2
    image = near.samples.pixels()[near.order[4]]
    assert torch.equal(near.image(4), image)


def test_the_upward_direction_leads_to_an_image_of_the_class_that_is_named(study, near):
    for direction in near.directions:
        plane = near.plane(0, direction)
        if direction in study.dataset.class_names:
            towards = near._towards(near.image(0), direction)
            assert ((towards - plane.origin) * plane.across).sum() > 0
    assert near.directions == ["runner-up", *"012456789", "random noise"]


def test_the_headlines_epsilon_is_one_to_choose_from_whatever_its_digits(study):
    odd = {"kind": "uniform", "epsilon": 8 / 255}
    other = Study(replace(study.profile, neighborhoods={"odd": odd}, curves=[]), root=study.root)
    explorer = NeighborhoodExplorer(Neighborhood(other, CELL), ["delete"])
    moving(explorer)
    assert explorer.moved["epsilon"].value == 8 / 255
    assert len(explorer.numbers.epsilons) == 30


def test_a_headline_without_a_radius_is_refused_by_its_name(study):
    other = Study(
        replace(
            study.profile, neighborhoods={"Gaussian": {"kind": "gaussian", "sigma": 0.1}}, curves=[]
        ),
        root=study.root,
    )
    with pytest.raises(ValueError, match=r"headline neighborhood must have a radius.*sigma=0\.1"):
        Neighborhood(other, CELL)


@pytest.mark.parametrize("patience", [1e-9, 0.001, 0.003, 0.01, 1.0])
def test_a_slice_has_the_forget_image_in_its_middle_however_slow_the_machine(
    study, monkeypatch, patience
):
    monkeypatch.setattr(neighborhood, "PATIENCE", patience)
    monkeypatch.setattr(neighborhood, "FINEST", 41)
    numbers = Neighborhood(study, CELL)
    numbers.fit_resolution()
    assert neighborhood.COARSEST <= numbers.resolution <= neighborhood.FINEST
    assert numbers.resolution % 2 == 1
    view = numbers.view(0, "runner-up", "delete")
    assert (view.distance <= numbers.epsilons[0]).any()


# --- numbers: relearning


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_what_is_regained_is_the_accuracy_of_the_attacked_copy(study, relearning, attack):
    method = "delete"
    pool, forget, retain = study.part(CELL, "forget/train"), relearning.forget, relearning.retain
    model = study.model(CELL, method)
    draw = Generator().manual_seed(7)
    copied = attack(model, pool.pixels(), pool.labels, (3,), generator=draw)
    found = relearning.regained(method, attack, 7)
    assert len(retain) == min(400, len(study.part(CELL, "retain/test")))
    assert found.forget == accuracy(predict(copied, forget.images).logits, forget.labels)
    assert found.retain == accuracy(predict(copied, retain.images).logits, retain.labels)
    assert found.before == accuracy(predict(model, retain.images).logits, retain.labels)


@pytest.mark.parametrize("attack", ATTACKS[::2], ids=repr)
def test_the_dots_are_the_sweep_and_the_bar_is_one_of_them(study, relearning, attack):
    sweep = PrototypeSweep(
        (attack.shots,), (attack.alpha,), tuple(range(DRAWS)), attack.metric, attack.scale
    )
    model, pool = study.model(CELL, "delete"), study.part(CELL, "forget/train")
    forget = study.part(CELL, "forget/test")
    told = [predict(model, part.images) for part in (pool, forget)]
    own = sweep(model.head, told[0].features, pool.labels, told[1], forget.labels, (3,))
    found = [relearning.regained("delete", attack, seed) for seed in (0, DRAWS - 1)]
    assert list(found[0].draws) == own.flatten().tolist()
    assert [found[0].draws[0], found[0].draws[-1]] == [each.forget for each in found]


@pytest.mark.parametrize("method", MODELS)
def test_the_axes_are_orthonormal_and_the_first_leads_to_the_forget_class(relearning, method):
    axes = relearning.axes(method)
    torch.testing.assert_close(axes @ axes.T, torch.eye(2), atol=1e-5, rtol=0)
    cloud = relearning.cloud(method, ATTACKS[0], 0)
    means = [cloud.retain[cloud.retain_labels == c].mean(axis=0) for c in range(10) if c != 3]
    towards = cloud.forget.mean(axis=0) - np.mean(means, axis=0)
    assert towards[0] > 0
    assert abs(towards[1]) < 1e-4


def test_the_axes_are_orthonormal_where_one_class_is_retained(relearning):
    few = object.__new__(Relearning)
    few.retain = ImageSet(torch.zeros(20, 1, 1, 1), torch.zeros(20, dtype=torch.long))
    draw = Generator().manual_seed(0)
    answers = {
        s: SimpleNamespace(features=torch.randn(20, 5, generator=draw).abs())
        for s in ("forget", "retain")
    }
    few._axes, few.seen = {}, lambda method, side: answers[side]
    axes = few.axes("any")
    torch.testing.assert_close(axes @ axes.T, torch.eye(2), atol=1e-5, rtol=0)


def test_a_cloud_has_the_margins_of_the_attacked_copy_and_the_attackers_images(study, relearning):
    attack, pool = PrototypeAttack(5, 0.6), study.part(CELL, "forget/train")
    model = study.model(CELL, "spotter")
    copied = attack(model, pool.pixels(), pool.labels, (3,), generator=Generator().manual_seed(2))
    cloud = relearning.cloud("spotter", attack, 2)
    for side in ("forget", "retain"):
        logits = predict(copied, getattr(relearning, side).images).logits
        own = logits[:, 3] - logits[:, [c for c in range(10) if c != 3]].amax(dim=1)
        np.testing.assert_allclose(getattr(cloud, f"{side}_margin"), own, atol=1e-4)
    np.testing.assert_array_equal(cloud.named, cloud.forget_margin > 0)
    assert cloud.named.mean() == relearning.regained("spotter", attack, 2).forget
    assert cloud.support.shape == (5, 2)
    assert cloud.prototypes.shape == (1, 2)


@pytest.mark.parametrize("method", MODELS)
def test_whatever_an_attack_shows_lies_between_the_corners(relearning, method):
    low, high = relearning.corners(method)
    for shots in (1, 3, relearning.most):
        for seed in range(0, DRAWS, 4):
            cloud = relearning.cloud(method, PrototypeAttack(shots), seed)
            for places in (cloud.forget, cloud.retain, cloud.support, cloud.prototypes):
                assert (places >= low - 1e-5).all()
                assert (places <= high + 1e-5).all()


# --- numbers: the map


@pytest.mark.parametrize("method", MODELS)
def test_a_maps_values_are_those_of_every_image(study, dispersion, method):
    images = dispersion.map.images
    before = predict(study.model(CELL, "original"), images.images).logits
    after = predict(study.model(CELL, method), images.images).logits
    own = over_unlearning(before, after, (3,), reduction="none")
    np.testing.assert_array_equal(dispersion.values(method, "damage"), own)
    np.testing.assert_array_equal(dispersion.values(method, "answer"), after.argmax(dim=1))


def test_the_sentence_of_an_image_says_its_class_and_both_answers(study, dispersion):
    index = int((dispersion.labels != 3).argmax())
    logits = predict(study.model(CELL, "delete"), dispersion.map.images.images[[index]]).logits
    share, said = logits.softmax(dim=1).max(dim=1)
    told = dispersion.sentence(index, ("original", "delete"))
    assert told.startswith(f"a {dispersion.labels[index]}\nOriginal: ")
    assert f"DELETE: {said.item()} ({share.item():.2f})" in told
    assert dispersion.sentence(0, ("delete", "delete")).count("DELETE") == 1
    assert "to be forgotten" in dispersion.sentence(0, ("original", "delete"))


# --- controls and pictures

MOVES = [
    ("neighborhood", "method", "delete", "method"),
    ("neighborhood", "direction", "random noise", "direction"),
    ("neighborhood", "place", 3, "place"),
    ("neighborhood", "epsilon", 0.2, "epsilon"),
    ("neighborhood", "along", -0.2, "along"),
    ("relearning", "method", "delete", "method"),
    ("relearning", "row", "nearest mean (l2)", "row"),
    ("relearning", "shots", 1, "shots"),
    ("relearning", "alpha", 0.0, "alpha"),
    ("relearning", "seed", 11, "seed"),
    ("dispersion", "left", "delete", "left"),
    ("dispersion", "right", "retrain", "right"),
    ("dispersion", "color", "damage", "color"),
]


@pytest.fixture(scope="module")
def living():
    return {}


@pytest.fixture
def alive(living, build):
    """``alive("relearning")`` is an explorer that all tests share and put back."""

    def call(kind):
        if kind not in living:
            living[kind] = moving(build(kind))
        return living[kind]

    return call


def state(explorer):
    return {k: v for k, v in vars(explorer).items() if isinstance(v, str | int | float)}


@pytest.mark.parametrize(("kind", "control", "value", "name"), MOVES)
def test_a_control_moves_the_picture_to_what_stands_still_at_its_value(
    alive, living, build, kind, control, value, name
):
    explorer = alive(kind)
    before, was, first = pixels(explorer), state(explorer), explorer.moved[control].value
    explorer.moved[control].value = value
    expected = value - 1 if control == "place" else value
    assert state(explorer) == was | {name: expected}
    assert not np.array_equal(pixels(explorer), before)
    if f"still {kind}" not in living:
        living[f"still {kind}"] = build(kind)
    still = living[f"still {kind}"]
    vars(still).update(state(explorer))
    np.testing.assert_array_equal(pixels(explorer), standing(still))
    explorer.moved[control].value = first
    np.testing.assert_array_equal(pixels(explorer), before)


def test_every_control_is_moved_by_a_test(alive):
    for kind in ("neighborhood", "relearning", "dispersion"):
        explorer = alive(kind)
        assert set(explorer.moved) == {move[1] for move in MOVES if move[0] == kind}


@pytest.mark.parametrize("kind", ["neighborhood", "relearning", "dispersion"])
def test_the_still_picture_is_the_first_one_that_moves(build, kind):
    np.testing.assert_array_equal(standing(build(kind)), pixels(moving(build(kind))))


@pytest.mark.parametrize("kind", ["neighborhood", "relearning", "dispersion"])
def test_after_many_moves_the_picture_is_that_of_the_last_state_and_no_model_has_changed(
    study, build, unchanged, kind
):
    values = {move[1]: move[2] for move in MOVES if move[0] == kind}
    told = study.predictions(CELL, "spotter", "forget/test").logits.clone()
    with unchanged(study.model(CELL, "spotter")), unchanged(study.model(CELL, "original")):
        explorer = moving(build(kind))
        for control, value in values.items():
            explorer.moved[control].value = value
    assert torch.equal(study.predictions(CELL, "spotter", "forget/test").logits, told)
    whole = pixels(explorer)
    explorer.stage.draw()
    np.testing.assert_array_equal(pixels(explorer), whole)
    still = build(kind)
    for name in values:
        setattr(still, name, getattr(explorer, name))
    np.testing.assert_array_equal(whole, standing(still))


def test_drawing_again_and_again_keeps_nothing(alive):
    for kind in ("neighborhood", "relearning", "dispersion"):
        explorer = alive(kind)
        move = next(m for m in MOVES if m[0] == kind)
        first = explorer.moved[move[1]].value
        count = len(explorer.figure.findobj())
        for value in (move[2], first):
            explorer.moved[move[1]].value = value
        assert len(explorer.figure.findobj()) == count


def click(explorer, ax, x, y, name="button_press_event"):
    """Point at data coordinates of a panel, as the page tells it."""
    from matplotlib.backend_bases import MouseEvent

    event = MouseEvent(name, explorer.figure.canvas, *ax.transData.transform((x, y)), button=1)
    explorer.figure.canvas.callbacks.process(name, event)


def test_a_click_into_a_slice_moves_the_diamond_and_the_slider(build):
    explorer = moving(build("neighborhood"))
    click(explorer, explorer.panels.grid[1, 2], -0.12, 0.2)
    assert explorer.along == explorer.moved["along"].value == pytest.approx(-0.12)
    assert explorer.across == pytest.approx(0.2)
    still = build("neighborhood")
    still.along, still.across = explorer.along, explorer.across
    np.testing.assert_array_equal(pixels(explorer), standing(still))
    click(explorer, explorer.panels.grid[0, 0], explorer.along, -0.3)
    assert explorer.across == pytest.approx(-0.3)
    assert not np.array_equal(pixels(explorer), standing(still))


def test_pointing_at_an_image_shows_it_in_both_panels(build, dispersion):
    explorer = moving(build("dispersion"))
    own = dispersion.coordinates["spotter"]
    index = int(own.sum(axis=1).argmax())
    x, y = own[index]
    click(explorer, explorer.panels.panels[1], x, y, "motion_notify_event")
    assert explorer.index == index
    still = build("dispersion")
    still.index = index
    np.testing.assert_array_equal(pixels(explorer), standing(still))
    click(explorer, explorer.panels.picture, 1, 1)
    assert explorer.index == index


def test_on_a_slide_the_picture_is_that_of_paper_enlarged(build):
    still = build("neighborhood")
    assert standing(still).shape[1] == 882
    use_style("presentation", "light")
    slide = build("neighborhood")
    assert standing(slide).shape[1] == pytest.approx(90 * 13.33, abs=2)
    slide.figure.set_dpi(90)
    slide.figure.canvas.draw()
    use_style("paper", "light")
    np.testing.assert_array_equal(pixels(slide), standing(still))


# --- other data


@pytest.fixture(scope="module")
def colorful(tmp_path_factory, monkeypatch_module):
    """Colour images of 24 classes, two forgotten, one of which has a single sample a part."""
    draw = Generator().manual_seed(0)
    patterns = torch.rand(24, 3, 4, 4, generator=draw)

    def part(count):
        labels = torch.arange(24).repeat(count)
        labels = torch.cat([labels[labels != 5], torch.tensor([5])])
        noise = 0.05 * torch.randn(len(labels), 3, 4, 4, generator=draw)
        return ImageSet((patterns[labels] + noise).clamp(0, 1), labels)

    names = tuple(f"kind {c}" for c in range(24))
    data = Dataset("made", names, part(12), part(6), part(6))
    monkeypatch_module.setattr("spotter_core.workshop.load_dataset", lambda *a, **k: data)
    methods = {"retrain": {}, "delete": SHORT, "random_label": METHODS["random_label"]}
    near = {"uniform": {"kind": "uniform", "epsilon": 0.05}}
    model = {"name": "mlp", "width": 12}
    return tiny_study(
        tmp_path_factory.mktemp("made"), methods=methods, neighborhoods=near, curves=[], model=model
    )


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


MANY = Cell((5, 9), 0)


def test_k_is_limited_by_the_class_with_fewest_images(colorful):
    explorer = moving(RelearningExplorer(Relearning(colorful, MANY), ["delete"]))
    assert explorer.shots == explorer.moved["shots"].max == 1
    cloud = explorer.numbers.cloud("delete", explorer.attack, 0)
    assert cloud.prototypes.shape == cloud.support.shape == (2, 2)
    regained = explorer.numbers.regained("delete", explorer.attack, 0)
    assert cloud.named.mean() == regained.forget
    assert not [t for t in explorer.panels.cloud.texts if t.get_text().startswith("kind")]


def test_slices_of_colour_images_and_many_classes_are_drawn_and_moved(colorful):
    explorer = moving(NeighborhoodExplorer(Neighborhood(colorful, MANY), ["delete"]))
    assert explorer.numbers.directions == ["runner-up", "random noise"]
    assert explorer.panels.pictures[0].images[0].get_array().shape == (4, 4, 3)
    explorer.moved["place"].value = 1
    explorer.moved["along"].value = 0.0
    still = NeighborhoodExplorer(explorer.numbers, ["delete"])
    still.place, still.along = 0, 0.0
    np.testing.assert_array_equal(pixels(explorer), standing(still))


def test_a_map_of_colour_images_and_many_classes_is_drawn_in_every_colour(colorful):
    seen = made_map(colorful, MANY, ("original", "retrain", "delete"))
    explorer = moving(DispersionExplorer(Dispersion(colorful, MANY, seen)))
    pictures = {pixels(explorer).tobytes()}
    for color in COLORS.values():
        explorer.moved["color"].value = color
        pictures.add(pixels(explorer).tobytes())
    assert len(pictures) == len(COLORS)
    assert explorer.panels.picture.images[0].get_array().shape == (4, 4, 3)


def test_a_run_on_a_class_of_one_image_is_watched(colorful):
    explorer = LiveRun(Run(colorful, MANY), ["delete"])
    standing(explorer)
    assert explorer.panels.seen[-1].epoch == 4


# --- the live run


@pytest.fixture(scope="module")
def run(study):
    return Run(study, CELL)


def test_a_watched_run_ends_with_the_studys_model_and_is_drawn_whole(study, run):
    explorer = LiveRun(run, ["delete", "spotter"])
    first = standing(explorer)
    assert [m.epoch for m in explorer.panels.seen] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(first, standing(LiveRun(run, ["delete"])))
    last = explorer.panels.dots.get_offsets()
    own = run.places(study.model(CELL, "delete"))
    np.testing.assert_array_equal(last, own[np.isin(run.labels, CELL.forget)])
    assert explorer.panels.curves["forget_accuracy"].get_ydata()[-1] == pytest.approx(
        100 * explorer.panels.seen[-1].forget_accuracy
    )


@pytest.mark.parametrize(("epochs", "most"), [(1, 1), (25, 25), (26, 13), (49, 25), (100, 25)])
def test_a_run_is_looked_at_so_many_times_at_most(run, monkeypatch, epochs, most):
    asked = []
    monkeypatch.setattr(live, "follow", lambda *_, every: asked.append(every))
    monkeypatch.setattr(run, "epochs", lambda method: epochs)
    run.follow("delete", print)
    assert -(-epochs // asked[0]) == most <= live.MOMENTS


def test_begun_by_hand_a_run_ends_as_the_still_picture_does(run):
    explorer = moving(LiveRun(run, ["delete", "spotter"]))
    before = pixels(explorer)
    explorer.moved["method"].value = "spotter"
    assert not np.array_equal(pixels(explorer), before)
    explorer.buttons["start"].click()
    explorer.buttons["start"].click()  # a second click that came too soon
    explorer.work.thread.join()
    assert (explorer.work.state, explorer.said.value) == ("done", "done")
    assert explorer.bar.value == explorer.bar.max == 3
    assert [b.disabled for b in explorer.buttons.values()] == [False, True, True]
    np.testing.assert_array_equal(pixels(explorer), standing(LiveRun(run, ["spotter"])))


def test_a_run_is_paused_gone_on_with_and_ended_by_hand(run):
    explorer = moving(LiveRun(run, ["delete"]))
    explorer.moved["pace"].value = 1.0
    explorer.buttons["start"].click()
    assert explorer.moved["method"].disabled
    explorer.buttons["pause"].click()
    assert explorer.buttons["pause"].description == "Go on"
    seen = len(explorer.panels.seen)
    time.sleep(0.1)
    assert len(explorer.panels.seen) <= seen + 1
    explorer.buttons["pause"].click()
    assert (explorer.work.state, explorer.buttons["pause"].description) == ("running", "Pause")
    explorer.buttons["cancel"].click()
    explorer.work.thread.join(5)
    assert (explorer.work.state, explorer.said.value) == ("cancelled", "cancelled")
    assert not explorer.moved["method"].disabled


def test_a_diverging_method_is_told_on_the_page_and_in_the_still_picture(run):
    still = LiveRun(run, ["random_label"])
    standing(still)
    told = still.panels.cloud.get_title(loc="left")
    assert told.startswith("Random label\ndiverged after epoch ")
    explorer = moving(LiveRun(run, ["random_label"]))
    explorer.buttons["start"].click()
    explorer.work.thread.join()
    assert explorer.said.value.startswith("failed: random_label")
    assert explorer.panels.cloud.get_title(loc="left") == told
    np.testing.assert_array_equal(pixels(explorer), standing(still))


def test_methods_without_epochs_are_left_out_and_none_left_is_refused(run):
    assert LiveRun(run, ["ssd", "delete"]).methods == ["delete"]
    with pytest.raises(ValueError, match=r"methods must name one that takes epochs, got \['ssd'\]"):
        LiveRun(run, ["ssd"])


# --- work beside the page


def work(act, **hooks):
    """A begun ``Work``, its states and its news."""
    states, news = [], []
    begun = Work(act, on_news=news.append, on_state=lambda w: states.append(w.state), **hooks)
    begun.start()
    return begun, states, news


def steps(count=10**6, seconds=0.001):
    def act(own):
        for step in range(count):
            own.tell(step)
            own.checkpoint(seconds)

    return act


def test_work_tells_its_news_in_order_and_when_it_is_done():
    begun, states, news = work(steps(5))
    begun.thread.join()
    assert news == [0, 1, 2, 3, 4]
    assert states == ["running", "done"]
    assert not begun.busy


def test_work_waits_while_it_is_paused_and_goes_on():
    begun, states, news = work(steps())
    begun.pause()
    time.sleep(0.05)
    count = len(news)
    time.sleep(0.05)
    assert len(news) == count
    begun.resume()
    while len(news) == count:
        time.sleep(0.001)
    begun.cancel()
    begun.thread.join(5)
    assert states == ["running", "paused", "running", "cancelled"]


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_cancelled_work_ends_at_the_checkpoint_at_which_it_waits(paused, seconds):
    begun, states, news = work(steps(seconds=seconds))
    if paused:
        begun.pause()
    time.sleep(0.03)
    count = len(news)
    begun.cancel()
    begun.pause()  # too late, and no reason to wait
    begun.thread.join(5)
    assert states[-1] == "cancelled"
    if paused or seconds:
        assert len(news) == count


def test_failed_work_tells_why():
    begun, states, _ = work(lambda own: 1 / 0)
    begun.thread.join()
    assert states == ["running", "failed"]
    assert isinstance(begun.error, ZeroDivisionError)


def test_under_a_running_loop_all_is_told_in_the_pages_thread():
    seen = []

    async def page():
        note = lambda _: seen.append(threading.current_thread())  # noqa: E731
        begun = Work(steps(3), on_news=note, on_state=note)
        begun.start()
        while begun.busy:
            await asyncio.sleep(0.001)

    asyncio.run(page())
    assert seen == [threading.main_thread()] * 5


def command(source, **hooks):
    return work(Command(["timeit", "-n", "1", "-r", "1", source]), **hooks)


def test_a_commands_lines_are_told_and_what_cannot_be_read_does_not_block_it():
    source = "import sys; print('ε'); sys.stdout.flush(); sys.stdout.buffer.write(b'\\xff\\n')"
    begun, states, news = command(source)
    begun.thread.join(20)
    assert states == ["running", "done"]
    assert news[:2] == ["ε", "\ufffd"]


def test_a_cancelled_command_is_dead():
    source = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    begun, states, news = command(source)
    while not news:
        time.sleep(0.01)
    begun.cancel()
    begun.thread.join(10)
    assert states[-1] == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(news[0]), 0)


def test_a_command_that_does_not_listen_is_killed(monkeypatch):
    monkeypatch.setattr(background, "PATIENCE", 0.1)
    source = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    begun, states, news = command(f"{source}; print(os.getpid(), flush=True); time.sleep(60)")
    while not news:
        time.sleep(0.01)
    begun.cancel()
    begun.thread.join(10)
    assert states[-1] == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(news[0]), 0)


def test_a_failed_command_tells_its_last_lines():
    begun, states, _ = command("[print(i) for i in range(30)]; exit('at an end')")
    begun.thread.join(20)
    assert states == ["running", "failed"]
    said = str(begun.error)
    assert said.startswith("python -m timeit")
    assert "failed:" in said
    assert "at an end" in said
    assert "\n3\n" not in said
    assert len(said.splitlines()) <= 6


def test_an_explorer_leaves_the_figures_of_pyplot_as_they_are():
    code = (
        "import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt; "
        "from matplotlib.figure import Figure; "
        "from spotter_core.explorers.frontend import live_canvas; live_canvas(Figure()); "
        "print(matplotlib.get_backend().lower(), type(plt.figure().canvas).__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True)
    assert done.stdout.decode().split() == ["agg", "FigureCanvasAgg"], done.stderr.decode()


# --- who looks


@pytest.mark.parametrize(
    ("environment", "kernel", "expected"),
    [
        ({}, True, False),
        *(({name: "1"}, True, True) for name in frontends.FRONTENDS),
        *(({name: "1"}, False, False) for name in frontends.FRONTENDS),
        ({"SPOTTER_STATIC": "1", "JPY_SESSION_NAME": "a.ipynb"}, True, False),
        ({"SPOTTER_STATIC": "0"}, False, True),
        ({"SPOTTER_STATIC": "", "VSCODE_PID": "1"}, True, True),
    ],
)
def test_there_are_widgets_only_in_a_kernel_of_a_frontend(
    monkeypatch, environment, kernel, expected
):
    shell = SimpleNamespace(kernel=1) if kernel else None
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    assert frontends.has_widgets(environment) is expected


def test_a_switch_that_means_nothing_is_refused(monkeypatch):
    monkeypatch.setenv("SPOTTER_STATIC", "yes")
    with pytest.raises(ValueError, match=r"SPOTTER_STATIC must be 0 .* got 'yes'"):
        frontends.has_widgets()


def test_moves_are_gathered_under_a_running_loop_and_done_at_once_without_one():
    done = []
    act = frontend.lately(lambda: done.append(1))
    act()
    assert len(done) == 1

    async def page():
        for _ in range(5):
            act()
        assert len(done) == 1
        await asyncio.sleep(2 * frontend.SOON)
        assert len(done) == 2
        act()
        await asyncio.sleep(2 * frontend.SOON)

    asyncio.run(page())
    assert len(done) == 3


def test_what_waits_for_a_pause_is_done_once_after_it_and_at_once_without_a_loop():
    done = []
    act = frontend.after_a_pause(lambda: done.append(1))
    act()
    assert len(done) == 1

    async def page():
        for _ in range(3):
            act()
            await asyncio.sleep(frontend.PAUSE / 3)
        assert len(done) == 1  # the hand has not rested
        await asyncio.sleep(2 * frontend.PAUSE)
        assert len(done) == 2

    asyncio.run(page())


def test_a_moving_hand_gets_coarse_slices_and_a_resting_one_fine_ones(build):
    explorer = moving(build("neighborhood"))
    numbers, shown = explorer.numbers, []
    numbers.resolution = 21
    numbers._views.clear()
    ask = numbers.view
    numbers.view = lambda *a, **k: shown.append(ask(*a, **k)) or shown[-1]
    explorer.moved["place"].value = 1 if explorer.place else 2
    sides = [len(view.along) for view in shown]
    assert sides[0] == neighborhood.COARSEST
    assert sides[-1] == 21
    explorer.moved["method"].value = explorer.methods[-1]
    shown.clear()
    explorer.moved["method"].value = explorer.methods[0]
    assert {len(view.along) for view in shown} == {21}  # one that is there is never coarse


@pytest.fixture
def shown(monkeypatch):
    """What is displayed."""
    found = []
    for module in (frontend, opening):
        monkeypatch.setattr(module, "display", found.append)
    return found


@pytest.mark.parametrize("door", [doors.explore_relearning, doors.watch_unlearning])
def test_without_a_frontend_a_picture_stands_still(study, monkeypatch, shown, tmp_path, door):
    monkeypatch.setenv("SPOTTER_STATIC", "1")
    monkeypatch.setattr("ipywidgets.Widget.__init__", lambda *_, **__: pytest.fail("a widget"))
    still = tmp_path / "still.png" if door is doors.explore_relearning else None
    door(study, CELL, ["original", "delete"], still=still)
    assert [type(each).__name__ for each in shown] == ["Image"]
    assert still is None or still.is_file()


@pytest.mark.parametrize("door", [getattr(doors, name) for name in doors.__all__])
def test_what_cannot_be_compared_is_refused_by_its_name(study, monkeypatch, door):
    monkeypatch.setenv("SPOTTER_STATIC", "1")
    with pytest.raises(ValueError, match=r"methods must name one .* got \['original', 'retrain'\]"):
        door(study, CELL, ["original", "retrain"])
    with pytest.raises(ValueError, match=r"method 'nothing' is not in profile 'digits'; it has"):
        door(study, CELL, ["nothing"])


@pytest.mark.parametrize(
    "door", [doors.explore_neighborhood, doors.explore_relearning, doors.explore_dispersion]
)
def test_diverged_methods_are_left_out_and_none_left_is_refused(study, monkeypatch, door):
    monkeypatch.setenv("SPOTTER_STATIC", "1")
    with pytest.raises(ValueError, match="methods must name one that did not diverge"):
        door(study, CELL, ["random_label"])


# --- what is missing is made beside the page


@pytest.fixture
def project(tmp_path, monkeypatch, shown):
    """A project folder with the tiny study's profile, and a page before which somebody sits."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOTTER_STATIC", "0")
    return tmp_path


def opened(study, shown):
    """The box that offers to make the models, and what opens it."""
    doors.explore_relearning(study, CELL, ["delete"])
    (box,) = shown
    told, row = box.children
    return box, told, dict(zip(("make", "cancel", "bar", "said"), row.children, strict=True))


def test_the_button_makes_what_is_missing_and_opens_the_explorer(project, shown):
    study = Study("mini", root=project / "runs")
    box, told, parts = opened(study, shown)
    assert "<code>original</code>, <code>retrain</code>, <code>delete</code>" in told.value
    assert "make study PROFILE=mini" in told.value
    assert 'profile = "digits"' in told.value
    assert parts["bar"].max == 3
    parts["make"].click()
    parts["make"].click()  # a second click that came too soon
    assert parts["make"].disabled
    wait_for(lambda: len(box.children) == 1)
    assert parts["said"].value == "3 of 3: delete"
    assert missing(study, CELL, ["retrain", "delete"]) == []
    assert type(box.children[0].children[1]).__name__ == "Canvas"


def wait_for(done, seconds=60):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_cancelled_making_keeps_what_was_finished(project, shown):
    study = Study("mini", root=project / "runs")
    study.model(CELL, "original")
    _, _, parts = opened(study, shown)
    assert parts["bar"].max == 2
    parts["make"].click()
    parts["cancel"].click()
    wait_for(lambda: parts["cancel"].disabled)
    assert parts["said"].value == "cancelled; what was finished is kept"
    assert not parts["make"].disabled
    assert missing(study, CELL, ["retrain", "delete"]) == ["retrain", "delete"]


def test_a_failure_is_told_on_the_page(project, shown, monkeypatch):
    _, told, parts = opened(Study("mini", root=project / "runs"), shown)
    monkeypatch.setattr(opening, "Command", lambda words: lambda own: 1 / 0)
    parts["make"].click()
    wait_for(lambda: told.value.startswith("<pre>"))
    assert told.value == "<pre>division by zero</pre>"
    assert not parts["make"].disabled


def test_an_explorer_that_cannot_be_built_is_told_on_the_page(project, shown, monkeypatch):
    _, told, parts = opened(Study("mini", root=project / "runs"), shown)
    monkeypatch.setattr(opening, "Command", lambda words: lambda own: None)
    monkeypatch.setattr(opening, "panel", lambda explorer: int("no <number>"))
    parts["make"].click()
    wait_for(lambda: told.value.startswith("<pre>"))
    assert "no &lt;number&gt;" in told.value


def test_what_is_there_is_shown_at_once(study, shown, monkeypatch):
    monkeypatch.setenv("SPOTTER_STATIC", "0")
    doors.explore_neighborhood(study, CELL, ["delete"])
    assert [type(each).__name__ for each in shown] == ["VBox"]


def test_a_notebook_that_is_executed_has_a_picture_and_no_widget(study, tmp_path, monkeypatch):
    """Even if it is executed from a notebook's own kernel, whose environment names a frontend."""
    monkeypatch.setenv("SPOTTER_STATIC", "")
    monkeypatch.delenv("SPOTTER_STATIC")
    monkeypatch.setenv("JPY_SESSION_NAME", "outer.ipynb")
    source = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from tiny import CELL, tiny_study\n"
        "from spotter_core.explorers import explore_relearning\n"
        f"explore_relearning(tiny_study(Path({str(study.root)!r})), CELL, ['delete'])"
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    content = {
        "cells": [cell | {"id": "one", "source": source}],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path, copy = tmp_path / "made.ipynb", tmp_path / "copy.ipynb"
    path.write_text(json.dumps(content))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        assert execute([str(path), str(copy), "--log", str(tmp_path / "log.txt")]) == 0
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        os.environ.pop("SPOTTER_STATIC", None)
    text = copy.read_text()
    assert '"image/png"' in text
    assert "widget" not in text
