"""Convergence speed: indices by a slow loop of its own, what is left alone, what is refused."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Generator

from spotter_core.data import ImageSet
from spotter_core.metrics import accuracy
from spotter_core.models import build_model
from spotter_core.never_seen import never_seen_classes, upside_down
from spotter_core.relearning import Reminded, Reminiscence
from spotter_core.training import Recipe, fit, predict

QUICK = Reminiscence(learning_rates=(0.005, 0.02), limit=30, beside=6)


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.fixture
def sets(samples):
    """(the forgotten class 1's images, class 2's upside down as class 1, retained images)."""
    own = samples.subset(samples.labels == 1)
    return own, upside_down(samples, {1: 2}), samples.subset(samples.labels != 1)


def slow_index(model, own, retained, attack, rate, seed):
    """The index step by step, momentum by hand."""
    student, order = copy.deepcopy(model).eval(), seeded(seed)
    velocity = [torch.zeros_like(p) for p in student.parameters()]
    waiting = {"own": [], "retained": []}
    for step in range(attack.limit + 1):
        right = accuracy(predict(student, own.images).logits, own.labels)
        if right >= attack.reached:
            return step
        images, labels = [], []
        for name, side, size in (("own", own, attack.batch_size), ("retained", retained, 6)):
            waiting[name] = waiting[name] or torch.randperm(len(side), generator=order).tolist()
            batch, waiting[name] = waiting[name][:size], waiting[name][size:]
            images += [side.images[i] for i in batch]
            labels += [side.labels[i] for i in batch]
        odds = student(torch.stack(images)).log_softmax(dim=1)
        loss = -sum(row[label] for row, label in zip(odds, labels, strict=True)) / len(labels)
        gradients = torch.autograd.grad(loss, [*student.parameters()])
        with torch.no_grad():
            for p, v, g in zip(student.parameters(), velocity, gradients, strict=True):
                v.mul_(attack.momentum).add_(g)
                p.sub_(rate * v)
    return attack.limit + 1


@pytest.mark.parametrize("batch_size", [5, 64])
def test_indices_are_those_of_a_slow_loop(hidden, sets, unchanged, batch_size):
    own, new, retained = sets
    attack = replace(QUICK, batch_size=batch_size, learning_rates=(0.0001, 0.005, 0.02))
    with unchanged(hidden):
        found = attack(hidden, own, new, retained, seed=7)
    for rate in attack.learning_rates:
        for side, index in ((own, found.forget[rate]), (new, found.never_seen[rate])):
            assert index == slow_index(hidden, side, retained, attack, rate, seed=7)
    assert found.forget[0.0001] == attack.limit + 1  # too slow: a bound
    assert 0 < found.forget[0.02] < attack.limit


def test_a_class_that_is_known_takes_no_step(known, sets):
    own, new, retained = sets
    found = QUICK(known, own, new, retained)
    assert set(found.forget.values()) == {0}
    assert min(found.never_seen.values()) > 0


def test_equal_sets_have_a_score_of_nothing_and_equal_seeds_equal_indices(hidden, sets):
    own, new, retained = sets
    assert QUICK(hidden, own, own, retained, seed=3).mean_score() == 0.0
    assert QUICK(hidden, own, new, retained, seed=3) == QUICK(hidden, own, new, retained, seed=3)


def test_scores_by_hand():
    found = Reminded({0.1: 3, 0.2: 1}, {0.1: 10, 0.2: 2})
    assert [found.score(rate) for rate in (0.1, 0.2)] == [7, 1]
    assert found.mean_score() == 4.0


def test_the_attacker_holds_a_share_or_a_handful_or_what_there_is():
    attack = Reminiscence()
    assert [attack.images_of(n) for n in (4, 10, 107, 334, 4500)] == [4, 10, 10, 11, 135]
    assert Reminiscence(share=1.0).images_of(107) == 107


def test_no_image_and_unequal_numbers_are_refused(known, sets):
    own, new, retained = sets
    nothing = own.subset(slice(0))
    with pytest.raises(ValueError, match="got 0 and 0"):
        QUICK(known, nothing, nothing, retained)
    with pytest.raises(ValueError, match="got 12 and 4"):
        QUICK(known, own, new.subset(slice(4)), retained)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"share": 1.5}, "share"),
        ({"reached": -0.1}, "reached"),
        ({"at_least": 0}, "at_least"),
        ({"limit": 0}, "limit"),
        ({"beside": 0}, "beside"),
        ({"learning_rates": (0.01, 0.0)}, "learning_rates"),
    ],
)
def test_settings_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        Reminiscence(**settings)


@pytest.mark.parametrize("name", ["resnet18", "vit"])
def test_batch_norm_and_attention_are_attacked_on_a_copy(name, unchanged):
    shape = (3, 8, 8)
    network = build_model(name, num_classes=4, width=8, input_shape=shape, generator=seeded(1))
    network.train()
    images = torch.rand(24, *shape, generator=seeded(2))
    own = ImageSet(images[:6], torch.ones(6, dtype=torch.long))
    new = ImageSet(images[6:12], own.labels)
    retained = ImageSet(images[12:], torch.tensor([0, 2, 3] * 4))
    with unchanged(network):
        found = replace(QUICK, limit=2)(network, own, new, retained)
    assert set(found.forget) == set(QUICK.learning_rates)
    assert max(found.forget.values()) <= 3


def test_a_hidden_class_is_learned_sooner_than_a_new_one_and_an_unknown_one_is_not(
    digits, digits_split, digits_model
):
    recipe = Recipe(epochs=6, batch_size=64, learning_rate=0.1)
    oracle = fit(
        digits_model.fresh(seeded(1)), digits_split.retain.train, recipe=recipe, generator=seeded(1)
    ).model
    suppressed = copy.deepcopy(digits_model)
    with torch.no_grad():
        suppressed.head.bias[3] -= 8.0
    sources = never_seen_classes(digits_model, digits_split.retain.validation, [3])
    new = upside_down(digits.train, sources).subset(slice(20))
    own = digits_split.forget.train.subset(slice(20))
    attack = Reminiscence(learning_rates=(0.005, 0.01))
    scores = [
        attack(m, own, new, digits_split.retain.train).mean_score() for m in (suppressed, oracle)
    ]
    assert scores[0] > 2.0
    assert scores[0] > scores[1] + 2.0
