"""Costs that nobody measured: what is counted, how it is scaled, what becomes of it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spotter_core import auditing
from spotter_core.attacks import NearestMean
from spotter_core.graph import NOTEBOOKS, ORIGINALS
from spotter_core.models import build_model
from spotter_core.planning import counted as counted_costs
from spotter_core.planning import miniature
from spotter_core.planning.algebra import battery_seconds
from spotter_core.planning.costs import Costs, StepCost, Work, save_costs
from spotter_core.planning.countable import CONVOLUTIONAL
from spotter_core.planning.counted import BATTERY, TRAINING, derived, line, width_ratio
from spotter_core.planning.miniature import Counts, counted, execute_here, shrunk
from spotter_core.profiles import load_profile
from spotter_core.relearning import Reminiscence

CIFAR10 = load_profile("cifar10")


def test_the_operations_of_convolutions_are_counted_and_no_others():
    images, kernel = torch.zeros(2, 3, 8, 8), torch.zeros(5, 3, 3, 3)
    conv = 2 * 2 * 5 * 8 * 8 * 3 * 3 * 3  # multiply and add, every pixel of every output channel

    def work():
        torch.conv2d(images, kernel, padding=1)
        images.flatten(1) @ torch.zeros(3 * 8 * 8, 7)

    assert counted(work) == pytest.approx(conv / 1e12)


def test_a_network_of_the_papers_width_takes_what_the_literature_says():
    network = counted_costs.network_of(CIFAR10).eval()
    passed = counted(lambda: network(torch.zeros(1, 3, 32, 32)))
    assert passed == pytest.approx(2 * 0.5559e9 / 1e12, rel=0.01)  # 0.56 G multiply-adds an image
    assert 200 < width_ratio(CIFAR10) < 256  # the first layer has three channels at any width


def test_what_does_not_grow_with_the_images_stays_as_it_is():
    assert line((40, 32), (7.0, 7.0)) == pytest.approx(7.0)
    assert line((40, 32), (3 / 40, 3 / 32)) == pytest.approx(3.0)


def test_the_miniature_is_the_profile_with_fewer_images_and_a_narrow_network(tmp_path):
    small = shrunk(CIFAR10, tmp_path, 50)
    assert list(small["methods"]) == list(CIFAR10.methods)
    assert small["methods"]["neggrad_plus"] == {"alpha": 0.99, "learning_rate": 1e-5}
    assert small["evaluated"] == 3 * CIFAR10.evaluated // 50
    assert (small["forget"], small["seeds"]) == ([[0]], [0])
    assert small["recipe"]["batch_size"] == CIFAR10.recipe["batch_size"]


def test_the_miniature_leaves_everything_as_it_was():
    here, variables = Path.cwd(), dict(os.environ)
    images_of, check = Reminiscence.images_of, auditing.check_knows
    with miniature.miniature(CIFAR10, 500) as project:
        assert Path.cwd() == project
        assert load_profile(miniature.NAME).model["width"] == miniature.WIDTH
        assert len(list(project.glob("images/train/000/*.png"))) == 10
        assert Reminiscence().images_of(1000) == 135  # as many as there would be
        auditing.check_knows(None)  # a network that learned nothing is audited, too
    assert (Path.cwd(), dict(os.environ)) == (here, variables)
    assert Reminiscence.images_of is images_of
    assert auditing.check_knows is check


def test_data_of_unknown_size_is_refused():
    with (
        pytest.raises(ValueError, match="nobody knows how many images 'digits' has; known: cifar"),
        miniature.miniature(load_profile("digits"), 50),
    ):
        pass


@pytest.mark.parametrize("name", ["mlp", "resnet18", "small_cnn", "vit"])
def test_networks_that_are_counted_do_hardly_anything_but_convolutions(name):
    network = build_model(name=name, num_classes=10, input_shape=(3, 32, 32)).eval()
    images = torch.zeros(2, 3, 32, 32)
    convolutions = counted(lambda: network(images)) * 1e12
    with FlopCounterMode(display=False) as every, sdpa_kernel(SDPBackend.MATH):
        network(images)
    share = convolutions / every.get_total_flops()
    assert (share > 0.99) == (name in CONVOLUTIONAL), share


def test_a_network_of_which_little_would_be_counted_is_refused(capsys):
    assert counted_costs.main(["cifar10-vit"]) == 2
    assert "only convolutions are counted, which are not all that 'vit' does" in (
        capsys.readouterr().err
    )


def test_costs_that_do_not_say_what_rows_take_are_refused_before_anything_is_counted(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "digits.costs.json"
    save_costs(Costs("measured", {}, {}, {"job": 0.4}), path)
    monkeypatch.setattr(counted_costs, "costs_path", lambda name: path)
    assert counted_costs.main(["cifar10"]) == 2
    assert "don't say what rows take on disk: python -m" in capsys.readouterr().err


def test_gradients_of_images_are_counted_where_torchs_own_counter_stops():
    network = counted_costs.network_of(CIFAR10).eval()
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    forward = counted(lambda: network(images))
    both = counted(lambda: torch.autograd.grad(network(images).sum(), images))
    assert 1.9 * forward < both < 3.0 * forward


def test_a_notebook_is_executed_here_and_goes_on_behind_a_cell_that_fails(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "spotter_core").mkdir()
    monkeypatch.chdir(tmp_path)
    sources = {
        "cells: list = []\nrun: str = ''": ["parameters"],
        "assert cells == ['forget0-seed0']\nprint('quiet')": [],
        "assert not cells, 'as noise would'": [],
        "from pathlib import Path\nPath('left').write_text(run)": [],
    }
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": tags}}
        for source, tags in sources.items()
    ]
    path = tmp_path / "notebooks" / "00_tour.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert execute_here("00_tour", tmp_path / "run") == 1
    assert (tmp_path / "left").read_text() == str(tmp_path / "run")
    cells[2]["source"] = "raise RuntimeError('else it would not be counted')"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    with pytest.raises(RuntimeError, match="not be counted"):
        execute_here("00_tour", tmp_path / "run")


def test_a_battery_takes_time_at_any_size_and_leaves_the_threads_as_they_are():
    threads = torch.get_num_threads()
    assert battery_seconds([NearestMean()], 8, draws=2, classes=4, samples=60) > 0.0
    assert torch.get_num_threads() == threads


def test_counted_operations_and_measured_seconds_make_the_costs_of_a_profile(monkeypatch):
    monkeypatch.setattr(counted_costs, "attack_seconds", lambda *_, draws: (2.0 * draws, 3.0))
    steps = [ORIGINALS, *NOTEBOOKS]
    counts = Counts(dict.fromkeys(NOTEBOOKS, 0.5), {**dict.fromkeys(steps, 4.0), TRAINING: 10.0}, 1)
    measured = Costs(
        "measured",
        {"hardware": "a machine"},
        {name: StepCost(Work(10), Work(1), Work(99)) for name in steps},
        {"job": 0.4, "rows": 0.9},
    )
    profile = replace(CIFAR10, by_training=("retrain", "spotter"))
    found = derived(profile, counts, measured, "digits")
    assert (found.kind, found.rate) == ("derived", counted_costs.RATE)
    step = found.steps["03_over_unlearning"]
    assert (step.start, step.made) == (Work(10, 0.5), Work(0, 4))
    assert step.shown == Work(round(20 / 9, 2))  # rows of twenty models where there were nine
    networks = len(CIFAR10.methods) + 2
    rest = Work(networks * 2.0 * CIFAR10.supports, 4)
    assert found.steps[BATTERY].rest == rest
    assert found.steps[BATTERY].made == Work(rest.seconds + networks * 3, 4 + 4 * 10)
    assert found.disk["original"] == pytest.approx(44.7, abs=0.1)  # 11.2 million weights
    assert found.disk["model"] == found.disk["original"]
    assert found.disk["rows"] == 2.0  # of twenty models where there were nine
    assert found.disk["job"] == 0.4
    assert "no convolution" in found.about["left out"]
    assert "CPU" in found.about["seconds of the battery's algebra"]
