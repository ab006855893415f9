import math
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from spotter_core import measurements, profiles
from spotter_core.data import load_dataset
from spotter_core.methods import METHODS, ForgetOnlyMethod
from spotter_core.profiles import Cell, Profile, known_profiles, load_profile
from spotter_core.results import load_about
from spotter_core.study import Study

FORGET_ONLY = {
    name
    for name, method in METHODS.items()
    if isinstance(method, ForgetOnlyMethod) and "+" not in name
}

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
    study = Study(name, root=tmp_path)  # refuses a wrong neighborhood or attack
    profile = study.profile
    assert {str(study.method(method)) for method in profile.methods}
    assert list(tmp_path.iterdir()) == []  # opening a study makes nothing, and reads no data
    assert set(profile.curves) <= set(profile.neighborhoods)
    for setting in profile.ablation:
        attrgetter(setting)(study.method("spotter"))
    torch.set_num_threads(1)  # opening a study sets the profile's number


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_makes_the_same_comparison(name):
    profile = load_profile(name)
    alone = {method.partition("+")[2] or method for method in profile.methods}
    late = {"boundary_expand"} if name == "digits" else set()  # tuned and published before it came
    assert FORGET_ONLY - late | {"retrain", "finetune"} <= alone
    assert "spotter+random_label" in profile.methods
    assert 5 in profile.shots
    assert max(profile.shots) <= 10
    assert 1.0 in profile.alphas
    assert {"metric": "cosine"} in profile.attacks
    kinds = [build["kind"] for build in profile.neighborhoods.values()]
    assert kinds[0] == "boundary"
    assert {"gaussian", "uniform", "published"} <= set(kinds)
    assert len({str(cell) for cell in profile.cells}) == len(profile.cells)


def test_the_profiles_of_the_issue_are_there_and_one_is_a_vit():
    known = known_profiles()
    assert {"digits", "faces", "cifar10-small", "cifar100", "tiny-imagenet"} <= set(known)
    models = {load_profile(name).model["name"] for name in known}
    assert {"small_cnn", "resnet18", "vit"} <= models


@pytest.mark.parametrize("name", ["cifar100", "tiny-imagenet"])
def test_of_many_classes_ten_are_forgotten_at_once(name):
    profile = load_profile(name)
    assert all(len(set(classes)) == 10 for classes in profile.forget)
    assert all(len(Cell.parse(cell).forget) == 10 for cell in profile.tuning["cells"])


def test_the_attacker_of_faces_holds_no_more_than_there_are():
    profile = load_profile("faces")
    try:
        faces = load_dataset(profile.dataset, size=profile.size)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert [len(part) for part in (faces.train, faces.validation, faces.test)] == [240, 40, 120]
    assert faces.train.images.shape[1:] == (1, 32, 32)
    assert faces.train.labels.bincount().tolist() == [6] * 40
    assert max(profile.shots) <= 6


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


# --- what such profiles make, from the image folder to the rows -----------------------------------


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """``pictures(classes)`` writes a folder of 8×8 colour images, a colour a class."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(classes, train=5, test=2):
        draw = np.random.default_rng(0)
        for c in range(classes):
            color = draw.integers(0, 200, 3)
            for part, count in (("train", train), ("test", test)):
                folder = tmp_path / "pictures" / part / f"c{c:02d}"
                folder.mkdir(parents=True)
                for i in range(count):
                    pixels = color + draw.integers(0, 50, (8, 8, 3))
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        return f"folder:{tmp_path / 'pictures'}"

    return write


def micro(dataset, model, methods, forget):
    """A profile that takes seconds."""
    quick = {"learning_rate": 0.01, "epochs": 1, "batch_size": 16}
    own = {
        "retrain": {},
        "ssd": {"alpha": 1.0, "batch_size": 4},
        "unsc": quick | {"images_per_class": 2, "positions": 4},
        "spotter": quick | {"neighborhood": {"kind": "boundary", "steps": 2}},
    }
    return Profile(
        name="micro",
        label="Made pictures",
        dataset=dataset,
        model=model,
        recipe={"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "augment": True},
        forget=(forget,),
        seeds=(0,),
        methods={name: own.get(name, quick) for name in methods},
        neighborhoods={"PGD": {"kind": "boundary", "steps": 2}, "noise": {"kind": "uniform"}},
        epsilons=(0.03,),
        shots=(1, 4),
        alphas=(0.5, 1.0),
        supports=2,
        attacks=[{"metric": "cosine"}, {"metric": "l2", "scale": 1.0}],
        curves=["PGD"],
        ablation={},
        tuning={},
    )


def measured(profile, root, *measurements):
    """All rows of the profile's only cell, checked to be numbers of every method."""
    study, (cell,) = Study(profile, root=root), profile.cells
    methods = ["original", *profile.methods]
    rows = {m.__name__: study.measured(m, cell, methods) for m in measurements}
    for name, found in rows.items():
        assert {row.method for row in found} == set(methods), name
        assert all(math.isfinite(row.value) for row in found), name
        assert not [row.method for row in found if row.measure == "diverged"], name
        assert {row.forget for row in found} == {cell.classes}
        about = load_about(study.rows_path(name, cell))
        assert {"hardware", "torch", "profile"} <= set(about)
        assert {(row.dataset, row.arch) for row in found} == {(profile.label, study.arch)}
    return rows


def test_a_vision_transformer_is_unlearned_and_measured(pictures, tmp_path):
    methods = ["delete", "spotter", "unsc", "salun", "ssd"]
    profile = micro(pictures(3), {"name": "vit", "width": 32}, methods, (1,))
    rows = measured(
        profile,
        tmp_path / "run",
        measurements.accuracies,
        measurements.over_unlearning_everywhere,
        measurements.relearning,
    )
    assert {row.arch for row in rows["accuracies"]} == {"vit-32"}
    far = {row.method: row.value for row in rows["over_unlearning_everywhere"]}
    assert far["original"] != far["delete"]


@pytest.mark.parametrize("model", [{"name": "small_cnn", "width": 2}, {"name": "mlp", "width": 8}])
def test_ten_classes_of_twelve_are_forgotten_at_once(pictures, tmp_path, model):
    forgotten = (0, 1, 2, 3, 4, 6, 7, 8, 10, 11)
    methods = [*(name for name in METHODS if "+" not in name), "spotter+salun", "spotter+unsc"]
    profile = micro(pictures(12), model, methods, forgotten)
    every = [
        measurements.accuracies,
        measurements.class_accuracies,
        measurements.over_unlearning_everywhere,
        measurements.over_unlearning_by_radius,
        measurements.damage_by_class,
        measurements.relearning,
        measurements.dispersion,
    ]
    rows = measured(profile, tmp_path / "run", *every)
    retained = {row.at["retained"] for row in rows["class_accuracies"]}
    assert retained == {"c05", "c09"}
    reads = {
        row.method: row.value
        for row in rows["accuracies"]
        if row.measure == "images_read" and row.split == "retain/train"
    }
    assert {name for name, images in reads.items() if not images} == FORGET_ONLY
