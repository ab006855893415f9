"""The battery's pictures, drawn from made-up rows."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from made_rows import SOUND, frame_of

from spotter_core.plots.battery import (
    ATTACK_LABELS,
    plot_battery,
    plot_excess,
    plot_fine_tuning,
    plot_layers,
)
from spotter_core.scores import regained


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def battery_frame():
    """Own and shuffled images, an attack that trains, and a class never seen."""
    trained = frame_of(SOUND)
    trained = trained[trained["attack"] == "pra"].assign(attack="fine_tuning", value=0.77)
    parts = [
        frame_of(SOUND),
        trained,
        frame_of({m: {"else": 0.02} for m in SOUND}, support="shuffled"),
        frame_of({m: {"else": 0.4} for m in SOUND}, support="never seen", split="never seen/test"),
    ]
    return pd.concat(parts, ignore_index=True)


def numbers(ax):
    return [text.get_text() for text in ax.texts]


def test_the_grid_has_a_panel_for_each_kind_of_images_and_every_number():
    axes = plot_battery(battery_frame())
    titles = [ax.get_title() for ax in axes]
    assert titles[0] == "images of the class"
    assert all("control" in title for title in titles[1:])
    columns = [label.get_text() for label in axes[0].get_xticklabels()]
    # head-level attacks, the worst of them, and behind it those that change weights
    assert columns[-2:] == [ATTACK_LABELS["worst"], ATTACK_LABELS["fine_tuning"]]
    rows = [label.get_text() for label in axes[0].get_yticklabels()]
    assert rows == ["Original", "Retrained oracle", "Untrained network", "DELETE"]
    mine = numbers(axes[0])[-len(columns) :]
    assert mine == ["60"] * (len(columns) - 1) + ["77"]  # what trains is not among the worst
    assert set(numbers(axes[1])) == {"2"}
    assert set(numbers(axes[2])) == {"40"}
    assert "k = 5" in axes[0].figure.get_supxlabel()


def test_the_excess_is_that_over_the_mean_of_the_oracles_of_the_class():
    axes = plot_excess(regained(battery_frame(), 5), attacks=("pra", "worst"))
    # oracles of class 3 regain 0.5 and 0.7, of class 8 0.2 and 0.3; DELETE 0.6 everywhere
    assert numbers(axes[0])[-1] == f"{100 * (0.6 - (0.6 + 0.25) / 2):.1f}"
    low, high = axes[1].get_xlim()
    assert low <= -5
    assert high >= 5


def curves_frame():
    lines = []
    for k in (0, 5):
        for step in (0, 1, 10):
            own = frame_of(SOUND, shots=k)
            lines.append(own[own["attack"] == "pra"].assign(step=step, measure="relearning_curve"))
    return pd.concat(lines, ignore_index=True)


def test_fine_tuning_has_a_panel_for_each_k_and_steps_on_the_axis():
    axes = plot_fine_tuning(curves_frame())
    assert [ax.get_title() for ax in axes] == ["no image of the class", "5 images of the class"]
    axes[0].figure.draw_without_rendering()
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["0", "1", "10"]


def test_layers_stand_in_their_order():
    frame = pd.concat([frame_of(SOUND).assign(stage=s) for s in ("stem", "blocks.0", "blocks.1")])
    ax = plot_layers(frame, attack="nearest_mean")
    ax.figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["stem", "blocks.0", "blocks.1"]
    line = next(line for line in ax.lines if line.get_label() == "DELETE")
    assert np.allclose(line.get_ydata(), 60.0)


@pytest.mark.parametrize("yardstick", ["original", "retrain"])
def test_no_picture_is_drawn_without_a_yardstick(yardstick):
    whole, curves = battery_frame(), curves_frame()
    with pytest.raises(ValueError, match=yardstick):
        plot_battery(whole[whole["method"] != yardstick])
    with pytest.raises(ValueError, match=yardstick):
        plot_fine_tuning(curves[curves["method"] != yardstick])
