from dataclasses import replace

import pytest
import yaml

from spotter_core import profiles
from spotter_core.profiles import Cell, Profile, known_profiles, load_profile
from spotter_core.study import Study

# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("forget3-seed0", Cell((3,), 0)),
        ("forget0-seed12", Cell((0,), 12)),
        ("forget3+8-seed1", Cell((3, 8), 1)),
        ("forget10+99+100-seed2", Cell((10, 99, 100), 2)),
    ],
)
def test_a_cell_is_written_and_read_back(text, cell):
    assert str(cell) == text
    assert Cell.parse(text) == cell
    assert Cell.parse(str(Cell.parse(text))) == cell


def test_classes_of_a_cell_are_sorted():
    assert Cell.parse("forget10+9-seed0") == Cell((9, 10), 0)
    assert Cell((9, 10), 0).classes == "9+10"


@pytest.mark.parametrize(
    "text",
    [
        *("", "all", "3", "forget3", "forget3-seed", "forget-seed0", "forget3-seed0 ", 3, None),
        *(
            "forget3+-seed0",
            "forget3-seed-1",
            "Forget3-seed0",
            "forget3,8-seed0",
            "forget3-seed0.x",
        ),
    ],
)
def test_what_is_no_cell_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"like forget3-seed0 or forget3\+8-seed0, got") as caught:
        Cell.parse(text)
    assert repr(text) in str(caught.value)


# --- files ----------------------------------------------------------------------------------------

MINIMAL = {
    "label": "Tiny",
    "dataset": "digits",
    "model": {"name": "mlp", "width": 4},
    "recipe": {"epochs": 1},
    "forget": [[8, 3], [1]],
    "seeds": [0, 5],
    "methods": {"retrain": {}, "neggrad": {"epochs": 2}},
    "neighborhoods": {"near": {"kind": "uniform", "epsilon": 0.1}},
    "epsilons": [0.1, 0.2],
    "shots": [1, 5],
    "alphas": [0.5, 1.0],
    "supports": 2,
    "attacks": [{"metric": "cosine"}],
    "curves": ["near"],
    "ablation": {"lambda_2": [0.0]},
    "tuning": {"cells": ["forget2-seed9"], "candidates": {}},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """``write(content, name)`` puts a profile into a folder that is searched for profiles."""
    monkeypatch.setattr(profiles, "profiles_folder", lambda: tmp_path)

    def write(content, name="tiny"):
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        return name

    return write


def test_the_digits_profile_is_complete():
    profile = load_profile("digits")
    assert profile.name == "digits"
    assert "digits" in known_profiles()
    assert len(profile.seeds) >= 3
    assert len(profile.forget) >= 2
    assert len(profile.cells) == len(profile.seeds) * len(profile.forget)
    assert {"retrain", "finetune", "neggrad", "random_label"} < set(profile.methods)
    assert {"boundary_shrink", "delete", "spotter", "spotter+random_label"} < set(profile.methods)
    assert profile.headline == next(iter(profile.neighborhoods))
    assert 5 in profile.shots
    assert max(profile.shots) <= 10


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_has_settings_that_a_study_takes(name, tmp_path):
    study = Study(name, root=tmp_path)
    assert {str(study.method(method)) for method in study.profile.methods}
    assert list(tmp_path.iterdir()) == []  # opening a study makes nothing


def test_a_file_is_read_as_it_stands_with_its_order(write):
    profile = load_profile(write(MINIMAL))
    assert isinstance(profile, Profile)
    assert profile.forget == ((8, 3), (1,))
    assert profile.seeds == (0, 5)
    assert profile.shots == (1, 5)
    assert list(profile.methods) == ["retrain", "neggrad"]
    assert (profile.size, profile.jobs, profile.threads, profile.minutes) == (None, None, 1, 10)


def test_cells_are_sorted_by_seed_so_that_neighbors_share_their_original(write):
    cells = [str(cell) for cell in load_profile(write(MINIMAL)).cells]
    assert cells == ["forget3+8-seed0", "forget1-seed0", "forget3+8-seed5", "forget1-seed5"]


@pytest.mark.parametrize(
    "name", ["digit", "", "../profiles/tiny", "default/config", "tiny.yaml", 3]
)
def test_an_unknown_profile_is_refused_with_those_that_are_known(write, tmp_path, name):
    write(MINIMAL, "another")
    write(MINIMAL)
    (tmp_path / "default").mkdir()
    write("cores: all", "default/config")
    with pytest.raises(ValueError, match=r"unknown profile .*; known: another, tiny$"):
        load_profile(name)


@pytest.mark.parametrize("key", ["sedes", "name", 3])
def test_an_unknown_key_is_refused_with_those_that_are_known(write, key):
    with pytest.raises(
        ValueError, match=rf"tiny.yaml has unknown keys \['{key}'\]; known: .*'shots'"
    ):
        load_profile(write({**MINIMAL, key: 1}))


@pytest.mark.parametrize("key", MINIMAL)
def test_a_missing_key_is_refused_by_name(write, key):
    content = {k: v for k, v in MINIMAL.items() if k != key}
    with pytest.raises(ValueError, match=rf"tiny.yaml: .*missing.*'{key}'"):
        load_profile(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "tiny.yaml must consist of keys and values"),
        ("- digits", "tiny.yaml must consist of keys and values"),
        ("label: [a", "tiny.yaml is no valid YAML"),
        ({**MINIMAL, "seeds": 3}, "seeds must be a list, got 3"),
        ({**MINIMAL, "shots": "5"}, "shots must be a list, got '5'"),
        (
            {**MINIMAL, "forget": [3, 8]},
            r"forget must be a list of lists, such as \[\[0\], \[3, 8\]\]",
        ),
    ],
)
def test_a_file_of_another_form_is_a_clear_error(write, content, message):
    with pytest.raises(ValueError, match=message):
        load_profile(write(content))


