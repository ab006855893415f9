"""Layer 9: the way of a run in curves, in a strip and in a film, from made-up numbers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_keyframes import made_keyframes, made_run, numbers
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt

from spotter_core import plots
from spotter_core.plots.by_epoch import held
from spotter_core.plots.gauges import Gauge
from spotter_core.plots.gif import Shot
from spotter_core.plots.motion import END, HALT, STEP, between

SIGNS = [("forget/test", "accuracy"), ("retain/test", "accuracy")]
SIGNS += [("forget/test", "over_unlearning"), ("forget/test", "mean_cosine")]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(figure):
    return " ".join(t.get_text() for t in figure.findobj(mpl.text.Text))


def epoch_frame():
    """Two cells; DELETE ends one epoch earlier in the second."""
    lines = []
    for seed in (0, 1):
        ways = {"delete": [0, 1, 2, 4 - seed], "spotter": [0, 1, 2, 9]}
        for split, measure in SIGNS:
            where = {"forget": "3", "seed": seed, "split": split, "measure": measure}
            lines += [where | {"method": m, "value": 0.5} for m in ("original", "retrain")]
            for method, way in ways.items():
                for epoch in way:
                    value = 0.9 / (1 + epoch)
                    lines.append(where | {"method": method, "epoch": epoch, "value": value})
    return pd.DataFrame(lines)


# --- curves ---------------------------------------------------------------------------------------


def test_curves_show_four_numbers_both_yardsticks_and_what_is_better():
    frame = epoch_frame()
    kept = frame.copy()
    axes = plots.plot_by_epoch(frame)
    assert len(axes) == 4
    pd.testing.assert_frame_equal(frame, kept)
    said = texts(axes[0].figure)
    for words in ("Original", "Retrained oracle", "epochs done", "nats", "%, lower is better"):
        assert words in said
    line = next(each for each in axes[0].lines if each.get_label() == "Spotter")
    np.testing.assert_allclose(line.get_xdata(), [0, 1, 2, 9])
    np.testing.assert_allclose(line.get_ydata(), 90.0 / (1 + np.array([0, 1, 2, 9])))


def test_a_run_that_ended_counts_on_with_its_last_value():
    frame = epoch_frame().query("method == 'delete' and measure == 'mean_cosine'")
    found = held(frame).groupby("epoch")["value"].agg(["size", "mean"])
    assert found["size"].to_dict() == {0: 2, 1: 2, 2: 2, 4: 2}  # not 3: the other was not seen then
    assert found.loc[4, "mean"] == pytest.approx((0.9 / 5 + 0.9 / 4) / 2)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop(columns="epoch"), "no column epoch"),
        (lambda f: f[f["method"] != "retrain"], "no retrain"),
        (lambda f: f[f["measure"] != "mean_cosine"], "mean_cosine"),
        (lambda f: f[f["method"].isin(plots.YARDSTICKS)], "yardsticks only"),
    ],
)
def test_a_frame_without_what_is_needed_is_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        plots.plot_by_epoch(spoil(epoch_frame()))


def test_given_axes_are_drawn_on_and_too_few_are_refused():
    _, given = plt.subplots(2, 2)
    assert list(plots.plot_by_epoch(epoch_frame(), axes=given)) == list(given.reshape(-1))
    with pytest.raises(ValueError, match="axes must hold 4 Axes, one a number, got 2"):
        plots.plot_by_epoch(epoch_frame(), axes=given[0])


# --- strip ----------------------------------------------------------------------------------------


def test_a_strip_has_a_row_a_run_and_ends_with_the_oracle():
    frames = made_keyframes()
    axes = plots.plot_filmstrip(frames)
    assert axes.shape == (2, 5)
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in axes.reshape(-1)]
    firsts = [title.partition("\n")[0] for title in titles]
    assert firsts[:5] == ["Original", "epoch 1", "epoch 2, the last", *firsts[3:5]]
    assert firsts[3] == "epoch 2, the last"  # a run that is over keeps its last network
    assert firsts[8:] == ["epoch 5, the last", "Retrained oracle"]
    assert len({ax.get_xlim() for ax in axes.reshape(-1)}) == 1
    assert "forget class one" in texts(axes[0, 0].figure)
    clouds = [c.get_offsets() for c in axes[1, 3].collections]
    own = frames.runs["spotter"].points[-1][frames.labels == 1]
    assert any(c.shape == own.shape and np.allclose(c, own) for c in clouds)


def test_chosen_epochs_are_columns_and_others_are_refused():
    assert plots.plot_filmstrip(made_keyframes(), epochs=[0, 5]).shape == (2, 3)
    for wrong in ([3], [0, 7], []):
        with pytest.raises(
            ValueError, match=r"epochs must be among those measured, \[0, 1, 2, 5\]"
        ):
            plots.plot_filmstrip(made_keyframes(), epochs=wrong)


# --- film -----------------------------------------------------------------------------------------


def test_a_film_halts_at_every_measured_moment_and_longest_at_the_end():
    shots = plots.animate_embedding(made_keyframes(), between_moments=2)
    waits = [shot.milliseconds for shot in shots]
    assert waits == [*[HALT, STEP, STEP] * 3, END]
    assert len({shot.pixels.shape for shot in shots}) == 1
    assert shots[0].pixels.shape[1] == 700
    assert not np.array_equal(shots[0].pixels, shots[1].pixels)
    assert len(plots.animate_embedding(made_keyframes(), between_moments=0)) == 4
    assert plt.get_fignums() == []
    with pytest.raises(ValueError, match="between_moments must not be negative, got -1"):
        plots.animate_embedding(made_keyframes(), between_moments=-1)


def test_one_run_and_two_forget_classes_make_a_film_too():
    frames = made_keyframes(runs={"spotter": made_run([0, 1], seed=3)}, forget_classes=(0, 1))
    assert len(plots.animate_embedding(frames, between_moments=0)) == 2
    assert plots.plot_filmstrip(frames).shape == (1, 3)


def test_samples_go_from_one_moment_to_the_next_and_stay_where_a_run_has_ended():
    run = made_run([0, 2, 5], seed=4)
    first, second, third = run.points
    np.testing.assert_allclose(between(run, 0, 2, 0.0), first)
    np.testing.assert_allclose(between(run, 0, 2, 0.5), (first + second) / 2)
    np.testing.assert_allclose(between(run, 2, 5, 1.0), third)
    np.testing.assert_allclose(between(run, 5, 9, 0.3), third)


def test_a_gauge_shows_the_number_and_both_yardsticks():
    _, ax = plt.subplots()
    marks = {"original": numbers(0.9), "retrain": numbers(0.2)}
    gauge = Gauge(ax, "mean_cosine", marks, "red")
    gauge.show(numbers(0.5))
    assert gauge.bar.get_width() == 0.5
    assert [line.get_xdata()[0] for line in ax.lines] == [0.9, 0.2]
    assert "mean cosine 0.50" in texts(ax.figure)
    gauge.show(numbers(-0.3))
    assert gauge.bar.get_width() == 0.0
    assert "mean cosine -0.30" in texts(ax.figure)


def test_equal_keyframes_give_equal_films_of_equal_bytes(tmp_path):
    with mpl.rc_context():
        plots.use_style()
        paths = [
            plots.save_gif(plots.animate_embedding(made_keyframes()), tmp_path / "deep" / name)
            for name in ("a.gif", "b.gif")
        ]
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert len(first) < 1_500_000
    with Image.open(paths[0]) as film:
        assert film.info["loop"] == 0
        assert film.n_frames == 3 * 5 + 1
        assert film.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        film.seek(film.n_frames - 1)
        assert film.info["duration"] == END


def test_films_are_refused_by_the_argument_that_is_wrong(tmp_path):
    shot = Shot(np.zeros((4, 4, 3), np.uint8), 50)
    with pytest.raises(ValueError, match=r"path must end in .gif, got 'film.png'"):
        plots.save_gif([shot], tmp_path / "film.png")
    with pytest.raises(ValueError, match="shots must be one or more"):
        plots.save_gif([], tmp_path / "film.gif")
    other = Shot(np.zeros((4, 5, 3), np.uint8), 50)
    with pytest.raises(ValueError, match="of one size"):
        plots.save_gif([shot, other], tmp_path / "film.gif")
    assert list(tmp_path.iterdir()) == []
