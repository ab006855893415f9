import errno
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from torch import Generator, nn

from spotter_core import progress
from spotter_core.data import ImageSet
from spotter_core.methods.retrain import Retrain
from spotter_core.models import build_model, wrap
from spotter_core.progress import start_digest
from spotter_core.training import Diverged, Recipe, fit

RECIPE = Recipe(epochs=5, batch_size=10, learning_rate=0.05, augment=True, label_smoothing=0.1)


class Killed(Exception):
    """Stands for whatever ends a run in the middle."""


def seeded(seed=0):
    return Generator().manual_seed(seed)


def network():
    """All that a state can consist of: buffers, dropout, parameters with momentum."""
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()]
    body = nn.Sequential(*layers, nn.Dropout(0.3), nn.Linear(256, 4))
    return wrap(body, mean=[0.5] * 3, std=[0.25] * 3)


def pictures():
    labels = torch.arange(48) % 4
    noise = torch.rand(48, 3, 8, 8, generator=seeded(1))
    return ImageSet(((0.2 * labels[:, None, None, None] + 0.3 * noise) * 255).byte(), labels)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "deep" / "progress.safetensors"


@pytest.fixture(autouse=True)
def saved_every_epoch(monkeypatch):
    monkeypatch.setattr(progress, "SAVE_EVERY", 0.0)


def killed_after(epoch):
    def watch(done, model, means):
        if done == epoch:
            raise Killed

    return watch


def run(file=None, *, watch=None, recipe=RECIPE, settings="", seed=7, start=None, train=None):
    """(fitted, state of the caller's generator afterwards)."""
    generator = seeded(seed)
    fitted = fit(
        start or network(),
        train or pictures(),
        recipe=recipe,
        generator=generator,
        watch=watch,
        resume=file,
        settings=settings,
    )
    return fitted, generator.get_state()


def break_off(file, epoch=2, **options):
    with pytest.raises(Killed):
        run(file, watch=killed_after(epoch), **options)


def assert_same(first, second):
    (a, generator_a), (b, generator_b) = first, second
    assert a.losses == b.losses
    assert a.accuracies == b.accuracies
    weights = a.model.state_dict(), b.model.state_dict()
    assert list(weights[0]) == list(weights[1])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert torch.equal(generator_a, generator_b)


# --- killed and resumed ---------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("epoch", [1, 2, 4, 5])
def test_a_run_killed_after_any_epoch_ends_with_the_bits_of_an_unbroken_one(file, epoch, momentum):
    recipe = Recipe(**{**RECIPE.__dict__, "momentum": momentum})
    unbroken = run(recipe=recipe)
    break_off(file, epoch, recipe=recipe)
    assert os.listdir(file.parent) == [file.name]
    seen = []
    torch.manual_seed(torch.seed())  # whatever the global generator holds in the new process
    resumed = run(file, watch=lambda done, *_: seen.append(done), recipe=recipe)
    assert seen == list(range(epoch + 1, 6))
    assert_same(resumed, unbroken)
    assert os.listdir(file.parent) == []


def test_a_run_may_be_killed_again_and_again(file):
    for epoch in (1, 3, 4):
        break_off(file, epoch)
    assert_same(run(file), run())


def test_saving_changes_nothing_and_leaves_nothing(file):
    assert_same(run(file), run())
    assert not file.exists()


def test_the_global_generator_is_left_as_it_was(file):
    break_off(file)
    before = torch.get_rng_state()
    run(file, start=network_without_seeding(before))
    assert torch.equal(torch.get_rng_state(), before)


def network_without_seeding(state):
    start = network()
    torch.set_rng_state(state)
    return start


CHILD = """
import sys
sys.path[:0] = [{tests!r}]
import torch
torch.set_num_threads(1)
from test_progress import progress, run
from pathlib import Path
progress.SAVE_EVERY = 0.0
def watch(done, *_):
    if done == 3:
        print("three", flush=True)
        while True:  # killed from outside, without a chance to tidy up
            pass
run(Path({file!r}), watch=watch)
"""


@pytest.mark.slow
def test_a_process_that_was_killed_is_resumed_by_another(file):
    code = CHILD.format(tests=str(Path(__file__).parent), file=str(file))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"three\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    seen = []
    resumed = run(file, watch=lambda done, *_: seen.append(done))
    assert seen == [4, 5]
    assert_same(resumed, run())


def test_retrain_is_resumed_too(file, model, samples):
    def retrain(**options):
        return Retrain(recipe=Recipe(epochs=3, batch_size=8))(
            model,
            samples.subset(samples.labels == 0),
            retain=samples.subset(samples.labels > 0),
            generator=seeded(5),
            **options,
        )

    unbroken = retrain()
    with pytest.raises(Killed):
        retrain(resume=file, settings="abc", watch=killed_after(2))
    assert file.exists()
    resumed = retrain(resume=file, settings="abc")
    assert resumed.history == unbroken.history
    assert resumed.reads == unbroken.reads
    weights = unbroken.model.state_dict()
    assert all(torch.equal(v, weights[name]) for name, v in resumed.model.state_dict().items())


