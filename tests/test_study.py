import contextlib
import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spotter_core import measurements, progress, workshop
from spotter_core import study as study_module
from spotter_core.checkpoints import save_weights
from spotter_core.data import ForbiddenSet, ImageSet
from spotter_core.methods import METHODS, ForgetOnlyMethod, unlearn
from spotter_core.models import build_model
from spotter_core.profiles import Cell, Profile
from spotter_core.runtime import seeded_generator
from spotter_core.settings import scaled
from spotter_core.study import Study
from spotter_core.training import Diverged, predict

CELL, OTHER = Cell((3,), 0), Cell((0, 7), 0)
MEASURED = [measurements.accuracies, measurements.over_unlearning_everywhere]
NEAR = {"kind": "boundary", "epsilon": 0.1, "step": 0.05, "steps": 2}
TINY = Profile(
    name="tiny",
    label="Tiny digits",
    dataset="digits",
    model={"name": "small_cnn", "width": 4},
    recipe={"epochs": 6, "batch_size": 64, "learning_rate": 0.1},
    forget=(CELL.forget, OTHER.forget),
    seeds=(0,),
    methods={
        "retrain": {},
        "neggrad": {"epochs": 2, "batch_size": 64, "learning_rate": 0.001},
        "spotter": {"epochs": 2, "batch_size": 64, "neighborhood": NEAR},
    },
    neighborhoods={
        "PGD toward": NEAR,
        "uniform": {"kind": "uniform", "epsilon": 0.1},
        "published PGD": {"kind": "published", "noise": "pgd", "epsilon": 0.1, "step": 0.1},
    },
    epsilons=(0.05, 0.2),
    shots=(1, 5),
    alphas=(0.5, 1.0),
    supports=3,
    attacks=[{"metric": "cosine"}, {"metric": "l2", "scale": 1.0}],
    curves=["uniform"],
    ablation={"lambda_2": [0.0], "neighborhood.epsilon": [0.2]},
    tuning={"cells": [], "candidates": {}},
)
MODELS = ["original", *TINY.methods]


def tiny(root, **changes):
    """A study of few epochs and three methods; a second or so for all of it."""
    return Study(replace(TINY, **changes), root=root, device="cpu")


def everything(study, cells=(CELL, OTHER), models=MODELS, functions=MEASURED):
    for cell in cells:
        for model in models:
            study.model(cell, model)
        for function in functions:
            study.measured(function, cell, MODELS)


