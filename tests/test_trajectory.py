import itertools
import math
from dataclasses import replace

import pytest
import torch

from spotter_core.measurements import vital_signs
from spotter_core.profiles import Cell, load_profile
from spotter_core.study import Study
from spotter_core.trajectory import follow, moments_of

CELL = Cell((3,), 0)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The digits with a recipe of two epochs and methods of a few."""
    profile = load_profile("digits")
    methods = {
        "retrain": {},
        "delete": {"batch_size": 32, "epochs": 5, "learning_rate": 0.0003},
        "spotter": {"batch_size": 32, "epochs": 3, "twins": 2, "learning_rate": 0.001},
    }
    small = replace(profile, recipe=profile.recipe | {"epochs": 2}, methods=methods)
    return Study(small, root=tmp_path_factory.mktemp("run"))


def run(study, method, **options):
    seen = []
    network = follow(study, CELL, method, lambda moment, _: seen.append(moment), **options)
    return network, seen


@pytest.mark.parametrize("method", ["delete", "spotter"])
def test_looking_changes_nothing(study, method):
    network, _ = run(study, method)
    own = study.model(CELL, method).state_dict()
    assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())


def test_a_run_is_seen_at_its_start_every_so_often_and_at_its_end(study):
    assert [m.epoch for m in run(study, "delete", every=2)[1]] == [0, 2, 4, 5]
    assert [m.epoch for m in run(study, "delete", every=5)[1]] == [0, 5]
    assert [m.epoch for m in run(study, "delete", every=9)[1]] == [0, 5]


def test_a_run_is_seen_at_the_epochs_that_are_named_and_at_its_ends(study):
    assert [m.epoch for m in run(study, "delete", at=[1, 4])[1]] == [0, 1, 4, 5]
    assert [m.epoch for m in run(study, "delete", at=())[1]] == [0, 5]
    assert [m.epoch for m in run(study, "delete", at=[0, 2, 5, 80])[1]] == [0, 2, 5]


@pytest.mark.parametrize("epochs", [1, 2, 5, 13, 14, 25, 50, 100, 1000])
@pytest.mark.parametrize("most", [2, 3, 8, 14, 16])
def test_moments_rise_from_the_start_to_the_end_ever_further_apart(epochs, most):
    chosen = moments_of(epochs, most=most)
    steps = [b - a for a, b in itertools.pairwise(chosen)]
    assert chosen[0] == 0
    assert chosen[-1] == epochs
    assert len(chosen) == min(epochs + 1, most)
    assert min(steps) >= 1
    if epochs >= 3 * most:  # in shorter ones rounding decides
        assert all(b >= a - 1 for a, b in itertools.pairwise(steps))


def test_moments_of_too_little_are_refused():
    with pytest.raises(ValueError, match="epochs"):
        moments_of(0)
    with pytest.raises(ValueError, match=r"most must be at least 2.* got 1"):
        moments_of(5, most=1)


def test_the_last_moment_has_the_numbers_of_the_study(study):
    _, seen = run(study, "spotter")
    signs = {
        (row.split, row.measure): row.value
        for row in vital_signs(study, CELL, "spotter", study.model(CELL, "spotter"))
    }
    last = seen[-1]
    assert last.forget_accuracy == signs["forget/test", "accuracy"]
    assert last.retain_accuracy == signs["retain/test", "accuracy"]
    assert last.over_unlearning == pytest.approx(signs["forget/test", "over_unlearning"])
    assert last.mean_cosine == pytest.approx(signs["forget/test", "mean_cosine"])
    assert set(last.losses) > {"loss", "dispersion"}
    assert seen[0].losses == {}
    assert 0.0 <= seen[0].over_unlearning <= math.log(2)


def test_the_first_moment_is_the_originals(study):
    _, delete = run(study, "delete", every=5)
    _, spotter = run(study, "spotter", every=3)
    assert delete[0] == spotter[0]


def test_who_looks_may_end_the_run(study):
    def enough(moment, network):
        if moment.epoch == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        follow(study, CELL, "delete", enough)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("original", {}, "method must be one that unlearns, got 'original'"),
        ("delete", {"every": 0}, "every must be"),
        ("nothing", {}, "nothing"),
    ],
)
def test_what_cannot_be_followed_is_refused(study, method, options, message):
    with pytest.raises(ValueError, match=message):
        run(study, method, **options)
