"""Layer 7: every picture is drawn from made-up rows, and says what it shows."""

import math
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

mpl.use("Agg")
import matplotlib.pyplot as plt

from spotter_core import plots
from spotter_core.claims import Claim
from spotter_core.plots.frames import legend_of
from spotter_core.plots.regions import innermost
from spotter_core.results import Row, to_frame

MODELS = ("original", "retrain", "neggrad", "spotter", "spotter+neggrad")
STUDY = [
    "finetune",
    "neggrad",
    "random_label",
    "boundary_shrink",
    "delete",
    "neggrad_plus",
    "boundary_expand",
    "bad_teacher",
    "scrub",
    "salun",
    "ssd",
    "l1_sparse",
    "unsc",
]
BETTER = ("better", "safer", "cheaper", "scattered", "mixed")


def made(measure, split="forget/test", models=MODELS, **at):
    """Return rows of all models, two forget classes and two seeds, with values that differ."""
    cells = [(forget, seed) for forget in ("0", "3") for seed in (0, 1)]
    return [
        Row("Digits", "cnn", m, f, s, split, measure, 0.1 + 0.13 * i + 0.01 * s, "u", "x", dict(at))
        for i, m in enumerate(models)
        for f, s in cells
    ]


def accuracy_frame():
    return to_frame(made("accuracy") + made("accuracy", "retain/test"))


def radius_frame():
    rows = []
    for kind in ("boundary", "uniform"):
        for epsilon in (0.05, 0.1, 0.2):
            at = {"neighborhood": kind, "epsilon": epsilon}
            rows += made("over_unlearning", **at)
            rows += made("crossing", models=("original",), **at)
    return to_frame(rows)


def parts_frame():
    measures = ("over_unlearning", "residual_forget_mass", "conditional_shift")
    kinds = ("boundary", "uniform")
    return to_frame([r for m in measures for k in kinds for r in made(m, neighborhood=k)])


def damage_frame(measure="conditional_shift", **at):
    return to_frame([row for c in "1259" for row in made(measure, retained=c, **at)])


def relearning_frame():
    grid = [
        (split, k, a)
        for split in ("forget/test", "retain/test")
        for k in (1, 5)
        for a in (0.5, 1.0)
    ]
    at = {"metric": "cosine", "scale": 0.0}
    return to_frame(
        [r for s, k, a in grid for r in made("pra_accuracy", s, shots=k, alpha=a, **at)]
    )


def dispersion_frame():
    return to_frame(made("mean_cosine") + made("mean_cosine", "retain/test") + made("knn_purity"))


def ablation_frame():
    signs = [("over_unlearning", "forget/test"), ("pra_accuracy", "forget/test")]
    rows = []
    for measure, split in [*signs, ("accuracy", "retain/test")]:
        rows += made(measure, split, models=("original", "retrain"))
        for value in (0.0, 1.0, 3.0):
            rows += made(
                measure, split, models=("spotter",), setting="lambda_2", setting_value=value
            )
    return to_frame(rows)


FROM_FRAMES = {
    "accuracies": (plots.plot_accuracies, accuracy_frame, 2),
    "radius": (plots.plot_ou_by_radius, radius_frame, 4),
    "parts": (plots.plot_ou_parts, parts_frame, 3),
    "damage": (plots.plot_class_damage, damage_frame, 1),
    "relearning": (plots.plot_relearning, relearning_frame, 2),
    "price": (plots.plot_relearning_price, relearning_frame, 1),
    "dispersion": (plots.plot_dispersion, dispersion_frame, 2),
    "tradeoff": (
        lambda f: plots.plot_tradeoff(f, setting="lambda_2", default=1.0),
        ablation_frame,
        3,
    ),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def flat(axes):
    found = list(np.asarray(axes, dtype=object).reshape(-1))
    assert all(isinstance(ax, Axes) for ax in found)
    return found


def cut_off(figure):
    """Return the texts, but for numbers of axes, that reach beyond the edge of their figure."""
    figure.draw_without_rendering()
    ticks = {t for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels())}
    said = [t for t in figure.findobj(mpl.text.Text) if t.get_text() and t not in ticks]
    boxes = [(t.get_text(), t.get_window_extent()) for t in said]
    right, top = figure.bbox.max + 1
    return [s for s, b in boxes if min(b.min) < -1 or b.x1 > right or b.y1 > top]


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize("name", FROM_FRAMES)
def test_a_picture_shows_both_yardsticks_and_says_what_is_better(name):
    draw, frame, count = FROM_FRAMES[name]
    axes = flat(draw(frame()))
    figure = axes[0].figure
    figure.draw_without_rendering()
    assert len(axes) == count
    said = texts(figure)
    assert "Original" in said
    assert "Retrained oracle" in said
    assert any(word in said for word in BETTER), said
    assert all(
        ax.get_xlabel() or ax.get_ylabel() or not ax.get_visible()
        for ax in axes
        if name != "radius"
    )