def content(root, folder):
    """Bytes of every file below a folder of the run, by its name there."""
    files = sorted((root / folder).rglob("*.*"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def same(first, second):
    """Whether two networks have the same weights, bit by bit."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The run folder of a study that is done; not to be written to."""
    root = tmp_path_factory.mktemp("finished") / "run"
    everything(tiny(root))
    return root


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run folder."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def making(monkeypatch):
    """Names of the models that were made, not loaded, since the test began."""
    made, fit, unlearn = [], workshop.fit, workshop.unlearn

    def watched_fit(*args, **kwargs):
        made.append("original")
        return fit(*args, **kwargs)

    def watched_unlearn(method, *args, **kwargs):
        made.append(method.name)
        return unlearn(method, *args, **kwargs)

    monkeypatch.setattr(workshop, "fit", watched_fit)
    monkeypatch.setattr(workshop, "unlearn", watched_unlearn)
    return made


@pytest.fixture
def measuring(monkeypatch):
    """Calls of ``accuracies`` that were computed, not loaded, since the test began."""
    calls, compute = [], measurements.accuracies

    def accuracies(study, cell, methods):
        calls.append(str(cell))
        return compute(study, cell, methods)

    accuracies.__module__ = compute.__module__
    monkeypatch.setattr(measurements, "accuracies", accuracies)
    return calls


# --- made once ------------------------------------------------------------------------------------


def test_what_is_there_is_loaded_and_nothing_is_made_or_written_again(run, finished, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("made again")

    for name in ("fit", "unlearn", "predict", "save_weights"):
        monkeypatch.setattr(workshop, name, refuse)
    monkeypatch.setattr(study_module, "save_rows", refuse)
    study, stamps = tiny(run), {path: path.stat().st_mtime_ns for path in run.rglob("*.*")}
    assert len(stamps) == 1 + 2 * 3 + 2 * 2  # one original, three methods and two tables a cell
    everything(study)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.*")} == stamps
    rows = study.measured(measurements.accuracies, CELL, MODELS)
    assert {row.method for row in rows} == set(MODELS)


def test_a_loaded_model_is_the_one_that_was_made_with_its_record(tmp_path):
    for model in MODELS:
        first = tiny(tmp_path).made(CELL, model)
        again = tiny(tmp_path).made(CELL, model)
        assert same(first.model, again.model)
        assert first.record == again.record
        assert not again.model.training
        assert first.record["seconds"] >= 0
        assert len(first.record["history"]) == (6 if model in ("original", "retrain") else 2)
        assert all("loss" in epoch for epoch in first.record["history"])


def test_a_model_is_kept_in_memory(run):
    study = tiny(run)
    assert study.model(CELL, "neggrad") is study.model(CELL, "neggrad")
    assert study.predictions(CELL, "neggrad", "forget/test") is study.predictions(
        CELL, "neggrad", "forget/test"
    )


def test_cells_of_a_seed_share_their_original(tmp_path, making):
    study = tiny(tmp_path)
    assert study.model(CELL, "original") is study.model(OTHER, "original")
    assert making == ["original"]
    assert study.path(CELL, "original") == study.path(OTHER, "original")
    assert study.path(CELL, "original") != study.path(Cell(CELL.forget, 1), "original")
    assert study.path(CELL, "retrain") != study.path(OTHER, "retrain")


def test_the_oracle_is_trained_as_the_original_was(tmp_path):
    study = tiny(tmp_path)
    assert study.method("retrain").recipe == study.recipe
    record = study.made(CELL, "retrain").record
    assert record["reads"] == {"forget": 0, "retain": 6 * len(study.split(CELL).retain.train)}


def test_a_run_lies_in_the_project_under_the_name_of_its_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(workshop, "project_root", lambda: tmp_path)
    assert Study(TINY).root == tmp_path / "runs" / "tiny"
    assert not list(tmp_path.iterdir())


# --- made anew ------------------------------------------------------------------------------------


def foreign_checkpoint(path):
    save_weights(build_model("mlp", num_classes=10, width=3, input_shape=(1, 8, 8)), path)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "cut in its head": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "text": lambda path: path.write_text("no numbers"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"head.weight": 1})),
    "foreign": foreign_checkpoint,
}


@pytest.mark.parametrize("model", ["original", "neggrad"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_made_anew_with_a_warning(run, making, caplog, model, damage):
    path, before = tiny(run).path(CELL, model), tiny(run).model(CELL, model)
    damage(path)
    study = tiny(run)
    assert same(study.model(CELL, model), before)
    assert making == [model]
    assert path.name in caplog.text
    assert "making it anew" in caplog.text
    assert same(tiny(run).model(CELL, model), before)
    assert making == [model]


@pytest.mark.parametrize("kept", [0, 30, -3])
def test_a_damaged_table_is_measured_anew_with_a_warning(run, measuring, caplog, kept):
    path, other = (tiny(run).rows_path("accuracies", cell) for cell in (CELL, OTHER))
    before = path.read_bytes()
    path.write_bytes(before[:kept])
    for cell in (CELL, OTHER):
        tiny(run).measured(measurements.accuracies, cell, MODELS)
    assert measuring == [str(CELL)]
    assert path.read_bytes() == before
    assert path.name in caplog.text
    assert "measuring anew" in caplog.text
    assert other.name not in caplog.text


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({}, []),
        ({"label": "Other", "minutes": 2, "seeds": (0, 1), "shots": (2,)}, []),
        (
            {"methods": TINY.methods | {"neggrad": {"epochs": 1, "batch_size": 64}}},
            ["neggrad"],
        ),
        (
            {
                "methods": TINY.methods
                | {"spotter": TINY.methods["spotter"] | {"neighborhood": NEAR | {"steps": 1}}}
            },
            ["spotter"],
        ),
        ({"recipe": TINY.recipe | {"epochs": 1}}, MODELS),
        ({"model": {"name": "small_cnn", "width": 5}}, MODELS),
    ],
)
def test_a_changed_setting_makes_anew_what_depends_on_it_and_nothing_else(
    run, making, changes, anew
):
    study = tiny(run, **changes)
    for model in MODELS:
        study.model(CELL, model)
    assert sorted(making) == sorted(anew)