# --- files that are not taken ---------------------------------------------------------------------


def assert_starts_anew(file, caplog, reason, **options):
    seen = []
    caplog.clear()
    resumed = run(file, watch=lambda done, *_: seen.append(done), **options)
    assert seen == [1, 2, 3, 4, 5]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert reason in caplog.text
    assert "training starts anew" in caplog.text
    assert_same(resumed, run(**options))
    assert not file.exists()


@pytest.mark.parametrize("kept", [0, 5, 500, -1])
def test_a_file_cut_short_is_left_out_with_a_warning(file, caplog, kept):
    break_off(file)
    file.write_bytes(file.read_bytes()[:kept])
    assert_starts_anew(file, caplog, "can't be read")


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 1.0])
def test_a_file_with_a_flipped_bit_is_left_out_with_a_warning(file, caplog, share):
    break_off(file)
    data = bytearray(file.read_bytes())
    data[int(share * len(data)) - 1] ^= 4
    file.write_bytes(data)
    assert_starts_anew(file, caplog, "does not match its digest")


def test_a_foreign_file_is_left_out_with_a_warning(file, caplog):
    file.parent.mkdir()
    progress.save_tensors({"x": torch.zeros(3)}, file)
    assert_starts_anew(file, caplog, "was made with settings ''")


def test_a_file_without_all_tensors_is_left_out_with_a_warning(file, caplog):
    break_off(file)
    tensors, record = progress.load_tensors(file)
    with safe_open(file, framework="pt") as opened:
        settings = opened.metadata()["settings"]
    del tensors["model.head.bias"]
    progress.save_tensors(tensors, file, settings=settings, record=record)
    assert_starts_anew(file, caplog, "lacks a fitting model.head.bias")


@pytest.mark.parametrize(
    "other",
    [
        {"settings": "other"},
        {"seed": 8},
        {"recipe": Recipe(**{**RECIPE.__dict__, "learning_rate": 0.06})},
        {"start": build_model("mlp", num_classes=4, width=3, input_shape=(3, 8, 8))},
        {"train": pictures().subset(torch.arange(47))},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_runs_file_is_left_out_with_a_warning(file, caplog, other):
    break_off(file)
    assert_starts_anew(file, caplog, "was made with settings", **other)


def test_a_start_is_told_by_values_shapes_types_and_words():
    x = torch.arange(4.0)
    starts = [
        ([x], "a"),
        ([x + 1], "a"),
        ([x.view(2, 2)], "a"),
        ([x.int()], "a"),
        ([x], "b"),
        ([x],),
    ]
    digests = [start_digest(tensors, *words) for tensors, *words in starts]
    assert len(set(digests)) == len(digests)
    assert start_digest([x.clone()], "a") == digests[0]


# --- when it is written, and what it holds --------------------------------------------------------


def test_a_short_training_writes_nothing(file, monkeypatch):
    monkeypatch.setattr(progress, "SAVE_EVERY", 1000.0)
    break_off(file)
    assert not file.exists()


def test_savings_keep_their_distance(file, monkeypatch):
    monkeypatch.setattr(progress, "SAVE_EVERY", 10.0)
    clock = iter([0.0, 4.0, 12.0, 12.0, 16.0, 21.0, 25.0, 25.0])  # read again after each writing
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    written = []
    save = progress.save_tensors

    def counted(tensors, path, *, settings, record):
        written.append(len(json.loads(record)["history"]))
        save(tensors, path, settings=settings, record=record)

    monkeypatch.setattr(progress, "save_tensors", counted)
    run(file)
    assert written == [2, 5]


def test_the_file_holds_tensors_and_text_and_names_its_settings(file):
    break_off(file, settings="abc")
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata()["settings"].startswith("abc ")
        names = set(opened.keys())
    assert {"generator", "random.cpu", "model.head.weight", "optimizer.0.momentum_buffer"} <= names


def test_a_full_disk_is_a_warning_and_training_goes_on(file, monkeypatch, caplog):
    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert_same(run(file), run())
    assert "No space left" in caplog.text


def test_a_training_that_diverged_leaves_no_file(file):
    recipe = Recipe(epochs=50, batch_size=48, learning_rate=1e25)
    seen = []
    with pytest.raises(Diverged):
        run(file, recipe=recipe, watch=lambda *_: seen.append(file.exists()))
    assert seen
    assert all(seen)
    assert not file.exists()
