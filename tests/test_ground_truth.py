"""OU@epsilon where it can be known: in the plane it is an integral, and a hole has a place.

Two networks of which everything is known: the original sees two classes and the forgotten one in
the middle of the unit square; the unlearned one is the same with that class cut down to a known
mass, but for a disc in which it confuses the other two.
"""

import math

import numpy as np
import pytest
import torch
from torch import Generator, nn

from spotter_core.metrics import (
    conditional_shift,
    mass_floor,
    over_unlearning,
    residual_forget_mass,
)
from spotter_core.models import Classifier
from spotter_core.neighborhoods import UniformNeighborhood
from spotter_core.results import bootstrap_interval

CENTRE, RADIUS = (0.46, 0.52), 0.04
"""Of the hole."""
LOW, HIGH, EPSILON = 0.4, 0.6, 0.05
"""Forget samples are uniform in this square; near is what lies within epsilon of one."""
MASS = 0.02
"""What the unlearned network leaves to the forgotten class, everywhere."""
SAMPLES, RUNS = 400, 100


class Plane(nn.Module):
    """The logits of a point, as features of an identity head."""

    def __init__(self, *, mass=None, torn=False):
        super().__init__()
        self.mass, self.torn = mass, torn

    def forward(self, points):
        x, y = points.double().unbind(1)
        others = torch.stack([9.0 * (x - 0.5), 7.0 * (y - 0.5)], dim=1)
        if self.torn:
            inside = (x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 < RADIUS**2
            others = others + 4.0 * inside[:, None] * torch.tensor([-1.0, 1.0])
        if self.mass is None:
            own = 2.0 - 30.0 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
        else:
            own = others.logsumexp(dim=1) + math.log(self.mass / (1.0 - self.mass))
        return torch.cat([own[:, None], others], dim=1)


def network(**settings):
    head = nn.Linear(3, 3, bias=False, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(torch.eye(3))
    return Classifier(Plane(**settings), head, mean=[0.0], std=[1.0]).double().eval()


def logits_of(model, points):
    with torch.no_grad():
        return model.backbone(points)


def near_points(seed, count=SAMPLES):
    """Held-out forget samples of one run, each with one perturbed copy."""
    draw = Generator().manual_seed(seed)
    clean = LOW + (HIGH - LOW) * torch.rand(count, 2, generator=draw)
    labels = torch.zeros(count, dtype=torch.long)
    return UniformNeighborhood(EPSILON)(network(), clean, labels, [0], generator=draw)


# --- the truth, in numpy --------------------------------------------------------------------------


def divergence(p, q):
    """Jensen-Shannon divergence of rows in nats, from its definition."""
    middle = (p + q) / 2.0
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log(p / middle), 0.0).sum(axis=1)
        right = np.where(q > 0, q * np.log(q / middle), 0.0).sum(axis=1)
    return (left + right) / 2.0


def parts_at(points, torn):
    """OU and conditional shift at every point, from probabilities."""
    x, y = points.T

    def share(shift):
        first = 1.0 / (1.0 + np.exp(7.0 * (y - 0.5) - 9.0 * (x - 0.5) + 2.0 * shift))
        return np.stack([first, 1.0 - first], axis=1)

    inside = torn * ((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 < RADIUS**2)
    before, after = share(0.0), share(4.0 * inside)
    nothing = np.zeros((len(x), 1))
    original = np.concatenate([nothing, before], axis=1)
    unlearned = np.concatenate([nothing + MASS, (1.0 - MASS) * after], axis=1)
    return divergence(original, unlearned), divergence(before, after)


def integral(torn, steps=1500):
    """OU and conditional shift over the neighborhood, by the midpoint rule.

    A coordinate of a near point is uniform plus uniform: its density is a trapezoid.
    """
    low, high = LOW - EPSILON, HIGH + EPSILON
    t = low + (np.arange(steps) + 0.5) * (high - low) / steps
    reach = np.minimum(HIGH, t + EPSILON) - np.maximum(LOW, t - EPSILON)
    weight = reach / reach.sum()
    x, y = np.meshgrid(t, t, indexing="ij")
    each = parts_at(np.stack([x.ravel(), y.ravel()], axis=1), torn)
    return [float((np.outer(weight, weight).ravel() * values).sum()) for values in each]


# --- the estimator against it ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def truth():
    return {torn: integral(torn) for torn in (False, True)}


@pytest.mark.parametrize("part", [0, 1], ids=["over_unlearning", "conditional_shift"])
def test_the_stated_interval_holds_the_integral_in_at_least_93_of_100_runs(truth, part):
    measure = (over_unlearning, conditional_shift)[part]
    original, unlearned = network(), network(mass=MASS, torn=True)
    held, centres = 0, []
    for seed in range(RUNS):
        near = near_points(seed)
        pair = logits_of(original, near), logits_of(unlearned, near)
        each = measure(*pair, [0], reduction="none").tolist()
        low, high = bootstrap_interval(each)
        held += low <= truth[True][part] <= high
        centres.append(sum(each) / len(each))
    assert held >= 93
    assert held < 100  # an interval that can't miss says nothing
    spread = np.std(centres, ddof=1) / math.sqrt(RUNS)
    assert abs(np.mean(centres) - truth[True][part]) < 3.0 * spread


def test_without_a_hole_nothing_but_the_mass_is_left(truth):
    near = near_points(0)
    pair = logits_of(network(), near), logits_of(network(mass=MASS), near)
    floor = mass_floor(torch.tensor(MASS)).item()
    assert truth[False] == pytest.approx([floor, 0.0], abs=1e-9)
    assert over_unlearning(*pair, [0]).item() == pytest.approx(floor, abs=1e-9)
    assert conditional_shift(*pair, [0]).abs().item() < 1e-12
    assert residual_forget_mass(*pair, [0]).item() == pytest.approx(MASS)


def test_a_hole_is_found_where_it_was_torn_and_nowhere_else():
    near = near_points(3, count=4000)
    pair = logits_of(network(), near), logits_of(network(mass=MASS, torn=True), near)
    shift = conditional_shift(*pair, [0], reduction="none")
    inside = (near.double() - torch.tensor(CENTRE)).norm(dim=1) < RADIUS
    assert 100 < int(inside.sum()) < 600
    assert shift[inside].min() > 0.1
    assert shift[~inside].max() < 1e-12
    found = near[shift > 1e-9].double()
    middle = found.mean(dim=0)
    torch.testing.assert_close(middle, torch.tensor(CENTRE).double(), atol=0.004, rtol=0)
    spread = (found - middle).square().sum(dim=1).mean().sqrt()
    assert spread.item() == pytest.approx(RADIUS / math.sqrt(2.0), rel=0.1)  # a disc's
