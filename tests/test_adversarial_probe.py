"""The method with a probe in the loop: terms by slow arithmetic, stand-ins, promises."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Generator
from torch.nn import functional as F

from spotter_core.attacks import Attacker, LinearProbe, Reference, Seen
from spotter_core.losses import masked_distillation_loss
from spotter_core.methods import METHODS
from spotter_core.methods._descent import Task
from spotter_core.methods.adversarial_probe import AdversarialProbe, Points, held_out_separation
from spotter_core.metrics import accuracy
from spotter_core.neighborhoods import BoundaryNeighborhood, UniformNeighborhood
from spotter_core.training import Predictions, predict

METHOD = AdversarialProbe()


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.fixture
def task(known, samples):
    forget = samples.subset(samples.labels == 1)
    return Task(copy.deepcopy(known), forget, (1,), seeded(3))


def sets(*sizes, dimensions=6, shift=2.0, seed=0):
    """Sets of random features, every second one shifted along the first axis."""
    made = [
        torch.randn(n, dimensions, generator=seeded(seed + i)).double() for i, n in enumerate(sizes)
    ]
    for own in made[:2]:
        own[:, 0] += shift
    return made


# --- the probe ------------------------------------------------------------------------------------


def test_the_probe_is_the_batterys_own_though_solved_in_samples():
    own, held, others, others_held = sets(5, 7, 30, 20)
    head = torch.nn.Linear(6, 2).double()
    labels = torch.ones(len(others), dtype=torch.int64)
    seen = Seen(others, head(others).detach(), labels)
    attacker = Attacker(head, (0,), own[None, None], Reference(seen), seen)
    (weight,) = replace(LinearProbe(), ridges=(0.1,)).rows_of(attacker, 0)
    weight = weight[0]
    expected = (held.mean(0) - others_held.mean(0)) @ weight
    expected = expected / ((own.mean(0) - others.mean(0)) @ weight)
    found = held_out_separation(own, held, others, others_held, ridge=0.1)
    torch.testing.assert_close(found, expected)


def test_separation_is_one_for_a_class_and_about_nothing_for_none():
    assert held_out_separation(*sets(40, 40, 80, 80, shift=20.0), ridge=0.1) > 0.95
    nothing = [
        held_out_separation(*sets(8, 8, 80, 80, shift=0.0, seed=10 * s), ridge=0.1)
        for s in range(60)
    ]
    assert abs(torch.stack(nothing).mean()) < 0.1


def test_separation_does_not_depend_on_scale_and_shift():
    parts = sets(6, 6, 20, 20)
    moved = [3.0 * own + 1.0 for own in parts]
    torch.testing.assert_close(
        held_out_separation(*moved, ridge=0.1), held_out_separation(*parts, ridge=0.1)
    )


def test_gradient_goes_through_the_probe():
    parts = [own.requires_grad_() for own in sets(4, 4, 8, 8, dimensions=3)]
    assert torch.autograd.gradcheck(lambda *p: held_out_separation(*p, ridge=0.1), parts)
    same = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    value = held_out_separation(same, same, same, same, ridge=0.1)  # nothing to tell apart
    value.backward()
    assert value == 0.0
    assert same.grad.isfinite().all()


def test_a_batch_without_a_pair_has_no_separation_and_several_classes_are_averaged():
    features = torch.randn(7, 5, generator=seeded(), requires_grad=True)
    others = torch.randn(12, 5, generator=seeded(1))
    alone = METHOD.separation(features[:1], torch.tensor([2]), others, seeded())
    assert alone == 0.0
    alone.backward()
    labels = torch.tensor([0, 0, 0, 2, 2, 2, 1])
    both = METHOD.separation(features, labels, others, generator := seeded(7))
    generator = seeded(7)
    each = [
        METHOD.separation(features[labels == c], labels[labels == c], others, generator)
        for c in (0, 2)
    ]
    torch.testing.assert_close(both, torch.stack(each).mean())


# --- what stands in for retained images -----------------------------------------------------------


def test_stand_ins_are_forget_images_that_the_original_takes_for_retained_ones(task):
    method = METHOD.with_settings(stand_ins=3, reach=0.5)
    images = task.forget.pixels()
    found = method.find_stand_ins(task, images)
    assert len(images) <= len(found.images) <= 3 * len(images)
    labels = found.logits.argmax(dim=1)
    assert set(labels.tolist()) <= {0, 2, 3}
    assert len(labels.unique()) > 1
    apart = (found.images[:, None] - images[None]).abs().flatten(2).amax(dim=2).amin(dim=1)
    assert apart.max() <= 0.5 + 1e-5
    assert 0.0 <= found.images.min() <= found.images.max() <= 1.0
    assert torch.equal(found.logits, predict(task.original, found.images).logits)


def test_where_no_image_can_be_driven_over_all_of_them_stand_in(task):
    found = METHOD.with_settings(stand_ins=2, reach=1e-6).find_stand_ins(task, task.forget.pixels())
    crossed = (predict(task.original, task.forget.images).logits.argmax(dim=1) != 1).sum()
    assert len(found.images) == (2 * crossed if crossed else 2 * len(task.forget))


def test_mixtures_are_rows_in_the_shares_of_the_masked_original_and_the_images_own_part(task):
    own = Points.of(task.original, task.forget.pixels())
    found = METHOD.with_settings(deviation=0.5).mixtures(task, own)
    rows, length = task.original.head.weight, own.features.norm(dim=1).mean()
    for i in range(len(task.forget)):
        shares = own.logits[i, [0, 2, 3]].softmax(dim=0)
        expected = 0.5 * (own.features[i] - own.features.mean(dim=0))
        for share, c in zip(shares, (0, 2, 3), strict=True):
            expected = expected + share * length * rows[c] / rows[c].norm()
        torch.testing.assert_close(found[i], expected)
    assert not found.requires_grad


# --- the whole ------------------------------------------------------------------------------------

WEIGHTS = {
    "unlearning": 0.6,
    "over_unlearning": 0.4,
    "stand_ins": 0.7,
    "separation": 0.0,  # its draw is random; see above
    "mixture": 0.8,
    "kept": 0.9,
}


def test_the_loss_is_the_weighted_sum_of_its_terms(task):
    method = AdversarialProbe(
        lambda_1=0.6, probe=0.0, mixture=0.8, distil=0.7, keep=0.9, deviation=0.0
    )
    own = Points.of(task.original, task.forget.pixels())
    near = own._replace(logits=own.logits.flip(1))
    index = torch.tensor([4, 0, 7])
    near, others = near.pick(index), own.pick(torch.tensor([1, 2, 3, 5, 6, 8]))
    out = torch.randn(12, 7, generator=seeded()), torch.randn(12, 4, generator=seeded(1))
    terms = method.comparison(task, own)(Predictions(*out), index, near, others)
    logits = out[1]
    targets = method.mixtures(task, own)
    expected = {
        "unlearning": masked_distillation_loss(logits[:3], own.logits[index], [1]),
        "over_unlearning": masked_distillation_loss(logits[3:6], near.logits, [1]),
        "stand_ins": masked_distillation_loss(logits[6:], others.logits, [1]),
        "mixture": F.mse_loss(out[0][:3], targets[index], reduction="sum")
        / 3
        / targets.square().sum(1).mean(),
        "kept": F.mse_loss(out[0][6:], others.features, reduction="sum")
        / 6
        / own.features.square().sum(1).mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    total = sum(WEIGHTS[name] * terms[name] for name in WEIGHTS)
    torch.testing.assert_close(terms["loss"], total)


def test_a_step_shows_samples_with_one_twin_each_and_two_stand_ins(task):
    method = METHOD.with_settings(twins=2, neighborhood=UniformNeighborhood(0.1))
    plan = method.plan(task)
    (phase,) = plan.phases(1)
    index = torch.tensor([3, 1])
    first, second = phase.show(index), phase.show(index)
    assert first.shape[0] == second.shape[0] == 8
    assert torch.equal(first[:2], task.forget.images[index])
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2:4], second[2:4])  # the twins take turns
    assert (first[2:4] - first[:2]).abs().max() <= 0.1 + 1e-5


def test_it_forgets_and_a_probe_finds_less_of_images_that_it_never_saw(digits_model, digits_split):
    forget, retain = digits_split.forget, digits_split.retain
    near = BoundaryNeighborhood(1.0, 0.333, 3)

    def outcome(probe):
        method = METHOD.with_settings(
            learning_rate=0.002, epochs=40, batch_size=32, neighborhood=near, probe=probe
        )
        model = method(digits_model, forget.train, generator=seeded()).model
        own, others = (predict(model, side.test.images) for side in (forget, retain))
        kept = accuracy(others.logits, retain.test.labels)
        held = [
            held_out_separation(
                own.features[i : i + 5],
                own.features[i + 5 :],
                others.features[::2],
                others.features[1::2],
                ridge=0.1,
            )
            for i in range(0, 30, 5)
        ]
        return accuracy(own.logits, forget.test.labels), kept, torch.stack(held).mean()

    known = accuracy(predict(digits_model, retain.test.images).logits, retain.test.labels)
    forgotten, kept, found = outcome(1.0)
    assert forgotten == 0.0
    assert kept > known - 0.03
    assert found < outcome(0.0)[2] - 0.05


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lambda_1": 1.1}, r"lambda_1 must lie in \[0, 1\]"),
        ({"probe": -1.0}, "probe must be at least 0"),
        ({"keep": float("nan")}, "keep must be at least 0"),
        ({"ridge": 0.0}, "ridge must be above 0"),
        ({"stand_ins": 0}, "stand_ins must be above 0"),
        ({"reach": -0.1}, "reach must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        METHOD.with_settings(**settings)


def test_it_is_handed_forget_samples_alone_and_repeats_itself(task, unchanged):
    method = METHOD.with_settings(epochs=2, batch_size=8, learning_rate=0.01)
    with unchanged(task.original):
        first, again = (method(task.original, task.forget, generator=seeded(1)) for _ in range(2))
    assert first.history == again.history
    assert first.reads == {"forget": 2 * len(task.forget), "retain": 0}
    with pytest.raises(TypeError, match="retain"):
        method(task.original, task.forget, retain=task.forget)


def test_it_is_not_among_the_methods_since_it_did_not_pass_where_it_was_to():
    assert "adversarial_probe" not in METHODS
