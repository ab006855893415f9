import json
import math
from dataclasses import replace
from itertools import takewhile
from types import SimpleNamespace

import pytest

from spotter_core import tuning
from spotter_core.profiles import Cell, known_profiles, load_profile, profiles_folder
from spotter_core.settings import configured_method
from spotter_core.tuning import candidates, choose, load_log, log_path, mean_score, rank, violation

TUNED = [name for name in known_profiles() if log_path(name).is_file()]
SOUND = {"forget_accuracy": 0.0, "retain_loss": 0.0, "over_unlearning": 0.1, "pra_accuracy": 0.2}


def entry(method, number, **score):
    return {"method": method, "settings": {"number": number}, "score": SOUND | score}


# --- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "missed"),
    [
        ({}, 0.0),
        ({"forget_accuracy": 0.01, "retain_loss": 0.01}, 0.0),
        ({"retain_loss": -0.3}, 0.0),
        ({"forget_accuracy": 0.11}, 0.1),
        ({"retain_loss": 0.03}, 0.02),
        ({"forget_accuracy": 0.11, "retain_loss": 0.03}, 0.12),
        ({"forget_accuracy": 0.11, "retain_loss": -0.5}, 0.1),  # no gain makes up for it
    ],
)
def test_soundness_is_one_per_cent_forget_accuracy_and_one_point_of_retain_accuracy(score, missed):
    assert violation(SOUND | score) == pytest.approx(missed)


def test_of_sound_candidates_over_unlearning_and_relearning_decide_with_equal_weight():
    # OU counts as a share of its largest value, ln 2: half of it weighs as much as a PRA of 1/2
    half = math.log(2.0) / 2
    assert rank(SOUND | {"over_unlearning": half, "pra_accuracy": 0.25}) == (0.0, 0.75)
    entries = [
        entry("m", 1, over_unlearning=0.5 * half, pra_accuracy=0.5),
        entry("m", 2, over_unlearning=1.0 * half, pra_accuracy=0.2),
        entry("m", 3, over_unlearning=0.1 * half, pra_accuracy=0.9),
    ]
    assert choose(entries) == {"m": {"number": 2}}


def test_a_sound_candidate_beats_every_other_whatever_its_numbers():
    entries = [
        entry("m", 1, forget_accuracy=0.02, over_unlearning=0.0, pra_accuracy=0.0),
        entry("m", 2, over_unlearning=math.log(2.0), pra_accuracy=1.0),
        entry("m", 3, retain_loss=0.02, over_unlearning=0.0, pra_accuracy=0.0),
    ]
    assert choose(entries) == {"m": {"number": 2}}


def test_if_none_is_sound_the_least_miss_is_taken():
    entries = [
        entry("m", 1, forget_accuracy=0.5, over_unlearning=0.0),
        entry("m", 2, forget_accuracy=0.2, retain_loss=0.3),
        entry("m", 3, forget_accuracy=0.3, retain_loss=0.02, pra_accuracy=1.0),
    ]
    assert choose(entries) == {"m": {"number": 3}}


def test_methods_are_chosen_apart_and_the_first_of_equals_is_taken():
    entries = [entry("a", 1), entry("b", 2), entry("a", 3), entry("b", 4, pra_accuracy=0.1)]
    assert choose(entries) == {"a": {"number": 1}, "b": {"number": 4}}


def test_a_run_that_diverges_is_worse_than_any_other(monkeypatch):
    def diverge(*args):
        raise tuning.Diverged

    monkeypatch.setattr(tuning, "score", diverge)
    study = SimpleNamespace(profile=load_profile("digits"))
    lost = rank(mean_score(study, "spotter", {}))
    assert lost > rank(SOUND | {"forget_accuracy": 1.0, "retain_loss": 0.99})


def test_a_score_is_the_mean_over_the_tuning_cells(monkeypatch):
    profile = replace(load_profile("digits"), tuning={"cells": ["forget1-seed7", "forget2-seed8"]})
    study = SimpleNamespace(profile=profile)
    asked = []

    def score(study, cell, method, settings):
        asked.append((str(cell), method, settings))
        return SOUND | {"pra_accuracy": float(len(asked))}

    monkeypatch.setattr(tuning, "score", score)
    assert mean_score(study, "delete", {"epochs": 3}) == SOUND | {"pra_accuracy": 1.5}
    expected = [(cell, "delete", {"epochs": 3}) for cell in ("forget1-seed7", "forget2-seed8")]
    assert asked == expected