def test_another_number_of_threads_makes_other_models_since_sums_have_another_order(run):
    before = torch.get_num_threads()
    names = [tiny(run, threads=threads).fingerprint(CELL, "original") for threads in (1, 2)]
    torch.set_num_threads(before)
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("module", "anew"),
    [
        ("spotter_core.methods.neggrad", ["neggrad"]),
        ("spotter_core.losses", ["spotter"]),
        ("spotter_core.training", MODELS),
        ("spotter_core.plots.style", []),
    ],
)
def test_changed_code_makes_anew_what_depends_on_it_and_nothing_else(
    run, making, monkeypatch, module, anew
):
    from spotter_core import sources

    digest = sources.module_digest
    changed = lambda name: digest(name) + "!" * (name == module)  # noqa: E731
    monkeypatch.setattr(sources, "module_digest", changed)
    study = tiny(run)
    for model in MODELS:
        study.model(CELL, model)
    assert sorted(making) == sorted(anew)


@pytest.mark.parametrize("part", ["train", "test"])
def test_changed_data_make_everything_anew(run, making, monkeypatch, part):
    load = workshop.load_dataset

    def changed(*args, **kwargs):
        data = load(*args, **kwargs)
        samples = getattr(data, part)
        labels = samples.labels.roll(1)  # the same pictures, other names
        return replace(data, **{part: ImageSet(samples.images, labels)})

    monkeypatch.setattr(workshop, "load_dataset", changed)
    study = tiny(run)
    for model in MODELS:
        study.model(CELL, model)
    assert sorted(making) == sorted(MODELS)


CHANGED_MEASURING = {
    "label": "Other",
    "neighborhoods": {"PGD toward": NEAR, "uniform": {"kind": "uniform", "epsilon": 0.2}},
    "another headline": dict(reversed(TINY.neighborhoods.items())),
    "curves": ["PGD toward"],
    "epsilons": (0.05,),
    "shots": (1, 4),
    "alphas": (1.0,),
    "supports": 4,
    "attacks": [{"metric": "cosine"}],
    "ablation": {"lambda_2": [0.5]},
}


@pytest.mark.parametrize("name", CHANGED_MEASURING)
def test_a_changed_way_of_measuring_measures_anew(run, making, measuring, name):
    key = "neighborhoods" if name == "another headline" else name
    changes = {key: CHANGED_MEASURING[name]}
    for _ in range(2):
        tiny(run, **changes).measured(measurements.accuracies, CELL, MODELS)
    assert measuring == [str(CELL)]
    assert making == []


def test_other_models_or_a_changed_one_measure_anew(run, measuring):
    settings = TINY.methods | {"neggrad": {"epochs": 1, "batch_size": 64}}
    before = tiny(run).measured(measurements.accuracies, CELL, MODELS)
    fewer = tiny(run).measured(measurements.accuracies, CELL, MODELS[:2])
    assert {row.method for row in fewer} == set(MODELS[:2])
    after = tiny(run, methods=settings).measured(measurements.accuracies, CELL, MODELS)
    assert measuring == [str(CELL)] * 2
    kept = [row.settings for row in before if row.method != "neggrad"]
    assert [row.settings for row in after if row.method != "neggrad"] == kept
    assert before != after


# --- equal seeds, equal numbers -------------------------------------------------------------------


def test_another_order_gives_the_same_models_and_rows_byte_for_byte(finished, tmp_path):
    study = tiny(tmp_path)
    study.near(OTHER, "uniform", "forget/test")
    everything(study, (OTHER, CELL), MODELS[::-1], MEASURED[::-1])
    assert content(tmp_path, "rows") == content(finished, "rows")
    first = tiny(finished)
    assert all(same(first.model(c, m), study.model(c, m)) for c in (CELL, OTHER) for m in MODELS)