# --- what the values mean -------------------------------------------------------------------------

NEAR = MINIMAL["neighborhoods"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"negrad": {}}}, "unknown method 'negrad'; known: retrain, finetune, neggrad"),
        (
            {"methods": {"neggrad": {"lr": 0.1}}},
            "method 'neggrad' has no setting lr; it has learning_rate, momentum",
        ),
        ({"methods": {"neggrad": {"epochs": 0}}}, "epochs must be above 0, got 0"),
        (
            {"methods": {"spotter": {"neighborhood": {"kind": "boundry"}}}},
            "kind must be one of .*boundary, .*; got 'boundry'",
        ),
        (
            {"neighborhoods": {"near": {"kind": "uniform", "radius": 1}}},
            r"neighborhood 'uniform' has no setting \['radius'\]; it has \['epsilon'\]",
        ),
        (
            {"curves": ["near", "far"]},
            "neighborhood 'far' is not in profile 'tiny'; it has near",
        ),
        ({"attacks": [{"metric": "dot"}]}, "metric must be one of cosine, l2; got 'dot'"),
        ({"shots": [0]}, "shots must be above 0, got 0"),
        ({"alphas": [1.5]}, r"alpha must lie in \[0, 1\], got 1.5"),
        ({"recipe": {"epochs": 0}}, "epochs must be above 0, got 0"),
    ],
)
def test_a_value_without_meaning_is_refused_as_the_study_opens(write, tmp_path, changes, message):
    profile = load_profile(write({**MINIMAL, **changes}))
    with pytest.raises(ValueError, match=message):
        Study(profile, root=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_not_in_the_profile_is_refused_with_what_is(write, tmp_path):
    study = Study(load_profile(write(MINIMAL)), root=tmp_path / "run")
    cell = Cell((3,), 0)
    with pytest.raises(
        ValueError, match="method 'spotter' is not in profile 'tiny'; it has retrain"
    ):
        study.model(cell, "spotter")
    with pytest.raises(
        ValueError, match="neighborhood 'far' is not in profile 'tiny'; it has near"
    ):
        study.neighborhood("far")
    with pytest.raises(ValueError, match="method 'neggrad' has no setting twins"):
        study.made(cell, "neggrad", twins=3)


def test_a_study_is_opened_by_name_too(write, tmp_path):
    assert Study(write(MINIMAL), root=tmp_path / "run").profile == load_profile("tiny")
    with pytest.raises(ValueError, match="unknown profile 'none'; known: tiny"):
        Study("none")


def test_a_profile_is_frozen_and_can_be_varied():
    profile = load_profile("digits")
    with pytest.raises(AttributeError):
        profile.seeds = (1,)
    assert replace(profile, seeds=(1,)).seeds == (1,)
    assert profile.seeds != (1,)
