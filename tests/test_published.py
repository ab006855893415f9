import pytest
import torch
from torch import Generator
from torch.nn import functional as F

from spotter_core.published import PublishedNeighborhood

FORGET = [1]


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("noise", ["pgd", "gaussian"])
def test_the_published_variant_leaves_every_ball(digits_model, digits_split, noise):
    forget = digits_split.forget.test
    images = forget.pixels()
    neighborhood = PublishedNeighborhood(noise=noise)
    near = neighborhood(
        digits_model, images, forget.labels, digits_split.forget_classes, generator=seeded()
    )
    distance = ((near - images) / digits_model.std.view(1, 1, 1)).abs().flatten(1).amax(dim=1)
    assert (distance > 10 * 0.03).all()  # in its own, normalised unit


def published_slowly(network, normalised, labels, generator, *, epsilon=0.03, step=0.01, steps=3):
    """The published steps in normalised space, sample by sample: clamped at start and each step."""
    noise = torch.rand(normalised.shape, generator=generator, dtype=normalised.dtype)
    results = []
    for x, y, u in zip(normalised, labels.tolist(), noise, strict=True):
        first, second = network(x[None])[0].argsort(descending=True)[:2].tolist()
        target = torch.tensor([second if first == y else first])
        moved = (x + epsilon * (2.0 * u - 1.0)).clamp(0.0, 1.0)
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            F.cross_entropy(network(moved[None]), target).backward()
            moved = moved.detach() + step * moved.grad.sign()
            moved = torch.max(torch.min(moved, x + epsilon), x - epsilon).clamp(0.0, 1.0)
        results.append(moved)
    return torch.stack(results)


@pytest.mark.parametrize("forget", [[1], [0, 1, 2]])
def test_the_published_variant_equals_its_steps_in_normalised_space(model, samples, forget):
    model = model.double()
    images = samples.images.double()
    mean, std = model.mean.view(3, 1, 1), model.std.view(3, 1, 1)
    chosen = torch.isin(samples.labels, torch.tensor(forget))
    images, labels = images[chosen], samples.labels[chosen]

    def network(x):
        return model.head(model.backbone(x))

    expected = published_slowly(network, (images - mean) / std, labels, seeded(3))
    found = PublishedNeighborhood()(model, images, labels, forget, generator=seeded(3))
    torch.testing.assert_close(found, expected * std + mean)


def test_the_published_gaussian_clamps_in_normalised_space(model, samples):
    mean, std = model.mean.view(3, 1, 1), model.std.view(3, 1, 1)
    noise = 0.01 * torch.randn(samples.images.shape, generator=seeded(3))
    expected = ((samples.images - mean) / std + noise).clamp(0.0, 1.0) * std + mean
    neighborhood = PublishedNeighborhood(noise="gaussian")
    found = neighborhood(model, samples.images, samples.labels, FORGET, generator=seeded(3))
    torch.testing.assert_close(found, expected)
