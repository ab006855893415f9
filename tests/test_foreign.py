"""Weights and networks from elsewhere: read without running anything, refused in plain words."""

import re

import pytest
import torch
from audit_kit import Plain
from conftest import seeded
from safetensors.torch import save_file
from torch import nn

from spotter_core.foreign import build_foreign, call_factory, check_fits, read_state

RAN = []


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (RAN.append, ("boom",))


def same(state, network):
    own = network.state_dict()
    return list(state) == list(own) and all(torch.equal(state[n], own[n]) for n in own)


# --- weights ----------------------------------------------------------------------------------


def test_weights_are_read_from_every_form_that_programs_leave_them_in(tmp_path):
    network = Plain()
    state = network.state_dict()
    forms = {
        "bare.pt": state,
        "nested.pt": {"epoch": 3, "state_dict": state},
        "twice.pt": {"model": {"model_state_dict": state}},
        "parallel.pt": {f"module.{name}": value for name, value in state.items()},
        "compiled.pt": {f"_orig_mod.{name}": value for name, value in state.items()},
    }
    for name, content in forms.items():
        torch.save(content, tmp_path / name)
        assert same(read_state(tmp_path / name, "original"), network), name
    save_file(state, tmp_path / "safe.safetensors")
    found = read_state(tmp_path / "safe.safetensors", "original")
    assert set(found) == set(state)


@pytest.mark.parametrize("content", [Bomb(), {"state_dict": {}, "extra": Bomb()}, Plain()])
def test_code_in_a_checkpoint_is_never_run(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"unlearned: .*x\.pt holds more than weights.*state_dict"):
        read_state(tmp_path / "x.pt", "unlearned")
    assert RAN == []


def test_what_is_no_checkpoint_is_refused_by_argument_and_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"oracle 1: .*gone\.pt is not there"):
        read_state(tmp_path / "gone.pt", "oracle 1")
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_text("these are no weights")
        with pytest.raises(ValueError, match=rf"original: .*{re.escape(name)}"):
            read_state(tmp_path / name, "original")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(ValueError, match=r"original: .*holds a dict without weights"):
        read_state(tmp_path / "empty.pt", "original")


def test_weights_of_another_network_are_told_from_those_of_other_classes():
    network = Plain(4)
    check_fits(network.state_dict(), network, argument="original", of="it")
    with pytest.raises(ValueError, match=r"unlearned: out\.bias .*has 6 classes and not 4"):
        check_fits(Plain(6).state_dict(), network, argument="unlearned", of="the original")
    wide = "unlearned: the weights are of another architecture than the original: .* has shape"
    with pytest.raises(ValueError, match=wide):
        check_fits(Plain(4, 7).state_dict(), network, argument="unlearned", of="the original")
    other = "it lacks conv.weight, .* it has besides 0.weight"
    with pytest.raises(ValueError, match=other):
        check_fits(
            nn.Sequential(nn.Linear(2, 4)).state_dict(), network, argument="original", of="it"
        )


# --- networks ---------------------------------------------------------------------------------


def built(arch):
    return build_foreign(
        arch,
        num_classes=4,
        input_shape=(3, 8, 8),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        generator=seeded(),
    )


def test_architectures_are_built_by_name_and_equal_seeds_give_equal_weights():
    assert built("small_cnn").num_classes == 4
    one, two = built("torchvision:mobilenet_v3_small"), built("torchvision:mobilenet_v3_small")
    assert one.classifier[-1].out_features == 4
    assert same(one.state_dict(), two)


@pytest.mark.parametrize("arch", ["torchvision:resnet81", "resnet-18", "torchvision:", ""])
def test_an_unknown_architecture_is_refused_with_those_like_it(arch):
    with pytest.raises(ValueError, match=f"arch '{arch}' is unknown; .*did you mean"):
        built(arch)


def test_a_factory_makes_a_network_with_weights_of_the_generator():
    one = call_factory("audit_kit:make_plain", num_classes=5, generator=seeded(1))
    two = call_factory("audit_kit:make_plain", num_classes=5, generator=seeded(1))
    other = call_factory("audit_kit:Plain", num_classes=5, generator=seeded(2))
    assert one.out.out_features == 5
    assert same(one.state_dict(), two)
    assert not same(one.state_dict(), other)


def test_a_factory_that_fails_shows_its_own_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_one.py").write_text("import a_package_nobody_has\n")
    cases = {
        "broken_one:make": r"No module named 'a_package_nobody_has'",
        "audit_kit:make_failing": r"make_failing\n.*RuntimeError: no room for this network",
        "audit_kit:make_less": r"has no attribute 'make_less'",
        "audit_kit:make_nothing": r"returned str; expected a torch\.nn\.Module",
        "audit_kit.make_plain": r"must look like package\.module:function",
    }
    for named, message in cases.items():
        with pytest.raises(ValueError, match=rf"(?s)factory.*{message}"):
            call_factory(named, num_classes=4, generator=seeded())
