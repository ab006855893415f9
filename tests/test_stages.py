"""Stages: names, pooled outputs against a walk by hand, nothing left behind."""

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.models import build_model, wrap
from spotter_core.stages import find_stages, stage_features
from spotter_core.training import predict


def seeded(seed=0):
    return Generator().manual_seed(seed)


def pictures(count=5, size=8):
    return torch.rand(count, 3, size, size, generator=seeded())


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("mlp", 6, ["body.1", "body.3"]),
        ("small_cnn", 2, ["body.0", "body.3", "body.7"]),
        ("resnet18", 2, ["stem", *(f"blocks.{i}" for i in range(8))]),
        ("vit", 8, ["patches", *(f"blocks.layers.{i}" for i in range(6)), "blocks.norm"]),
    ],
)
def test_the_stages_of_every_architecture(name, width, expected):
    model = build_model(name, num_classes=4, width=width, input_shape=(3, 8, 8))
    assert list(find_stages(model)) == expected
    found = stage_features(model, pictures())
    assert list(found) == expected
    assert all(values.shape[0] == 5 and values.ndim == 2 for values in found.values())


def test_outputs_are_those_of_a_walk_by_hand(unchanged):
    model = build_model("resnet18", num_classes=4, width=2, input_shape=(3, 8, 8)).eval()
    images = pictures()
    with unchanged(model):
        found = stage_features(model, images)
    x = model.backbone.stem((images - model.mean.view(-1, 1, 1)) / model.std.view(-1, 1, 1))
    torch.testing.assert_close(found["stem"], x.detach().mean(dim=(2, 3)))
    x = F.relu(x)
    for i, block in enumerate(model.backbone.blocks):
        x = block(x)
        torch.testing.assert_close(found[f"blocks.{i}"], x.detach().mean(dim=(2, 3)))
    torch.testing.assert_close(found["blocks.7"], predict(model, images).features)
    assert not any(module._forward_hooks for module in model.modules())


def test_batches_change_nothing_but_rounding(monkeypatch):
    model = build_model("small_cnn", num_classes=4, width=2, input_shape=(3, 8, 8))
    whole = stage_features(model, pictures())
    monkeypatch.setattr("spotter_core.stages.BATCH", 2)
    for name, values in stage_features(model, pictures()).items():
        torch.testing.assert_close(values, whole[name])


class Odd(nn.Module):
    """Calls one layer twice, and has one that returns a pair."""

    def __init__(self):
        super().__init__()
        self.twice = nn.Linear(12, 12)
        self.pair = nn.GRU(12, 12, batch_first=True)

    def forward(self, x):
        x = self.twice(self.twice(x.flatten(1)))
        return self.pair(x[:, None])[0][:, 0]


def test_a_stage_called_twice_counts_once_and_one_that_returns_no_tensor_is_left_out():
    network = nn.Sequential(Odd(), nn.Linear(12, 3))
    model = wrap(network, mean=[0.5] * 3, std=[0.25] * 3)
    images = pictures(size=2)
    found = stage_features(model, images)
    assert len(found) == 1
    (values,) = found.values()
    body = next(m for m in model.modules() if isinstance(m, Odd))
    x = ((images - 0.5) / 0.25).flatten(1)
    torch.testing.assert_close(values, body.twice(body.twice(x)).detach())


def test_a_step_that_had_to_be_divided_is_said(monkeypatch):
    model = build_model("mlp", num_classes=4, width=6, input_shape=(3, 8, 8))
    divided = lambda m, x, batch_size: [predict(m, part) for part in x.split(3)]  # noqa: E731
    monkeypatch.setattr("spotter_core.stages.predict", divided)
    with pytest.raises(RuntimeError, match=r"stage body.1 saw 2 of 5 images"):
        stage_features(model, pictures())
