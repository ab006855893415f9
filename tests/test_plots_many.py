"""Pictures of twenty models, of a hundred classes and of photographs: what digits never ask for."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from test_plots import STUDY, cut_off, made, texts

from spotter_core import plots
from spotter_core.plots.blocks import FORGET_ONLY, MANY, WITH_RETAIN, blocks_of, in_blocks
from spotter_core.results import to_frame

AROUND = ("random_label", "boundary_shrink", "salun", "unsc")
ALL = ("original", "retrain", *STUDY, "spotter", *(f"spotter+{name}" for name in AROUND))
FEW = ("original", "retrain", "neggrad", "spotter")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def radius_frame(models):
    at = [{"neighborhood": "uniform", "epsilon": e} for e in (0.01, 0.03)]
    ou = [row for each in at for row in made("over_unlearning", models=models, **each)]
    return to_frame(ou + [r for e in at for r in made("crossing", models=("original",), **e)])


def relearning_frame(models):
    grid = [(s, k, a) for s in ("forget/test", "retain/test") for k in (1, 5) for a in (0.5, 1.0)]
    at = {"metric": "cosine", "scale": 0.0, "models": models}
    return to_frame(
        [r for s, k, a in grid for r in made("pra_accuracy", s, shots=k, alpha=a, **at)]
    )


def damage_frame(count, name="class {}", models=FEW, **at):
    rows = [
        made("conditional_shift", models=models, retained=name.format(c), points=count - c, **at)
        for c in range(count)
    ]
    return to_frame([row for each in rows for row in each])


CURVES = {
    "radius": lambda models: plots.plot_ou_by_radius(radius_frame(models))[:-1, -1],
    "relearning": lambda models: plots.plot_relearning(relearning_frame(models))[1::2],
    "price": lambda models: plots.plot_relearning_price(relearning_frame(models)),
}


# --- two blocks -----------------------------------------------------------------------------------


def test_many_methods_stand_in_two_blocks_by_what_they_read():
    blocks = blocks_of(ALL)
    assert list(blocks) == [FORGET_ONLY, WITH_RETAIN]
    assert all(names[:2] == ["original", "retrain"] for names in blocks.values())
    assert {"delete", "spotter", "spotter+boundary_shrink"} <= set(blocks[FORGET_ONLY])
    assert {"finetune", "salun", "spotter+salun", "spotter+unsc"} <= set(blocks[WITH_RETAIN])
    assert sorted(in_blocks(ALL)) == sorted(ALL)
    assert in_blocks(ALL)[2:] == blocks[FORGET_ONLY][2:] + blocks[WITH_RETAIN][2:]


def test_what_a_block_holds_agrees_with_what_the_methods_declare():
    from spotter_core.methods import METHODS

    blocks = blocks_of(["original", *METHODS])
    assert {m for m in METHODS if METHODS[m].reads == "forget"} == set(blocks[FORGET_ONLY][2:])


def test_few_methods_stand_in_one_block_in_their_own_order():
    assert blocks_of(FEW) == {"": list(FEW)}
    assert list(blocks_of(ALL[: MANY + 1])) != [""]
    assert blocks_of(ALL[:MANY]) == {"": list(ALL[:MANY])}


@pytest.mark.parametrize("name", CURVES)
def test_curves_of_many_methods_have_a_panel_and_a_legend_for_each_block(name):
    axes = CURVES[name](ALL)
    assert len(axes) == 2
    for ax, (title, methods) in zip(axes, blocks_of(ALL).items(), strict=True):
        legend = ax.get_legend()
        shown = [text.get_text() for text in legend.get_texts()]
        assert shown == [plots.look(m).label for m in methods]
        assert legend.get_title().get_text() == title
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert cut_off(axes[0].figure) == []


@pytest.mark.parametrize("name", CURVES)
def test_curves_of_few_methods_have_one_panel(name):
    axes = CURVES[name](FEW)
    assert len(axes) == 1
    assert axes[0].get_legend().get_title().get_text() == ""


def test_rows_of_dots_stand_in_blocks_and_lines_part_them():
    frame = to_frame(made("accuracy", models=ALL) + made("accuracy", "retain/test", models=ALL))
    ax = plots.plot_accuracies(frame)[0]
    shown = [label.get_text() for label in ax.get_yticklabels()]
    assert shown == [plots.look(m).label for m in in_blocks(ALL)]
    edges = [line.get_ydata()[0] for line in ax.lines if line.get_zorder() == 0]
    assert edges == [1.5, 1.5 + len(blocks_of(ALL)[FORGET_ONLY]) - 2]
    assert cut_off(ax.figure) == []


def test_one_cell_is_said_to_have_no_interval():
    frame = to_frame(made("accuracy") + made("accuracy", "retain/test"))
    one = frame[(frame["forget"] == "0") & (frame["seed"] == 0)]
    assert "no interval" in plots.plot_accuracies(one)[0].figure.get_supxlabel()
    assert "95 % interval" in plots.plot_accuracies(frame)[0].figure.get_supxlabel()


# --- many classes, long names, colour -------------------------------------------------------------


def test_of_many_classes_those_with_most_points_are_drawn_and_the_picture_says_so():
    ax = plots.plot_class_damage(damage_frame(90), most=16)
    assert len(ax.get_xticklabels()) == 16
    assert "16 of 90: those with most near points" in ax.get_xlabel()
    assert "class 0 (n=360)" in [label.get_text() for label in ax.get_xticklabels()]
    assert ax.figure.get_figwidth() < 13
    assert "of 9" not in plots.plot_class_damage(damage_frame(9)).get_xlabel()


def test_without_points_those_that_lose_most_are_drawn():
    rows = [made("accuracy", retained=f"c{c}") for c in range(20)]
    frame = to_frame([row for each in rows for row in each])
    hurt = (frame["retained"] == "c7") & (frame["method"] != "original")
    frame.loc[hurt, "value"] = -1.0
    ax = plots.plot_class_damage(frame, measure="accuracy", most=3)
    assert "c7" in [label.get_text() for label in ax.get_xticklabels()]
    assert "3 of 20: those that lose most" in ax.get_xlabel()


def test_long_class_names_are_turned_and_short_ones_are_not():
    long = plots.plot_class_damage(damage_frame(4, "automobile {}")).get_xticklabels()
    assert {label.get_rotation() for label in long} == {35}
    short = plots.plot_class_damage(damage_frame(4, "{}")).get_xticklabels()
    assert {label.get_rotation() for label in short} == {0}


def test_strips_of_long_names_and_colour_keep_their_words_inside_their_boxes():
    images, names = np.full((8, 6, 6, 3), 0.5), ["automobile", "airplane"]
    answer = np.array([0, 1] * 4), np.full(8, 0.97)
    answers = {"original": answer, "retrain": answer}
    options = {"positions": [0.0] * 8, "forget_classes": [1], "class_names": names}
    grid = plots.plot_strips(images, answers, **options)
    figure = grid[0, 0].figure
    figure.draw_without_rendering()
    for ax in grid[1:].flat:
        said, box = ax.texts[0].get_window_extent(), ax.get_window_extent()
        assert said.width <= box.width
        assert said.height <= box.height
    assert "automobile\n0.97" in texts(figure)


def test_many_forget_classes_share_a_colour_and_many_classes_have_no_names():
    labels = np.repeat(np.arange(40), 3)
    points = np.random.default_rng(0).normal(size=(120, 2))
    spaces = {"original": points, "retrain": points}
    names = [f"name{c:02}" for c in range(40)]
    axes = plots.plot_embedding(spaces, labels, forget_classes=range(10), class_names=names)
    said = texts(axes[0].figure)
    assert "10 forget classes" in said
    assert "name" not in said
    axes = plots.plot_embedding(spaces, labels % 5, forget_classes=[1, 3], class_names=names)
    said = texts(axes[0].figure)
    assert all(word in said for word in ("forget class name01", "forget class name03", "name00"))
