"""Attacks that train: what they read, what they choose, what they leave as it was."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Generator

from spotter_core.data import ImageSet
from spotter_core.metrics import accuracy
from spotter_core.models import build_model
from spotter_core.relearning import (
    FREE,
    Curve,
    FineTuning,
    Held,
    in_eight_bits,
    with_noise,
    with_statistics_of,
)
from spotter_core.training import predict


def seeded(seed=0):
    return Generator().manual_seed(seed)


@pytest.fixture
def held(samples):
    def take(wanted, part):
        index = wanted.nonzero().flatten()
        return samples.subset(index[part::2])

    own, rest = samples.labels == 1, samples.labels != 1
    return Held(take(own, 0).subset(slice(4)), take(rest, 0), take(own, 1), take(rest, 1))


QUICK = FineTuning(steps=(1, 10, 100), learning_rates=(0.0001, 0.02), batch_size=8, allowed=0.1)


def test_a_few_images_bring_a_hidden_class_back(hidden, held, unchanged):
    targets = {"forget": held.forget, "retain": held.retain}
    with unchanged(hidden):
        found = QUICK(hidden, held, targets, followed=["forget"])
    assert found.accuracy["forget"] > 0.4
    assert found.accuracy["retain"] > 0.8
    assert found.learning_rate == found.curve.learning_rate == 0.02
    assert found.steps > 1
    slow, fast = found.curves
    assert slow.accuracy["forget"] == [0.0] * 4
    assert fast.accuracy["forget"][0] == 0.0
    assert [len(curve.accuracy["forget"]) for curve in found.curves] == [4, 4]


def test_without_forget_images_none_is_trained_on(hidden, held, monkeypatch):
    seen = []
    pixels = ImageSet.pixels

    def watched(self, index=None):
        if index is not None:
            seen.extend(self.labels[index].tolist())
        return pixels(self, index) if index is not None else pixels(self)

    monkeypatch.setattr(ImageSet, "pixels", watched)
    found = QUICK(hidden, replace(held, support=None), {"forget": held.forget})
    assert set(seen) == {0, 2, 3}
    assert found.accuracy["forget"] < 0.5


def test_equal_seeds_give_equal_curves_and_others_other_ones(hidden, held):
    attack, targets = replace(QUICK, steps=tuple(range(1, 41))), {"forget": held.forget}
    one, two, other = (
        attack(hidden, held, targets, followed=["forget"], seed=s).curves for s in (3, 3, 4)
    )
    assert one == two
    assert one != other


def whole_grid(attack, model, held, target, seed=0):
    """What the attack came to, everything tried: (learning rate, steps, accuracy on ``target``)."""

    def right(network, samples):
        return accuracy(predict(network, samples.images).logits, samples.labels)

    before = right(model, held.retain)
    best = (right(model, held.forget), attack.learning_rates[0], 0, right(model, target))
    for rate in attack.learning_rates:
        student, order = copy.deepcopy(model).eval(), seeded(seed)
        velocity = [torch.zeros_like(p) for p in student.parameters()]
        sides = [side for side in (held.support, held.reference) if side is not None]
        waiting = [[] for _ in sides]
        for step in range(1, attack.steps[-1] + 1):
            batch = []
            for side, left in zip(sides, waiting, strict=True):
                if not left:
                    left += torch.randperm(len(side), generator=order).tolist()
                batch += [(side, i) for i in left[: attack.batch_size]]
                del left[: attack.batch_size]
            losses = [
                -student(side.images[i : i + 1]).log_softmax(1)[0, side.labels[i]]
                for side, i in batch
            ]
            gradients = torch.autograd.grad(sum(losses) / len(losses), [*student.parameters()])
            with torch.no_grad():
                for p, v, g in zip(student.parameters(), velocity, gradients, strict=True):
                    v.mul_(attack.momentum).add_(g)
                    p.sub_(rate * v)
            if step in attack.steps:
                own, kept = right(student, held.forget), right(student, held.retain)
                if own > best[0] and before - kept <= attack.allowed + 1e-9:
                    best = (own, rate, step, right(student, target))
    return best[1:]


@pytest.mark.parametrize(("shots", "allowed"), [(0, 0.2), (1, 0.0), (4, 0.0), (4, 0.2)])
def test_the_choice_is_that_of_an_attacker_who_tries_everything(
    hidden, held, samples, shots, allowed
):
    attack = replace(QUICK, steps=(1, 10, 40), allowed=allowed, learning_rates=(0.001, 0.02, 0.05))
    support = held.support.subset(slice(shots)) if shots else None
    own = replace(held, support=support)
    found = attack(hidden, own, {"all": samples}, seed=5)
    expected = whole_grid(attack, hidden, own, samples, seed=5)
    assert (found.learning_rate, found.steps, found.accuracy["all"]) == expected


def test_with_nothing_left_to_gain_no_further_learning_rate_is_tried(known, held):
    perfect = replace(held, forget=held.forget.subset(slice(1)))
    found = QUICK(known, perfect, {"forget": held.forget}, followed=["forget"])
    assert (found.steps, found.learning_rate) == (0, 0.0001)
    assert [curve.learning_rate for curve in found.curves] == [0.0001]
    assert len(found.curve.accuracy["forget"]) == 4  # the curve is whole all the same


def test_a_ruinous_learning_rate_is_not_chosen(hidden, held):
    ruinous = replace(QUICK, learning_rates=(1e30,), allowed=0.0)
    found = ruinous(hidden, held, {"forget": held.forget})
    assert (found.steps, found.accuracy["forget"]) == (0, 0.0)


def test_a_curve_starts_at_the_network_as_it_was_found(hidden, held):
    found = QUICK(hidden, held, {"retain": held.retain}, followed=["retain"])
    logits = predict(hidden, held.retain.images).logits
    for curve in found.curves:
        assert curve.accuracy["retain"][0] == accuracy(logits, held.retain.labels)


@pytest.mark.parametrize("name", ["small_cnn", "resnet18", "vit"])
def test_networks_of_every_kind_are_attacked_on_a_copy(name, unchanged):
    width = {"small_cnn": 4, "resnet18": 2, "vit": 8}[name]
    shape = (3, 8, 8)
    network = build_model(
        name, num_classes=4, width=width, input_shape=shape, generator=seeded(1)
    ).train()
    images = ImageSet(torch.rand(24, *shape, generator=seeded(2)), torch.arange(24) % 4)
    side = Held(images.subset(images.labels == 1), images, images, images)
    with unchanged(network):
        found = replace(QUICK, steps=(1, 2))(network, side, {"all": images})
    assert 0.0 <= found.accuracy["all"] <= 1.0


def test_steps_to_and_area_by_hand():
    curve = Curve(0.1, (0, 1, 3), {"a": [0.0, 0.4, 0.8], "b": [1.0, 1.0, 1.0]})
    assert curve.steps_to(0.4, "a") == 1
    assert curve.steps_to(0.5, "a") == 3
    assert curve.steps_to(0.9, "a") == math.inf
    # log 1, log 2, log 4: two equal widths
    assert curve.area("a") == pytest.approx((0.2 + 0.6) / 2)
    assert curve.area("b") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"steps": (3, 1)}, "steps must grow"),
        ({"steps": ()}, "min"),
        ({"allowed": 2.0}, "allowed"),
        ({"learning_rates": (0.0,)}, "learning_rates"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        FineTuning(**settings)


# --- for free -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet():
    model = build_model(
        "resnet18", num_classes=4, width=2, input_shape=(3, 8, 8), generator=seeded(1)
    )
    return model.eval()


@pytest.fixture(scope="module")
def pictures():
    images = torch.rand(40, 3, 8, 8, generator=seeded(2))
    return ImageSet(images, torch.arange(40) % 4)


def test_statistics_are_the_mean_over_batches_of_the_images(resnet, pictures, unchanged):
    with unchanged(resnet):
        fresh = with_statistics_of(resnet, pictures, batch_size=20)
    norm = fresh.backbone.stem[1]
    assert not fresh.training
    assert norm.momentum == resnet.backbone.stem[1].momentum
    pixels = (pictures.images - resnet.mean.view(-1, 1, 1)) / resnet.std.view(-1, 1, 1)
    seen = resnet.backbone.stem[0](pixels).detach()
    means = [part.mean(dim=(0, 2, 3)) for part in seen.split(20)]
    variances = [part.var(dim=(0, 2, 3)) for part in seen.split(20)]
    torch.testing.assert_close(norm.running_mean, sum(means) / 2)
    torch.testing.assert_close(norm.running_var, sum(variances) / 2)


def test_without_batch_norm_nothing_is_estimated(known, samples):
    copied = with_statistics_of(known, samples).state_dict()
    assert all(torch.equal(copied[key], value) for key, value in known.state_dict().items())


def test_noise_is_a_share_of_every_tensors_deviation(resnet, unchanged):
    with unchanged(resnet):
        noisy = with_noise(resnet, 0.1, seeded())
    largest = max(resnet.named_parameters(), key=lambda pair: pair[1].numel())
    name, before = largest
    moved = dict(noisy.named_parameters())[name] - before
    assert (moved.std() / before.std()).item() == pytest.approx(0.1, rel=0.05)
    again = with_noise(resnet, 0.1, seeded())
    assert all(map(torch.equal, noisy.parameters(), again.parameters()))


def test_eight_bits_round_every_matrix_to_its_levels(resnet, unchanged):
    with unchanged(resnet):
        rounded = in_eight_bits(resnet)
    for before, after in zip(resnet.parameters(), rounded.parameters(), strict=True):
        if before.ndim == 1:
            assert torch.equal(before, after)
            continue
        for old, new in zip(before.flatten(1), after.flatten(1), strict=True):
            step = old.abs().max() / 127
            assert ((old - new).abs() <= step / 2 + 1e-7).all()
            levels = new / step
            assert (levels - levels.round()).abs().max() < 1e-3


@pytest.mark.parametrize("name", FREE)
def test_what_is_free_returns_a_copy_that_still_answers(name, resnet, pictures, unchanged):
    with unchanged(resnet):
        changed = FREE[name](resnet, pictures, 0)
    assert predict(changed, pictures.images).logits.isfinite().all()