@pytest.mark.parametrize("name", FROM_FRAMES)
def test_a_picture_leaves_its_frame_as_it_was(name):
    draw, frame, _ = FROM_FRAMES[name]
    given, kept = frame(), frame()
    draw(given)
    pd.testing.assert_frame_equal(given, kept)


@pytest.mark.parametrize("name", FROM_FRAMES)
@pytest.mark.parametrize("yardstick", plots.YARDSTICKS)
def test_no_picture_is_drawn_without_a_yardstick(name, yardstick):
    draw, frame, _ = FROM_FRAMES[name]
    whole = frame()
    with pytest.raises(ValueError, match=yardstick):
        draw(whole[whole["method"] != yardstick])


@pytest.mark.parametrize("name", FROM_FRAMES)
def test_a_missing_column_is_named(name):
    draw, frame, _ = FROM_FRAMES[name]
    with pytest.raises(ValueError, match="no column"):
        draw(frame().drop(columns="measure").drop(columns="setting", errors="ignore"))


@pytest.mark.parametrize("name", ["accuracies", "parts", "relearning", "dispersion"])
def test_given_axes_are_drawn_on_and_too_few_are_refused(name):
    draw, frame, count = FROM_FRAMES[name]
    _, given = plt.subplots(1, count)
    assert flat(draw(frame(), axes=given)) == list(given)
    with pytest.raises(ValueError, match=f"{count} Axes"):
        draw(frame(), axes=given[:-1])


def test_means_are_drawn_where_they_belong():
    frame = accuracy_frame()
    ax = plots.plot_accuracies(frame)[0]
    mean = 100 * frame.query("method == 'spotter' and split == 'forget/test'")["value"].mean()
    places = [list(c.get_offsets()[0]) for c in ax.collections if c.get_label() == "Spotter"]
    assert places[0] == pytest.approx([mean, MODELS.index("spotter")])


def test_the_curve_of_a_method_is_the_mean_over_cells():
    frame = radius_frame()
    ax = plots.plot_ou_by_radius(frame)[0, 0]
    line = next(each for each in ax.lines if each.get_label() == "NegGrad")
    own = frame.query(
        "method == 'neggrad' and neighborhood == 'boundary' and measure == 'over_unlearning'"
    )
    np.testing.assert_allclose(line.get_ydata(), own.groupby("epsilon")["value"].mean())
    assert any(
        math.isclose(each.get_ydata()[0], math.log(2)) for each in ax.lines if len(each.get_ydata())
    )


