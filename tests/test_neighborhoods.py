import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.models import build_model, wrap
from spotter_core.neighborhoods import (
    BoundaryNeighborhood,
    GaussianNeighborhood,
    UniformNeighborhood,
    across,
    assert_ball,
    image_gradient,
    runner_up,
)
from spotter_core.published import PublishedNeighborhood
from spotter_core.training import predict

FORGET = [1]
EVERY = [
    UniformNeighborhood(0.1),
    GaussianNeighborhood(0.02),
    BoundaryNeighborhood(0.1, 0.04, 3),
    BoundaryNeighborhood(0.1, 0.04, 3, direction="away"),
    PublishedNeighborhood(),
    PublishedNeighborhood(noise="gaussian"),
]
every = pytest.mark.parametrize("neighborhood", EVERY, ids=repr)


def seeded(seed=0):
    return Generator().manual_seed(seed)


def probability_of(model, images, classes):
    with torch.no_grad():
        return model(images).softmax(dim=1).gather(1, classes[:, None])[:, 0]


# --- ball and box ---------------------------------------------------------------------------------

pixels = st.sampled_from([0.0, 1.0, 0.5, 1e-8, 1.0 - 2**-24]) | st.floats(0.0, 1.0, width=32)
settings = st.tuples(
    st.lists(pixels, min_size=12, max_size=12), st.floats(1e-4, 2.0), st.integers(0, 99)
)
MLP = build_model("mlp", num_classes=3, width=4, input_shape=(3, 2, 1), generator=seeded())


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "toward", "away"])
@given(settings)
def test_every_point_lies_in_the_ball_and_in_the_box(kind, drawn):
    values, radius, seed = drawn
    images, labels = torch.tensor(values).view(2, 3, 2, 1), torch.tensor([1, 1])
    neighborhood = {
        "uniform": UniformNeighborhood(radius),
        "gaussian": GaussianNeighborhood(radius / 4.0),
        "toward": BoundaryNeighborhood(radius, radius / 3.0, 4),
        "away": BoundaryNeighborhood(radius, 3.0 * radius, 1, direction="away"),
    }[kind]
    near = neighborhood(MLP, images, labels, FORGET, generator=seeded(seed))
    assert near.shape == images.shape
    assert (near - images).abs().max() <= radius + 1e-6
    assert near.min() >= 0.0
    assert near.max() <= 1.0


@every
def test_black_and_white_images_stay_in_the_box(neighborhood, model):
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    near = neighborhood(model, images, torch.tensor([1, 1]), FORGET, generator=seeded())
    assert near.min() >= 0.0
    assert near.max() <= 1.0
    assert not torch.equal(near, images)


def test_a_point_outside_ball_or_box_is_an_error():
    images = torch.tensor([[0.5, 1.0]])
    assert_ball(images, torch.tensor([[0.6, 0.9]]), 0.1)
    for bad in ([0.61, 1.0], [0.5, 1.01], [0.5, math.nan]):
        with pytest.raises(AssertionError, match=r"left its ball: distance .* > radius 0\.1"):
            assert_ball(images, torch.tensor([bad]), 0.1)


def test_uniform_noise_fills_the_ball_evenly(model):
    images = torch.full((400, 3, 4, 4), 0.5)
    labels = torch.ones(400).long()
    near = UniformNeighborhood(0.2)(model, images, labels, FORGET, generator=seeded())
    counts = torch.histc(near, bins=10, min=0.3, max=0.7) / near.numel()
    assert (counts - 0.1).abs().max() < 0.01


def test_gaussian_noise_has_its_sigma_and_is_cut_at_four(model):
    images = torch.full((400, 3, 4, 4), 0.5)
    labels = torch.ones(400).long()
    near = GaussianNeighborhood(0.02)(model, images, labels, FORGET, generator=seeded())
    assert (near - images).std().item() == pytest.approx(0.02, rel=0.03)
    assert (near - images).abs().max() <= 0.08 + 1e-6


# --- what is promised of all of them --------------------------------------------------------------


@every
def test_nothing_passed_in_is_changed(neighborhood, model, samples, unchanged):
    model.train()
    model.backbone.body[0].eval()  # mixed modes must come back
    before = samples.images.clone(), samples.labels.clone()
    with unchanged(model):
        neighborhood(model, samples.images, samples.labels, FORGET, generator=seeded())
    assert torch.equal(samples.images, before[0])
    assert torch.equal(samples.labels, before[1])
    assert not samples.images.requires_grad


@every
def test_equal_generators_give_equal_points(neighborhood, model, samples):
    def near(seed):
        generator = seeded(seed)
        return neighborhood(model, samples.images, samples.labels, FORGET, generator=generator)

    assert torch.equal(near(1), near(1))
    assert not torch.equal(near(1), near(2))
    assert not near(1).requires_grad


@every
def test_raw_bytes_and_normalised_images_are_refused(neighborhood, model, samples):
    for images in ((samples.images * 255).byte(), samples.images * 4.0 - 2.0):
        with pytest.raises(ValueError, match=r"images must"):
            neighborhood(model, images, samples.labels, FORGET, generator=seeded())


def test_only_the_gradient_of_the_images_is_computed(model, samples):
    asked = []

    class Probe(torch.autograd.Function):
        @staticmethod
        def forward(ctx, weight):
            return weight.clone()

        @staticmethod
        def backward(ctx, grad):
            asked.append(grad)
            return grad

    weight = torch.zeros(4, requires_grad=True)
    model.head.register_forward_hook(lambda module, args, out: out + Probe.apply(weight))
    targets = torch.zeros(48).long()
    found = image_gradient(model, samples.images, targets)
    assert asked == []
    leaf = samples.images.clone().requires_grad_()
    F.cross_entropy(model(leaf), targets, reduction="sum").backward()
    assert len(asked) == 1  # the probe does see a gradient that is asked for
    torch.testing.assert_close(found, leaf.grad)