def test_the_global_generator_is_neither_asked_nor_changed(finished, tmp_path):
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    everything(tiny(tmp_path), cells=[CELL])
    assert torch.equal(torch.get_rng_state(), before)
    names = [f"rows/{function.__name__}/{CELL}.json" for function in MEASURED]
    made, expected = content(tmp_path, "rows"), content(finished, "rows")
    assert all(made[name] == expected[name] for name in names)


def test_another_seed_gives_other_numbers(finished, tmp_path):
    study, again, other = tiny(finished), tiny(tmp_path), Cell(CELL.forget, 1)
    assert not same(again.model(other, "original"), study.model(CELL, "original"))
    assert again.fingerprint(other, "neggrad") != study.fingerprint(CELL, "neggrad")


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_study import CELL, MEASURED, MODELS, OTHER, everything, tiny
everything(tiny(Path(sys.argv[2])), (OTHER, CELL), MODELS[::-1], MEASURED[::-1])
"""


@pytest.mark.slow
def test_two_processes_at_work_in_one_folder_give_the_same_rows_byte_for_byte(finished, tmp_path):
    here, run = Path(__file__).parent, tmp_path / "run"
    command = [sys.executable, "-c", WORKER, here, run]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as worker:
        while not run.exists() and worker.poll() is None:  # it is importing: that takes a while
            time.sleep(0.01)
        everything(tiny(run))
        errors = worker.communicate()[1]
    assert worker.returncode == 0, errors
    assert content(run, "rows") == content(finished, "rows")
    assert not list(run.rglob(".*"))  # no half-written file


# --- who is handed what ---------------------------------------------------------------------------


class WithoutRetain:
    """A split whose retained side may not even be asked for."""

    def __init__(self, split):
        self.forget, self.forget_classes = split.forget, split.forget_classes

    @property
    def retain(self):
        raise PermissionError("the retained side was asked for")


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if isinstance(m, ForgetOnlyMethod)])
def test_a_forget_only_method_is_handed_no_retained_sample(finished, name):
    study = tiny(finished)
    method = METHODS[name].with_settings(epochs=1, batch_size=64)
    for split in (
        WithoutRetain(study.split(CELL)),
        SimpleNamespace(
            forget=study.split(CELL).forget,
            retain=SimpleNamespace(train=ForbiddenSet()),
            forget_classes=CELL.forget,
        ),
    ):
        result = unlearn(method, study.model(CELL, "original"), split, seeded_generator(name))
        assert result.reads == {"forget": len(split.forget.train), "retain": 0}


@pytest.mark.parametrize("name", ["retrain", "finetune"])
def test_a_method_that_reads_retained_samples_is_caught_by_the_forbidden_set(finished, name):
    study = tiny(finished)
    split = SimpleNamespace(
        forget=study.split(CELL).forget,
        retain=SimpleNamespace(train=ForbiddenSet()),
        forget_classes=CELL.forget,
    )
    with pytest.raises(PermissionError, match="this method may not"):
        unlearn(METHODS[name], study.model(CELL, "original"), split, seeded_generator(name))


def test_records_and_rows_say_what_was_read(finished):
    study = tiny(finished)
    forget, retain = (len(study.part(CELL, f"{s}/train")) for s in ("forget", "retain"))
    assert study.made(CELL, "spotter").record["reads"] == {"forget": 2 * forget, "retain": 0}
    assert study.made(CELL, "retrain").record["reads"] == {"forget": 0, "retain": 6 * retain}


# --- near -----------------------------------------------------------------------------------------


def test_near_points_are_computed_once_and_are_the_same_in_every_study(finished, monkeypatch):
    study = tiny(finished)
    near = study.near(CELL, "PGD toward", "forget/test")
    again = tiny(finished).near(CELL, "PGD toward", "forget/test")
    for mine, theirs in ((near.images, again.images), (near.logits, again.logits)):
        assert torch.equal(mine, theirs)
    monkeypatch.setattr(workshop, "predict", None)  # would raise when called
    assert study.near(CELL, "PGD toward", "forget/test") is near
    assert study.near(CELL, study.neighborhood("PGD toward"), "forget/test") is near


def test_near_points_lie_around_their_part_with_the_originals_logits(finished):
    study = tiny(finished)
    for where in ("forget/test", "forget/train"):
        near, part = study.near(CELL, "PGD toward", where), study.part(CELL, where)
        assert torch.equal(near.labels, part.labels)
        moved = (near.images - part.pixels()).abs().max()
        assert 0 < moved <= 0.1 + 1e-6
        logits = predict(study.model(CELL, "original"), near.images).logits
        assert torch.equal(near.logits, logits)


def test_near_points_of_another_radius_part_or_cell_differ(finished):
    study = tiny(finished)
    near = study.near(CELL, "uniform", "forget/test").images
    wider = study.near(CELL, scaled(study.neighborhood("uniform"), 0.2), "forget/test").images
    assert not torch.equal(near, wider)
    assert len(study.near(CELL, "uniform", "forget/train").labels) != len(near)
    assert set(study.near(OTHER, "uniform", "forget/test").labels.tolist()) == set(OTHER.forget)


# --- nothing is lost ------------------------------------------------------------------------------


def raising(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


# Tests may run as root, whom no permission stops: the calls that would fail are made to fail.
@pytest.mark.parametrize(
    ("where", "call", "number"),
    [(Path, "write_bytes", errno.ENOSPC), (tempfile, "mkstemp", errno.EROFS)],
    ids=["full disk", "read-only folder"],
)
def test_what_is_there_stays_when_nothing_can_be_written(
    run, finished, making, monkeypatch, where, call, number
):
    lost = [tiny(run).path(CELL, "neggrad"), tiny(run).rows_path("accuracies", CELL)]
    lost[0].unlink()
    stale = tiny(run).path(OTHER, "neggrad")
    foreign_checkpoint(stale)
    before = {path: path.read_bytes() for path in run.rglob("*.*")}
    lost[1].unlink()
    del before[lost[1]]
    with monkeypatch.context() as patch:
        patch.setattr(where, call, raising(number))
        study = tiny(run)
        for cell in (CELL, OTHER):
            with pytest.raises(OSError, match=r"can't write .*neggrad\.safetensors: .* kept; make"):
                study.model(cell, "neggrad")
        with pytest.raises(OSError, match=r"can't write .*forget3-seed0\.json: .* kept; make"):
            study.measured(measurements.accuracies, CELL, ["original"])
        assert study.model(CELL, "spotter") is not None
    assert {path: path.read_bytes() for path in run.rglob("*.*")} == before
    making.clear()
    everything(tiny(run))
    assert making == ["neggrad"] * 2
    assert content(run, "rows") == content(finished, "rows")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process are of Unix")
def test_a_real_write_failure_of_the_system_is_the_same_clear_error(tmp_path):
    resource = pytest.importorskip("resource")
    model = build_model("mlp", num_classes=4, width=50, input_shape=(1, 8, 8))
    path = tmp_path / "model.safetensors"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match=r"can't write .*model\.safetensors: File too large"):
            save_weights(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


# --- variants, rows and names ---------------------------------------------------------------------


def test_a_variant_lies_beside_the_method_and_differs_from_it(run):
    study = tiny(run)
    assert study.path(CELL, "spotter", lambda_2=0.0) != study.path(CELL, "spotter", lambda_2=0.5)
    variant = study.model(CELL, "spotter", lambda_2=0.0)
    assert not same(variant, study.model(CELL, "spotter"))
    assert study.path(CELL, "spotter", lambda_2=0.0).is_file()
    assert same(tiny(run).model(CELL, "spotter", lambda_2=0.0), variant)


def test_a_fingerprint_is_of_the_method_and_the_forget_classes_unlike_the_originals(finished):
    study = tiny(finished)
    assert study.fingerprint(CELL, "original") == study.fingerprint(OTHER, "original")
    names = [(cell, model) for cell in (CELL, OTHER) for model in MODELS[1:]]
    prints = {study.fingerprint(cell, model) for cell, model in names}
    prints |= {study.fingerprint(CELL, "spotter", lambda_2=0.0)}
    assert len(prints) == len(names) + 1


def test_a_row_names_the_study_and_the_model(finished):
    study = tiny(finished)
    row = study.row(OTHER, "neggrad", "forget/test", "accuracy", 0.5, "fraction", shots=1)
    assert (row.dataset, row.arch, row.forget, row.seed) == ("Tiny digits", "small_cnn-4", "0+7", 0)
    assert (row.method, row.split, row.measure) == ("neggrad", "forget/test", "accuracy")
    assert (row.value, row.unit, row.at) == (0.5, "fraction", {"shots": 1})
    assert row.settings == study.fingerprint(OTHER, "neggrad")


def test_a_file_of_rows_says_where_its_numbers_are_from(finished):
    about = json.loads(tiny(finished).rows_path("accuracies", CELL).read_text())["about"]
    assert about["profile"] == "tiny"
    assert about["torch"] == torch.__version__
    assert len(about["fingerprint"]) == 12


@pytest.mark.parametrize("where", ["forget/test", "retain/validation", "forget/train"])
def test_a_part_is_named_by_side_and_name(finished, where):
    study = tiny(finished)
    side, name = where.split("/")
    labels = study.part(OTHER, where).labels
    assert torch.equal(labels, getattr(getattr(study.split(OTHER), side), name).labels)
    assert (set(labels.tolist()) <= set(OTHER.forget)) == (side == "forget")


def test_forget_classes_that_the_data_lack_are_refused(finished):
    with pytest.raises(ValueError, match="12"):
        tiny(finished).split(Cell((12,), 0))


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_method_that_diverges_has_a_row_of_its_own_and_stops_no_other(tmp_path, making, caplog):
    wild = {"epochs": 3, "batch_size": 64, "learning_rate": 1e30}
    methods = {**TINY.methods, "random_label": wild}
    study, names = tiny(tmp_path, methods=methods), [*MODELS, "random_label"]
    rows = study.measured(measurements.accuracies, CELL, names)
    lost = [row for row in rows if row.method == "random_label"]
    assert [(row.measure, row.value) for row in lost] == [("diverged", 1.0)]
    assert {row.method for row in rows} == set(names)
    assert "random_label is left out" in caplog.text
    assert "learning_rate" in caplog.text

    making.clear()  # another process hears of it without trying again
    again = tiny(tmp_path, methods=methods)
    assert again.surviving(CELL, names) == MODELS
    with pytest.raises(Diverged, match=r"learning_rate.*1e\+30"):
        again.model(CELL, "random_label")
    assert making == []
    tamed = {**TINY.methods, "random_label": wild | {"learning_rate": 0.001}}
    assert tiny(tmp_path, methods=tamed).surviving(CELL, names) == names


def test_a_yardstick_that_diverges_is_an_error(tmp_path):
    study = tiny(tmp_path, recipe={"epochs": 3, "batch_size": 64, "learning_rate": 1e30})
    with pytest.raises(Diverged, match="learning_rate"):
        study.measured(measurements.accuracies, CELL, MODELS)


def test_a_study_keeps_no_more_in_memory_than_it_may(run, finished, monkeypatch):
    expected = tiny(run).predictions(CELL, "original", "retain/train").logits
    size = workshop.size_of(tiny(run).predictions(CELL, "original", "retain/train"))
    assert size == sum(t.nbytes for t in tiny(run).predictions(CELL, "original", "retain/train"))
    monkeypatch.setattr(workshop, "KEPT_BYTES", size + 1)
    study = tiny(run)
    for cell in (CELL, OTHER, CELL):
        for model in MODELS:
            found = study.predictions(cell, model, "retain/train").logits
            if (cell, model) == (CELL, "original"):
                assert torch.equal(found, expected)
    assert study._kept.currsize <= size + 1


def test_retained_training_images_are_measured_on_a_fixed_sample(tmp_path):
    study, all_of_it = tiny(tmp_path, evaluated=50), tiny(tmp_path)
    part = study.part(CELL, "retain/train")
    assert len(part) == 50
    assert torch.equal(part.images, tiny(tmp_path, evaluated=50).part(CELL, "retain/train").images)
    whole = all_of_it.part(CELL, "retain/train")
    assert len(whole) == len(study.split(CELL).retain.train) > 50  # training sees all of them
    assert set(part.labels.tolist()) == set(whole.labels.tolist())
    for where in ("forget/train", "retain/test"):
        assert len(study.part(CELL, where)) == len(all_of_it.part(CELL, where))


@pytest.mark.parametrize("model", ["original", "retrain"])
def test_a_killed_training_goes_on_at_its_last_epoch(tmp_path, monkeypatch, model):
    monkeypatch.setattr(progress, "SAVE_EVERY", 0.0)
    whole = tiny(tmp_path / "whole").model(CELL, model)
    seen = []

    class Killed(Exception):
        pass

    class Bar(contextlib.nullcontext):
        def __init__(self, *args, **kwargs):
            super().__init__(self)

        def update(self):
            seen.append(1)
            if len(seen) == kill_at:
                raise Killed

    if model == "retrain":
        tiny(tmp_path / "broken").model(CELL, "original")
    monkeypatch.setattr(workshop, "tqdm", Bar)
    kill_at = 4
    with pytest.raises(Killed):
        tiny(tmp_path / "broken").model(CELL, model)
    seen.clear()
    kill_at = -1
    assert same(tiny(tmp_path / "broken").model(CELL, model), whole)
    assert len(seen) == 2  # of six epochs
    assert not list((tmp_path / "broken").rglob("*.partial.safetensors"))


def test_a_base_method_under_spotter_has_the_settings_that_it_has_alone():
    profile = replace(
        TINY,
        methods={
            **TINY.methods,
            "boundary_shrink": {"bound": 0.3, "learning_rate": 0.5},
            "spotter+boundary_shrink": {"epochs": 2},
        },
    )
    around = Study(profile, device="cpu").method("spotter+boundary_shrink")
    assert around.base.bound == 0.3
    assert around.epochs == 2
    assert around.learning_rate != 0.5


# --- what the battery attacks ---------------------------------------------------------------------


def test_the_battery_attacks_the_cells_of_the_profiles_classes_or_all(tmp_path):
    cells = [Cell((f,), seed) for f in (0, 1) for seed in (0, 1)]
    study = Study(replace(TINY, attacked=((1,),)), root=tmp_path, device="cpu")
    assert study.attacked_cells(cells) == cells[2:]
    assert study.attacked_cells(cells[:2]) == cells[:2]  # none of them is among the profile's
    assert Study(TINY, root=tmp_path, device="cpu").attacked_cells(cells) == cells


def test_what_takes_longest_is_measured_of_the_models_that_the_profile_names(tmp_path):
    study = Study(TINY, root=tmp_path, device="cpu")
    assert study.closely_attacked("by_training") == MODELS
    few = replace(TINY, by_stage=("retrain",), by_training=())
    study = Study(few, root=tmp_path, device="cpu")
    assert study.closely_attacked("by_stage") == ["original", "retrain"]
    assert study.closely_attacked("by_training") == []


@pytest.mark.parametrize("left", [b"", b'{"reason": "lo', b"[]", b"\xff\x00"])
def test_a_failure_that_can_not_be_read_is_tried_anew(tmp_path, making, caplog, left):
    wild = {"epochs": 3, "batch_size": 64, "learning_rate": 1e30}
    study = tiny(tmp_path, methods={**TINY.methods, "random_label": wild})
    assert study.surviving(CELL, ["random_label"]) == []
    told = study.path(CELL, "random_label").with_suffix(".diverged.json")
    whole = told.read_bytes()
    told.write_bytes(left)
    assert tiny(tmp_path, methods=study.profile.methods).surviving(CELL, ["random_label"]) == []
    assert told.name in caplog.text
    assert told.read_bytes() == whole