def test_accuracy_damage_is_in_points_lost_against_the_original():
    frame = damage_frame("accuracy")
    ax = plots.plot_class_damage(frame, measure="accuracy")
    table = ax.collections[0].get_array()
    np.testing.assert_allclose(table[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(table[1], -13.0)  # the made-up oracle is 0.13 above
    assert "-0.0" not in texts(ax.figure)
    assert "n=" not in texts(ax.figure)


def test_near_points_are_counted_below_their_class_and_n_is_explained():
    ax = plots.plot_class_damage(damage_frame(points=3))
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == [f"{c}\n(n=12)" for c in "1259"]  # four cells, not times the methods
    assert "n: near points" in ax.get_xlabel()
    assert "n=" not in texts(plots.plot_class_damage(damage_frame()).figure)


@pytest.mark.parametrize(("seeds", "banded"), [(1, False), (2, True)])
def test_few_cells_are_dots_and_many_a_band_and_the_picture_says_so(seeds, banded):
    frame = ablation_frame()
    frame = frame[frame["seed"] < seeds]
    axes = plots.plot_tradeoff(frame, setting="lambda_2")
    kinds = {type(each).__name__ for each in axes[0].collections}
    assert ("FillBetweenPolyCollection" in kinds or "PolyCollection" in kinds) == banded
    assert ("PathCollection" in kinds) != banded
    note = axes[0].figure.get_supxlabel()
    assert note == (
        "shaded: 95 % interval of the mean over 4 cells"
        if banded
        else "line: mean of 2 cells · small dots: the single cells"
    )


def test_what_is_varied_is_read_beside_yardsticks_far_above():
    frame = ablation_frame()
    varied = (frame["method"] == "spotter") & (frame["measure"] != "accuracy")
    frame.loc[varied, "value"] *= 0.01
    axes = plots.plot_tradeoff(frame, setting="lambda_2")
    assert [ax.get_yscale() for ax in axes] == ["symlog", "symlog", "linear"]
    for ax in axes[:2]:
        assert "log scale" in ax.get_ylabel()
        low, high = ax.get_ylim()
        assert 3 <= len(ax.get_yticks()) <= 8
        assert all(low <= tick <= high for tick in ax.get_yticks())
        line = next(each for each in ax.lines if each.get_label() == "Spotter")
        heights = ax.transAxes.inverted().transform(ax.transData.transform(line.get_xydata()))
        assert 0.03 < heights[:, 1].min() < 0.6


def test_the_legend_of_a_tradeoff_has_no_marker_that_its_lines_lack():
    axes = plots.plot_tradeoff(ablation_frame(), setting="lambda_2")
    marks = {each.get_label(): each.get_marker() for each in axes[-1].get_legend().get_lines()}
    assert marks == {"Original": "", "Retrained oracle": "", "Spotter": "*"}


def test_a_legend_of_twenty_methods_stays_in_the_picture_and_the_panel_keeps_its_size():
    few, many = MODELS[:3], (*MODELS, *STUDY[2:], *(f"spotter+{m}" for m in STUDY[2:6]))
    sizes = []
    for models in (few, many):
        figure, ax = plt.subplots(figsize=(6.4, 3.3), layout="constrained")
        legend_of(models, ax)
        figure.draw_without_rendering()
        assert cut_off(figure) == []
        box = ax.get_window_extent()
        sizes.append((box.width, box.height))
    assert len(many) == 20
    assert sizes[1][0] > 0.7 * sizes[0][0]
    assert sizes[1][1] > 0.9 * sizes[0][1]


def test_labels_of_panels_side_by_side_do_not_overlap():
    axes = plots.plot_relearning(relearning_frame(), over="alpha")
    axes[0].figure.draw_without_rendering()
    left, right = (ax.xaxis.label.get_window_extent() for ax in axes)
    assert left.x1 < right.x0


def test_relearning_takes_facets_and_refuses_unknown_ones():
    frame = relearning_frame()
    axes = plots.plot_relearning(frame, over="alpha", facets=[5])
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes] == ["k = 5"]
    with pytest.raises(ValueError, match="alpha"):
        plots.plot_relearning(frame, facets=[0.3])
    with pytest.raises(ValueError, match="over"):
        plots.plot_relearning(frame, over="metric")


# --- pictures of arrays


def test_embedding_panels_share_limits_and_carry_their_numbers():
    points = {name: np.arange(24.0).reshape(12, 2) * (i + 1) for i, name in enumerate(MODELS[:3])}
    labels = np.arange(12) % 3
    crosses = {name: np.zeros((1, 2)) for name in points}
    numbers = {name: {"mean cosine": 0.25 * i} for i, name in enumerate(points)}
    axes = plots.plot_embedding(
        points,
        labels,
        forget_classes=[1],
        prototypes=crosses,
        numbers=numbers,
        class_names=list("abc"),
    )
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert "mean cosine 0.25" in texts(axes[0].figure)
    assert "forget class b" in texts(axes[0].figure)
    assert cut_off(axes[0].figure) == []
    with pytest.raises(ValueError, match="one row a label"):
        plots.plot_embedding(points, labels[:-1], forget_classes=[1])
    with pytest.raises(ValueError, match="retrain"):
        plots.plot_embedding({"original": points["original"]}, labels, forget_classes=[1])


def test_strips_name_class_and_probability_and_refuse_other_lengths():
    images = np.zeros((3, 4, 4))
    answer = np.array([1, 0, 1]), np.array([0.5, 0.9, 1.0])
    options = {"positions": [0.0, 0.1, 0.2], "forget_classes": [1]}
    grid = plots.plot_strips(images, {"original": answer, "retrain": answer}, **options)
    assert grid.shape == (3, 3)
    assert "1  0.50" in texts(grid[0, 0].figure)
    assert "largest pixel" in texts(grid[0, 0].figure)
    answers = {"original": answer, "retrain": answer}
    grid = plots.plot_strips(images, answers, position_label="margin", **options)
    assert grid[0, 0].get_ylabel() == "margin"
    with pytest.raises(ValueError, match="one answer an image"):
        plots.plot_strips(images[:2], {"original": answer, "retrain": answer}, **options)


def test_training_draws_the_terms_that_are_there():
    histories = {m: [{"loss": 1.0 / (i + 1)} for i in range(4)] for m in ("original", "retrain")}
    ax = plots.plot_training(histories)
    assert [line.get_label() for line in ax.lines] == ["Original", "Retrained oracle"]
    two = plots.plot_training(
        {"spotter": [{"loss": 1.0, "dispersion": 0.5}]}, terms=["loss", "dispersion"]
    )
    assert len({line.get_linestyle() for line in two.lines}) == 2
    with pytest.raises(ValueError, match="dispersion"):
        plots.plot_training(histories, terms=["dispersion"])


def test_claims_carry_verdicts_and_both_yardsticks():
    claims = [
        Claim(1, "a", 0.02, 0.01, 0.03, 0.05, "ratio"),
        Claim(4, "b", 6.0, 2.0, 9.0, 1.0, "%"),
    ]
    marks = {"original": [1.8, 100.0], "retrain": [0.5, math.nan]}
    axes = plots.plot_claims(claims, yardsticks=marks)
    said = texts(axes[0].figure)
    assert len(axes) == 2
    assert all(word in said for word in ("holds", "does not hold", "Original", "Retrained oracle"))
    with pytest.raises(ValueError, match="retrain"):
        plots.plot_claims(claims, yardsticks={"original": [1.0, 2.0]})
    with pytest.raises(ValueError, match="value for each"):
        plots.plot_claims(claims, yardsticks={"original": [1.0], "retrain": [1.0, 2.0]})


def test_a_claim_is_read_at_any_size_and_nothing_of_it_is_cut_off():
    claims = [
        Claim(1, "worst of those that forget (random_label)", 0.04, 0.02, 0.06, 0.05, "ratio"),
        Claim(3, "points lost", 0.7, 0.4, 1.1, 1.0, "points"),
        Claim(4, "regained", 1.09, 0.4, 2.0, 1.0, "%"),
        Claim(5, "images read", 0.0, 0.0, 0.0, 0.0, "images"),
    ]
    marks = {"original": [1.5, 0.0, 99.0, math.nan], "retrain": [0.7, 0.1, 87.0, 29000.0]}
    axes = plots.plot_claims(claims, yardsticks=marks)
    figure = axes[0].figure
    assert [ax.get_xscale() for ax in axes] == ["symlog", "linear", "symlog", "linear"]
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in axes]
    assert [("log scale" in title) for title in titles] == [True, False, True, False]
    assert "(Random label)" in titles[0]
    assert "does not hold on average, the\ninterval reaches across" in texts(figure)
    assert cut_off(figure) == []
    shown = [
        ax.transLimits.transform(ax.transScale.transform((c.threshold, 0)))[0]
        for ax, c in zip(axes, claims, strict=True)
    ]
    assert all(0.2 < place < 0.9 for place in shown[:3])
    above = figure.legends[0].get_window_extent()
    title = next(t for t in (axes[0].title, axes[0]._left_title) if t.get_text())
    assert above.y0 > title.get_window_extent().y1


