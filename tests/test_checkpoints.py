import errno
import math
import os
import pickle
from pathlib import Path

import pytest
import torch
from damage import damages
from safetensors.torch import load_file, save_file
from torch import Generator, nn

from spotter_core.checkpoints import (
    kept_settings,
    load_tensors,
    load_weights,
    save_tensors,
    save_weights,
)
from spotter_core.models import ARCHITECTURES, build_model, wrap

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def seeded(seed=0):
    return Generator().manual_seed(seed)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "model.safetensors"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_come_back_as_they_were_with_their_record(name, path, unchanged):
    settings = {"num_classes": 3, "width": 4, "input_shape": (3, 8, 8)}
    model = build_model(name, **settings, generator=seeded(1))
    model(torch.rand(4, 3, 8, 8)).sum()  # moves the running statistics of batch norm
    other = build_model(name, **settings, generator=seeded(2))
    with unchanged(model), unchanged(other):
        save_weights(model, path, settings="abc", record='{"ε": 1}')
        loaded, record = load_weights(other, path, settings="abc")
    assert record == '{"ε": 1}'
    assert same_weights(loaded, model)
    assert not same_weights(other, model)
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_weights_of_a_wrapped_network_come_back(path):
    networks = (nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False)) for _ in range(2))
    model, other = (wrap(network, mean=MEAN, std=STD) for network in networks)
    save_weights(model, path)
    loaded, record = load_weights(other, path)
    assert same_weights(loaded, model)
    assert record == ""


def small(width=4, num_classes=3):
    return build_model("mlp", num_classes=num_classes, width=width, input_shape=(3, 2, 2))


def test_a_file_with_any_byte_changed_or_cut_off_is_refused(path):
    save_weights(small(width=2), path, settings="abc", record='{"ε": "digest"}')
    whole = path.read_bytes()
    for data in damages(whole):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"checkpoint .*model\.safetensors .*: delete it"):
            load_tensors(path)
    path.write_bytes(whole)
    assert load_tensors(path)[1] == '{"ε": "digest"}'


def test_a_changed_weight_is_refused_although_the_file_can_be_read(path):
    model = small()
    save_weights(model, path)
    data, weight = path.read_bytes(), model.head.weight.detach().numpy().tobytes()
    place = data.index(weight)
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert not torch.equal(load_file(path)["head.weight"], model.head.weight)
    with pytest.raises(ValueError, match=r"model\.safetensors does not match its digest.*: delete"):
        load_weights(small(), path)


def test_a_file_without_a_digest_is_refused(path):
    path.parent.mkdir()
    save_file(small().state_dict(), path, metadata={"settings": "abc", "record": ""})
    with pytest.raises(ValueError, match=r"does not match its digest, .* from before there"):
        load_weights(small(), path, settings="abc")


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_file_cut_short_is_an_error_that_says_what_to_do(path, kept):
    save_weights(small(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors can't be read .*: delete it"):
        load_weights(small(), path)


def test_a_pickle_is_refused_and_never_run(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="can't be read"):
        load_weights(small(), path)
    torch.save(small().state_dict(), path)
    with pytest.raises(ValueError, match="can't be read"):
        load_weights(small(), path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("other", [small(width=5), small(num_classes=4)])
def test_weights_of_another_architecture_are_refused(path, other, unchanged):
    save_weights(small(), path)
    with unchanged(other), pytest.raises(ValueError, match="belongs to another architecture"):
        load_weights(other, path)


def test_weights_made_with_other_settings_are_refused(path):
    save_weights(small(), path, settings="abc")
    with pytest.raises(ValueError, match="made with settings 'abc', expected 'abd': delete it"):
        load_weights(small(), path, settings="abd")
    load_weights(small(), path)  # who does not ask is not refused


def test_a_foreign_file_with_the_right_names_has_no_settings(path):
    path.parent.mkdir()
    save_file(small().state_dict(), path)
    with pytest.raises(ValueError, match="made with settings None, expected 'abc'"):
        load_weights(small(), path, settings="abc")


def test_a_file_that_is_not_there_is_an_error_with_its_name(path):
    with pytest.raises(ValueError, match=r"model\.safetensors can't be read"):
        load_weights(small(), path)


def test_a_failed_save_leaves_the_old_weights(path):
    model, broken = small(), small()
    save_weights(model, path, settings="abc")
    broken.head.twin = broken.head.weight  # shares its memory, which safetensors refuses
    with pytest.raises(RuntimeError, match="share memory"):
        save_weights(broken, path, settings="abc")
    assert same_weights(load_weights(small(), path, settings="abc")[0], model)
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_a_full_disk_is_a_clear_error_and_leaves_the_old_weights(path, monkeypatch):
    model = small()
    save_weights(model, path)

    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"can't write .*model\.safetensors: No space left"):
            save_weights(small(), path)
    assert same_weights(load_weights(small(), path)[0], model)
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_weights_that_are_not_finite_survive_so_that_a_diverged_run_can_be_looked_at(path):
    model = small()
    model.head.bias.data[0] = math.nan
    save_weights(model, path)
    assert load_weights(small(), path)[0].head.bias[0].isnan()


def test_tensors_of_any_kind_come_back_with_their_record(path):
    tensors = {
        "state": torch.get_rng_state(),
        "image": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "count": torch.tensor(3),
    }
    save_tensors(tensors, path, settings="abc", record="ε")
    loaded, record = load_tensors(path, settings="abc")
    assert record == "ε"
    assert sorted(loaded) == sorted(tensors)
    for name, value in tensors.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value)
    with pytest.raises(ValueError, match="made with settings 'abc', expected 'abd': delete it"):
        load_tensors(path, settings="abd")


def test_what_made_a_file_is_told_without_reading_it_all(path):
    assert kept_settings(path) is None
    save_weights(small(), path, settings="abc")
    assert kept_settings(path) == "abc"
    path.write_bytes(path.read_bytes()[:-1])
    assert kept_settings(path) is None
    save_file(small().state_dict(), path)
    assert kept_settings(path) is None