@pytest.fixture
def little(tmp_path, monkeypatch):
    """A profile of two methods with two candidates each, whose logs lie in a folder of the test."""
    grid = {"a": {"number": [1, 2]}, "b": {"number": [3, 4]}}
    profile = SimpleNamespace(tuning={"candidates": grid, "cells": ["forget5-seed9"]})
    monkeypatch.setattr(tuning, "load_profile", lambda name: profile)
    monkeypatch.setattr(tuning, "Study", lambda profile: SimpleNamespace(profile=profile))
    monkeypatch.setattr(tuning, "log_path", lambda name: tmp_path / f"{name}.tuning.json")
    monkeypatch.setattr(tuning, "project_root", lambda: tmp_path)
    return profile


def test_a_killed_tuning_goes_on_where_it_was_and_leaves_no_log_before_it_is_whole(
    little, monkeypatch
):
    tried = []

    def score(study, method, settings):
        if len(tried) == 3:
            raise KeyboardInterrupt
        tried.append(settings["number"])
        return SOUND | {"pra_accuracy": 0.1 * settings["number"]}

    monkeypatch.setattr(tuning, "mean_score", score)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune("tiny")
    assert load_log("tiny") == []
    assert len(tuning.read_log(tuning.unfinished_path("tiny"))) == 3
    tried.clear()
    assert tuning.tune("tiny", go_on=True) == {"a": {"number": 1}, "b": {"number": 3}}
    assert tried == [4]
    assert [entry["settings"]["number"] for entry in load_log("tiny")] == [1, 2, 3, 4]
    assert not tuning.unfinished_path("tiny").exists()
    assert tuning.tune("tiny", go_on=True) == {"a": {"number": 1}, "b": {"number": 3}}
    assert tried == [4]


def test_a_damaged_unfinished_log_is_tried_again_and_a_damaged_log_is_an_error(
    little, monkeypatch, caplog
):
    monkeypatch.setattr(tuning, "mean_score", lambda *_: SOUND)
    tuning.tune("tiny")
    whole = tuning.log_path("tiny").read_bytes()
    tuning.unfinished_path("tiny").parent.mkdir(parents=True, exist_ok=True)
    tuning.unfinished_path("tiny").write_bytes(whole.replace(b'"number": 1', b'"number": 9'))
    tuning.tune("tiny", go_on=True)
    assert "does not match its digest" in caplog.text
    assert "its candidates are tried again" in caplog.text
    assert [entry["settings"]["number"] for entry in load_log("tiny")] == [1, 2, 3, 4]
    for data in (whole[:-30], whole.replace(b'"number": 1', b'"number": 9')):
        tuning.log_path("tiny").write_bytes(data)
        for read in (lambda: load_log("tiny"), lambda: tuning.tune("tiny", go_on=True)):
            with pytest.raises(ValueError, match=r"tuning log .*tiny\.tuning\.json .*: delete it"):
                read()


def test_one_method_is_tuned_anew_and_the_log_keeps_the_others(little, monkeypatch):
    tried = []

    def score(study, method, settings):
        tried.append((method, settings["number"]))
        return SOUND | {"pra_accuracy": [0.1, 0.2, 0.4, 0.3, 0.6, 0.5][len(tried) - 1]}

    monkeypatch.setattr(tuning, "mean_score", score)
    assert tuning.tune("tiny") == {"a": {"number": 1}, "b": {"number": 4}}
    assert tried == [("a", 1), ("a", 2), ("b", 3), ("b", 4)]
    before = load_log("tiny")
    assert [entry["settings"]["number"] for entry in before] == [1, 2, 3, 4]

    assert tuning.tune("tiny", ["a"]) == {"a": {"number": 2}, "b": {"number": 4}}
    assert tried[4:] == [("a", 1), ("a", 2)]
    after = load_log("tiny")
    assert [e for e in after if e["method"] == "b"] == [e for e in before if e["method"] == "b"]
    assert len(after) == 4


def test_a_killed_tuning_of_all_is_kept_when_one_method_is_tuned(little, monkeypatch):
    def score(study, method, settings):
        if settings["number"] == 4:
            raise KeyboardInterrupt
        return SOUND

    monkeypatch.setattr(tuning, "mean_score", score)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune("tiny")
    tuning.tune("tiny", ["a"])
    assert [entry["settings"]["number"] for entry in load_log("tiny")] == [3, 1, 2]


def test_a_killed_tuning_of_one_method_goes_on_and_no_other_is_logged_twice(little, monkeypatch):
    monkeypatch.setattr(tuning, "mean_score", lambda *_: SOUND)
    tuning.tune("tiny")
    killed = iter([SOUND])
    monkeypatch.setattr(tuning, "mean_score", lambda *_: next(killed))
    with pytest.raises(StopIteration):
        tuning.tune("tiny", ["a"])
    monkeypatch.setattr(tuning, "mean_score", lambda *_: SOUND)
    tuning.tune("tiny", go_on=True)
    assert [entry["settings"]["number"] for entry in load_log("tiny")] == [1, 2, 3, 4]