def test_gradients_are_found_inside_no_grad_and_in_many_batches(model, samples, monkeypatch):
    targets = samples.labels
    whole = image_gradient(model, samples.images, targets)
    monkeypatch.setattr("spotter_core.neighborhoods.BATCH", 5)
    with torch.no_grad():
        parts = image_gradient(model, samples.images, targets)
    torch.testing.assert_close(parts, whole)


# --- the runner-up --------------------------------------------------------------------------------


@pytest.mark.parametrize("label", range(4))
def test_runner_up_is_the_top_1_that_is_not_the_label_else_the_top_2(model, samples, label):
    found = runner_up(model, samples.images, [label]).tolist()
    for logits, target in zip(model(samples.images).tolist(), found, strict=True):
        first, second = sorted(range(4), key=lambda c: -logits[c])[:2]
        assert target == (first if first != label else second)


def test_runner_up_is_never_a_forget_class(model, samples):
    found = runner_up(model, samples.images, [0, 2])
    assert set(found.tolist()) <= {1, 3}
    logits = model(samples.images)
    assert torch.equal(found == 3, logits[:, 3] > logits[:, 1])
    with pytest.raises(ValueError, match="all 4 classes"):
        runner_up(model, samples.images, range(4))


def test_across_the_boundary_lies_the_likeliest_class_of_the_other_side(model, samples):
    found = across(model, samples.images, samples.labels, [0, 2]).tolist()
    logits = predict(model, samples.images).logits.tolist()
    for target, label, row in zip(found, samples.labels.tolist(), logits, strict=True):
        other_side = (1, 3) if label in (0, 2) else (0, 2)
        assert target == max(other_side, key=lambda c: row[c])


# --- PGD ------------------------------------------------------------------------------------------


def test_a_retained_sample_is_pushed_towards_the_forget_class(digits_model, digits_split):
    images, labels = digits_split.retain.test.pixels(), digits_split.retain.test.labels
    classes = digits_split.forget_classes
    push = BoundaryNeighborhood(epsilon=0.1, step=0.03, steps=3)
    near = push(digits_model, images, labels, classes, generator=seeded())
    before, after = (digits_model(x).softmax(dim=1)[:, 3].detach() for x in (images, near))
    assert (after > before).double().mean() > 0.95
    assert (digits_model(near).argmax(dim=1) == 3).sum() > (
        digits_model(images).argmax(1) == 3
    ).sum()


def test_toward_raises_the_runner_up_and_away_lowers_it(digits_model, digits_split):
    forget = digits_split.forget.test
    images, classes = forget.pixels(), digits_split.forget_classes
    target = runner_up(digits_model, images, classes)
    clean = probability_of(digits_model, images, target).log()
    moved = {}
    for direction in ("toward", "away"):
        neighborhood = BoundaryNeighborhood(0.1, 0.04, 3, direction=direction)
        near = neighborhood(digits_model, images, forget.labels, classes, generator=seeded())
        moved[direction] = probability_of(digits_model, near, target).log() - clean
    assert (moved["toward"] > 0).double().mean() > 0.95
    assert moved["toward"].mean() > 0.5
    assert (moved["away"] < 0).double().mean() > 0.95
    assert moved["away"].mean() < -0.5


@pytest.mark.parametrize(("direction", "sign"), [("toward", -1.0), ("away", 1.0)])
def test_one_step_on_a_linear_model_is_the_closed_form(direction, sign):
    head = nn.Linear(12, 4)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    model = wrap(head, mean=mean.tolist(), std=std.tolist())
    images = torch.rand(20, 3, 2, 2, generator=seeded(1))
    neighborhood = BoundaryNeighborhood(0.1, 0.03, 1, direction=direction)
    found = neighborhood(model, images, torch.ones(20).long(), FORGET, generator=seeded(7))

    start = images + 0.1 * (2.0 * torch.rand(images.shape, generator=seeded(7)) - 1.0)
    start = start.clamp(0.0, 1.0)
    weight, bias = head.weight.detach(), head.bias.detach()

    def logits(x):
        return ((x - mean.view(3, 1, 1)) / std.view(3, 1, 1)).flatten(1) @ weight.T + bias

    target = logits(images).index_fill(1, torch.tensor(FORGET), -torch.inf).argmax(dim=1)
    slope = logits(start).softmax(dim=1) - F.one_hot(target, 4)
    gradient = (slope @ weight).view_as(images) / std.view(3, 1, 1)
    expected = start + sign * 0.03 * gradient.sign()
    expected = torch.minimum(torch.maximum(expected, images - 0.1), images + 0.1).clamp(0.0, 1.0)
    torch.testing.assert_close(found, expected)


def test_more_steps_go_further_until_the_ball_ends(digits_model, digits_split):
    forget = digits_split.forget.test
    images, classes = forget.pixels(), digits_split.forget_classes
    target = runner_up(digits_model, images, classes)
    reached = []
    for steps in (1, 3, 9):
        neighborhood = BoundaryNeighborhood(0.1, 0.02, steps)
        near = neighborhood(digits_model, images, forget.labels, classes, generator=seeded())
        reached.append(probability_of(digits_model, near, target).log().mean().item())
    assert reached == sorted(reached)


def test_labels_must_fit_the_images(model, samples):
    for neighborhood in (BoundaryNeighborhood(), PublishedNeighborhood()):
        with pytest.raises(ValueError, match=r"labels must be integers of shape \(48,\)"):
            neighborhood(model, samples.images, samples.labels[:3], FORGET, generator=seeded())