def test_claims_of_one_cell_and_without_a_value_are_drawn_and_say_so():
    nan = math.nan
    long = "OU@ε against the worst base method that forgets (neggrad), none works in every cell"
    claims = [
        Claim(1, long, 0.04, nan, nan, 0.05, "ratio"),
        Claim(1, "against (neggrad)", nan, nan, nan, 0.05, "ratio", "diverged"),
        Claim(4, "regained", 0.4, nan, nan, 1.0, "%"),
    ]
    marks = {"original": [1.5, nan, 99.0], "retrain": [0.7, nan, 80.0]}
    figure = plots.plot_claims(claims, yardsticks=marks)[0].figure
    said = texts(figure)
    assert "one cell: no interval" in figure.get_supxlabel()
    assert "bar" not in figure.get_supxlabel()
    assert "can't be judged (diverged)" in said
    assert "no value, allowed 0.05" in said
    assert "nan" not in said
    assert cut_off(figure) == []


def blind_cells(**changes):
    """Main numbers of all models in two cells, as ``claims.per_cell`` has them."""
    index = [(m, f, 0) for m in MODELS for f in "03"]
    table = pd.DataFrame(
        {
            "ou": np.linspace(0.0, 0.6, len(index)),
            "pra": np.linspace(99.0, 1.0, len(index)),
            "diverged": False,
            "collapsed": False,
        },
        index=pd.MultiIndex.from_tuples(index, names=["method", "forget", "seed"]),
    )
    for method, values in changes.items():
        own = table.index.get_level_values("method") == method
        for column, value in values.items():
            table.loc[own, column] = value
    return table