def test_entries_of_other_cells_are_not_kept(little, monkeypatch):
    monkeypatch.setattr(tuning, "mean_score", lambda *_: SOUND)
    tuning.tune("tiny")
    little.tuning["cells"] = ["forget6-seed9"]
    tried = []
    monkeypatch.setattr(tuning, "mean_score", lambda *_: tried.append(1) or SOUND)
    tuning.tune("tiny", go_on=True)
    assert len(tried) == len(load_log("tiny")) == 4


def test_candidates_are_all_combinations():
    grid = {"epochs": [1, 2], "learning_rate": [0.1, 0.2, 0.3]}
    profile = replace(load_profile("digits"), tuning={"candidates": {"delete": grid}})
    found = list(candidates(profile, "delete"))
    assert len(found) == 6
    assert {(c["epochs"], c["learning_rate"]) for c in found} == {
        (epochs, rate) for epochs in (1, 2) for rate in (0.1, 0.2, 0.3)
    }


# --- the profiles obey it -------------------------------------------------------------------------

SAME_ORIGINAL = {"cifar10-small"}
"""Tuned on another class of an original that is reported too: a second one takes too long."""
SAME_CLASS = {"cifar10"}
"""Tuned on another original: all classes are reported."""


def tunable(profile):
    """Methods with settings of their own; the rest is the oracle or shares Spotter's."""
    return [name for name in profile.methods if name != "retrain" and "+" not in name]


def head_comment(name):
    """The comment that a profile's file begins with, in one line."""
    lines = (profiles_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.strip("# ") for line in takewhile(lambda x: x.startswith("#"), lines))


@pytest.fixture(params=known_profiles())
def profile(request):
    return load_profile(request.param)


@pytest.fixture(params=TUNED)
def tuned(request):
    return load_profile(request.param)


def test_what_runs_in_minutes_was_tuned():
    assert {"digits", "faces"} <= set(TUNED)


def test_a_profile_says_in_its_first_lines_if_it_is_not_tuned(profile):
    assert ("not tuned" in head_comment(profile.name).lower()) == (profile.name not in TUNED)


def test_every_method_has_the_same_number_of_candidates(profile):
    budgets = {name: len(list(candidates(profile, name))) for name in tunable(profile)}
    assert len(set(budgets.values())) == 1, budgets
    assert min(budgets.values()) > 1
    assert set(profile.tuning["candidates"]) == set(budgets)


def test_every_candidate_can_be_configured_and_differs_from_the_others(profile):
    for name in tunable(profile):
        tried = {str(configured_method(profile, name, **c)) for c in candidates(profile, name)}
        assert len(tried) == len(list(candidates(profile, name))), name


def test_tuning_shares_neither_classes_nor_seeds_with_what_is_reported(profile):
    cells = [Cell.parse(cell) for cell in profile.tuning["cells"]]
    assert cells
    tuned_on = {c for cell in cells for c in cell.forget}
    if profile.name not in SAME_CLASS:
        assert not tuned_on & {c for classes in profile.forget for c in classes}
    if profile.name not in SAME_ORIGINAL:
        assert not {cell.seed for cell in cells} & set(profile.seeds)


def test_the_log_holds_every_candidate_of_the_profile_once(tuned):
    entries = load_log(tuned.name)
    for name in tunable(tuned):
        tried = [entry["settings"] for entry in entries if entry["method"] == name]
        assert tried == list(candidates(tuned, name)), f"{name}: run the tuning again"
    assert {entry["method"] for entry in entries} == set(tunable(tuned))


def test_the_log_says_which_cells_and_which_hardware_it_is_from(tuned):
    about = json.loads(log_path(tuned.name).read_text(encoding="utf-8"))["about"]
    assert about["cells"] == tuned.tuning["cells"]
    assert {"hardware", "torch", "python", "platform"} <= set(about)


def test_the_settings_of_the_profile_are_those_that_the_rule_chooses(tuned):
    chosen = choose(load_log(tuned.name))
    assert {name: tuned.methods[name] for name in tunable(tuned)} == chosen


def test_spotter_around_a_base_method_has_the_settings_of_spotter(profile):
    around = [name for name in profile.methods if name.startswith("spotter+")]
    assert around
    assert all(profile.methods[name] == profile.methods["spotter"] for name in around)
