"""Layer 4: models of several run folders."""

import pytest
import torch
from made_runs import content, write

from spotter_core.checkpoints import load_tensors, save_tensors
from spotter_core.failures import failure_path, load_failure, save_failure
from spotter_core.merging.joining import FINGERPRINT, NUMBERS, ROWS, check_sources, join
from spotter_core.merging.models import FAILURES, MODELS, weight_differences

NAME = "models/forget3-seed0/delete.safetensors"


@pytest.fixture
def runs(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, "forget3-seed0")
    return tmp_path / "a", tmp_path / "b", tmp_path / "into"


def model(run, value=1.0, *, settings="s", record="", name=NAME):
    weights = {"weight": torch.full((2, 3), value), "count": torch.tensor(3)}
    save_tensors(weights, run / name, settings=settings, record=record)


def joined(a, b, into, **options):
    return join(check_sources([a, b], into), into, kinds=(ROWS, MODELS, FAILURES), **options)


def test_models_are_copied_and_an_equal_one_is_kept_once_however_long_it_took(runs):
    a, b, into = runs
    model(a, record="2 s")
    model(b, record="3 s")
    model(b, name="models/seed0/original.safetensors")
    model(b, name="models/seed0/original.partial.safetensors")
    found = joined(b, a, into)
    assert not found.conflicts
    assert load_tensors(into / NAME)[1] == "2 s"
    assert sorted(content(into / "models")) == [
        "forget3-seed0/delete.safetensors",
        "seed0/original.safetensors",
    ]


@pytest.mark.parametrize(("settings", "why"), [("s", NUMBERS), ("t", FINGERPRINT)])
def test_other_weights_or_settings_are_a_conflict(runs, settings, why):
    a, b, into = runs
    model(a)
    model(b, 0.75, settings=settings)
    (conflict,) = joined(a, b, into).unsettled
    assert (conflict.name, conflict.why) == (NAME, why)
    (difference,) = conflict.differences
    assert (difference.measure, difference.here, difference.there) == ("weight", 1.0, 0.75)
    assert difference.relative == 0.25
    assert not (into / NAME).exists()


def test_a_damaged_model_is_named_and_left_out(runs):
    a, b, into = runs
    model(a)
    data = bytearray((a / NAME).read_bytes())
    data[-3] ^= 1
    (a / NAME).write_bytes(data)
    model(b, 0.75)
    found = joined(a, b, into)
    assert [NAME in told for told in found.damaged] == [True]
    assert content(into)[NAME] == content(b)[NAME]


def test_a_model_that_diverged_is_not_tried_again_after_a_merge(runs):
    a, b, into = runs
    save_failure(a / NAME, settings="s", reason="the loss is NaN")
    save_failure(b / NAME, settings="s", reason="the loss is not finite")
    found = joined(a, b, into)
    assert not found.conflicts
    assert load_failure(into / NAME, settings="s") == "the loss is NaN"
    save_failure(b / NAME, settings="t", reason="x")
    (conflict,) = joined(a, b, into).unsettled
    assert conflict.why == FINGERPRINT
    failure_path(a / NAME).write_bytes(b"{}")
    failure_path(into / NAME).unlink()
    found = joined(a, b, into)
    assert ["a/" + NAME.replace("safetensors", "diverged.json") in t for t in found.damaged] == [
        True
    ]
    assert load_failure(into / NAME, settings="t") == "x"


@pytest.mark.parametrize("where", ["a", "b", "into"])
def test_a_model_that_one_folder_has_counts_for_more_than_a_failure(runs, where):
    a, b, into = runs
    save_failure(a / NAME, settings="s", reason="x")
    model({"a": a, "b": b, "into": into}[where])
    assert not joined(a, b, into).conflicts
    assert (into / NAME).is_file()
    assert not failure_path(into / NAME).exists()


def test_weights_differ_in_terms_of_the_largest_of_their_tensor():
    nan, inf = float("nan"), float("inf")
    here = {"a": torch.tensor([1e-9, 2.0, nan, inf]), "b": torch.zeros(2), "c": torch.zeros(1)}
    there = {"a": torch.tensor([0.0, 2.0, nan, inf]), "b": torch.zeros(2), "d": torch.zeros(1)}
    found = {d.measure: d.relative for d in weight_differences(here, there)}
    assert found == {"a": pytest.approx(0.5e-9, rel=1e-3), "c": inf, "d": inf}
    assert weight_differences(here, here) == []
    assert weight_differences({"a": torch.tensor([nan])}, {"a": torch.tensor([1.0])}) != []