def test_both_blind_spots_show_means_cells_and_the_oracle():
    cells = blind_cells()
    ax = plots.plot_blind_spots(cells)
    places = {c.get_label(): c.get_offsets()[0] for c in ax.collections}
    assert list(places["Spotter"]) == pytest.approx(
        list(cells.loc["spotter", ["ou", "pra"]].mean())
    )
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == [plots.look(m).label for m in MODELS]
    cross = [line.get_xdata()[0] for line in ax.lines] + [ax.lines[-1].get_ydata()[0]]
    oracle = cells.loc["retrain", ["ou", "pra"]].mean()
    assert oracle["ou"] == pytest.approx(cross[0])
    assert oracle["pra"] == pytest.approx(cross[-1])
    assert "lower is" in ax.get_xlabel()
    assert cut_off(ax.figure) == []
    with pytest.raises(ValueError, match="retrain"):
        plots.plot_blind_spots(cells.drop("retrain", level="method"))


def test_what_diverged_or_collapsed_is_named_in_the_legend():
    lost = {"ou": math.nan, "pra": math.nan, "diverged": True}
    ax = plots.plot_blind_spots(blind_cells(neggrad=lost, spotter={"collapsed": True}))
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "NegGrad\ndiverged in all 2 cells" in shown
    assert "Spotter\ncollapsed in all 2 cells" in shown
    assert len(shown) == len(MODELS)
    ax.figure.draw_without_rendering()


def test_innermost_finds_the_middle_of_a_region():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 1:8] = True
    row, column = innermost(mask)
    assert row == 4
    assert 3 <= column <= 5


# --- style and saving


FAMILY = ["original", "retrain", "spotter", *STUDY, *(f"spotter+{name}" for name in STUDY)]
# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB
BLINDNESS = {
    "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(color, matrix):
    """CIELAB of a colour as somebody sees it."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    ratio = np.array(to_xyz) @ seen / [0.9505, 1.0, 1.089]
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_are_told_apart_by_color_blind_readers(blindness):
    seen = {n: lab(plots.look(n).color, BLINDNESS[blindness]) for n in FAMILY if "+" not in n}
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a in seen for b in seen if a < b}
    assert min(apart.values()) > 20, min(apart, key=apart.get)
    assert max(x[0] for x in seen.values()) < 80  # no colour is lost on white


def test_every_method_has_a_label_and_a_way_to_be_drawn_of_its_own():
    looks = [plots.look(name) for name in FAMILY]
    assert len({each.label for each in looks}) == len(FAMILY)
    colored = looks[2:]  # the yardsticks are told by having no colour
    assert len({(str(each.marker), each.filled) for each in colored}) == len(colored)


def test_every_registered_method_has_a_look_that_is_not_of_the_reserve():
    from spotter_core.methods import METHODS

    assert set(METHODS) <= set(FAMILY)
    assert not any("_" in plots.look(name).label for name in METHODS)


def test_a_method_and_spotter_around_it_share_colour_and_marker():
    for name in STUDY:
        alone, around = plots.look(name), plots.look(f"spotter+{name}")
        assert (alone.marker, alone.color) == (around.marker, around.color)
        assert alone.filled
        assert not around.filled
        assert around.dots()["facecolors"] != alone.dots()["facecolors"]
        assert around.dashes != alone.dashes
        assert around.label == f"Spotter + {alone.label}"


def test_lines_of_methods_that_read_retained_samples_are_dotted():
    from spotter_core.methods import METHODS

    dashes = {m: str(plots.look(m).dashes) for m in STUDY}
    reads = {m: METHODS[m].reads for m in STUDY}
    assert len({d for m, d in dashes.items() if reads[m] == "forget"}) == 1
    assert len({d for m, d in dashes.items() if reads[m] != "forget"}) == 1
    assert len(set(dashes.values())) == 2


def test_an_unheard_of_method_keeps_its_colour():
    assert plots.look("my_own") == plots.look("my_own")
    assert plots.look("my_own").label == "my own"


def test_yardsticks_are_black_and_grey():
    for name in plots.YARDSTICKS:
        r, g, b = mpl.colors.to_rgb(plots.look(name).color)
        assert r == g == b


def test_equal_figures_give_equal_bytes(tmp_path):
    plots.use_style()
    paths = []
    for number in range(2):
        figure = plots.plot_accuracies(accuracy_frame())[0].figure
        paths.append(plots.save_figure(figure, tmp_path / "deep" / f"{number}.png"))
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"Matplotlib" not in first
    mpl.rcdefaults()


def test_only_png_is_saved(tmp_path):
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="png"):
        plots.save_figure(figure, tmp_path / "picture.pdf")


def test_drawing_needs_no_torch_and_seaborn_only_for_the_heatmap():
    code = "import sys, spotter_core.plots, spotter_core.results; "
    code += "sys.exit(bool({'torch', 'seaborn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
