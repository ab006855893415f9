"""Shared by all tests: one thread, fixed examples for hypothesis, tiny networks and tiny data."""

import contextlib
import copy

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torch import Generator

from spotter_core.data import ForgetSplit, ImageSet, load_dataset
from spotter_core.models import build_model
from spotter_core.training import Recipe, fit

torch.set_num_threads(1)
# The same examples in every run: a test that fails once fails again. No deadline: CPUs are shared.
settings.register_profile("spotter", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("spotter")


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.fixture
def generator():
    return seeded()


@pytest.fixture(scope="session")
def samples():
    """48 colour images of 4×4 in four classes, each class brighter than the one before."""
    labels = torch.arange(48) % 4
    noise = torch.rand(48, 3, 4, 4, generator=seeded(1))
    return ImageSet(0.2 * labels[:, None, None, None] + 0.3 * noise, labels)


@pytest.fixture
def model():
    """An untrained network for ``samples``; a hidden width that differs from the class count."""
    return build_model("mlp", num_classes=4, width=7, input_shape=(3, 4, 4), generator=seeded(2))


@pytest.fixture(scope="session")
def known(samples):
    """The same network when it has learned ``samples``; for all tests, which must not change it."""
    blank = build_model("mlp", num_classes=4, width=7, input_shape=(3, 4, 4), generator=seeded(2))
    recipe = Recipe(epochs=30, batch_size=16, learning_rate=0.05)
    return fit(blank, samples, recipe=recipe, generator=seeded()).model


@pytest.fixture
def unchanged():
    """``with unchanged(model):`` fails if the block changes weights, modes, grads or global RNG."""

    @contextlib.contextmanager
    def watch(model):
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        rng = torch.get_rng_state()
        yield
        after = model.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert [module.training for module in model.modules()] == modes
        assert all(parameter.grad is None for parameter in model.parameters())
        assert torch.equal(torch.get_rng_state(), rng)

    return watch


@pytest.fixture(scope="session")
def digits():
    return load_dataset("digits")


@pytest.fixture(scope="session")
def digits_split(digits):
    return ForgetSplit(digits, [3])


@pytest.fixture(scope="session")
def digits_model(digits):
    """A small CNN that knows the digits; for all tests, none of which may change it."""
    mean, std = digits.channel_statistics()
    blank = build_model(
        "small_cnn",
        num_classes=10,
        width=8,
        input_shape=(1, 8, 8),
        mean=mean,
        std=std,
        generator=seeded(),
    )
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=0.1)
    return fit(blank, digits.train, recipe=recipe, generator=seeded()).model


@pytest.fixture
def image_folder(tmp_path):
    """``image_folder({"train/cat": [array, ...], ...})`` writes PNG files, returns the folder."""

    def write(content, root=tmp_path / "pictures", suffix=".png"):
        for folder, pictures in content.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(pictures):
                Image.fromarray(np.asarray(picture)).save(root / folder / f"{number:03}{suffix}")
        return root

    return write


@pytest.fixture
def hidden(known):
    """A network that knows class 1 and never says so: its row of the head is pushed down."""
    model = copy.deepcopy(known)
    with torch.no_grad():
        model.head.bias[1] -= 6.0
    model.zero_grad(set_to_none=True)
    return model
