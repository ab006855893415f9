import math

import pytest
import torch
from torch import Generator, nn

from spotter_core.attacks import (
    PrototypeAttack,
    PrototypeSweep,
    draw_support,
    prototype_rows,
    rewrite_rows,
)
from spotter_core.data import ImageSet
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier, wrap
from spotter_core.training import Predictions, predict

FORGET = [2, 0]


def seeded(seed=0):
    return Generator().manual_seed(seed)


def without_bias(model):
    head = nn.Linear(model.head.in_features, model.num_classes, bias=False)
    return Classifier(model.backbone, head, mean=model.mean.tolist(), std=model.std.tolist())


def attack_slowly(model, samples, forget, attack, generator):
    """Head rows after the attack, as lists of floats: a loop over classes, samples and features."""
    weight = model.head.weight.tolist()
    bias = [0.0] * len(weight) if model.head.bias is None else model.head.bias.tolist()
    features = predict(model, samples.images).features.tolist()
    kept = [row for c, row in enumerate(weight) if c not in forget]
    lengths = [math.sqrt(math.fsum(w * w for w in row)) for row in kept]
    scale = 1.0 if attack.scale is None else attack.scale * math.fsum(lengths) / len(lengths)
    for c in sorted(forget):
        members = [i for i, y in enumerate(samples.labels.tolist()) if y == c]
        order = torch.randperm(len(members), generator=generator).tolist()
        shots = [features[members[i]] for i in order[: attack.shots]]
        mean = [math.fsum(column) / len(shots) for column in zip(*shots, strict=True)]
        length = math.sqrt(math.fsum(m * m for m in mean))
        factor, offset = (2.0, -1.0) if attack.metric == "l2" else (1.0, 0.0)
        a = attack.alpha
        weight[c] = [
            a * scale * factor * m / length + (1 - a) * w
            for m, w in zip(mean, weight[c], strict=True)
        ]
        bias[c] = a * scale * offset + (1 - a) * bias[c]
    return weight, bias


# --- the single attack ----------------------------------------------------------------------------


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("forget", [[1], FORGET])
@pytest.mark.parametrize(
    "attack",
    [
        PrototypeAttack(),
        PrototypeAttack(shots=1, alpha=0.5),
        PrototypeAttack(shots=3, alpha=0.3, metric="l2"),
        PrototypeAttack(shots=12, alpha=1.0, metric="l2", scale=0.5),
        PrototypeAttack(shots=2, alpha=0.8, scale=2.0),
    ],
    ids=repr,
)
def test_attacked_head_equals_the_loop(model, samples, attack, forget, has_bias):
    model = model if has_bias else without_bias(model)
    expected = attack_slowly(model, samples, forget, attack, seeded(4))
    attacked = attack(model, samples.images, samples.labels, forget, generator=seeded(4))
    torch.testing.assert_close(attacked.head.weight.data, torch.tensor(expected[0]))
    torch.testing.assert_close(attacked.head.bias.data, torch.tensor(expected[1]))


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_attacked_model_is_a_copy_that_differs_in_the_forget_rows_alone(
    model, samples, unchanged, has_bias
):
    model = model if has_bias else without_bias(model)
    with unchanged(model):
        attack = PrototypeAttack(shots=3)
        attacked = attack(model, samples.images, samples.labels, FORGET, generator=seeded())
    changed = (attacked.head.weight != model.head.weight).any(dim=1)
    assert changed.tolist() == [True, False, True, False]
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(attacked.backbone.state_dict()[name], value)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_alpha_0_is_no_attack(model, samples, metric):
    attack = PrototypeAttack(alpha=0.0, metric=metric)
    attacked = attack(model, samples.images, samples.labels, FORGET, generator=seeded())
    assert torch.equal(attacked(samples.images), model(samples.images))


def test_equal_generators_draw_equal_samples(model, samples):
    def head(seed):
        attack = PrototypeAttack(shots=2)
        args = (model, samples.images, samples.labels, FORGET)
        return attack(*args, generator=seeded(seed)).head.weight

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_samples_of_other_classes_are_never_looked_at(model, samples):
    images = samples.images.clone()
    retained = samples.labels != 1
    attack = PrototypeAttack(shots=4)
    first = attack(model, images, samples.labels, [1], generator=seeded())
    images[retained] = torch.rand(int(retained.sum()), 3, 4, 4)
    second = attack(model, images, samples.labels, [1], generator=seeded())
    assert torch.equal(first.head.weight, second.head.weight)


def test_support_of_few_shots_is_the_beginning_of_that_of_many(samples):
    few = draw_support(samples.labels, FORGET, 2, seeded(1))
    many = draw_support(samples.labels, FORGET, 9, seeded(1))
    assert many.shape == (2, 9)
    assert torch.equal(few, many[:, :2])
    assert samples.labels[many].tolist() == [[0] * 9, [2] * 9]
    assert all(len(set(row)) == 9 for row in many.tolist())


def test_a_class_that_a_network_separates_comes_back(digits_model, digits_split):
    forget = digits_split.forget
    (c,) = digits_split.forget_classes
    with torch.no_grad():
        lost = PrototypeAttack(alpha=0.0)(
            digits_model, forget.train.pixels(), forget.train.labels, [c], generator=seeded()
        )
        lost.head.bias[c] = -100.0
    assert accuracy(predict(lost, forget.test.images).logits, forget.test.labels) == 0.0
    attack = PrototypeAttack(shots=10, scale=2.0)
    back = attack(lost, forget.train.pixels(), forget.train.labels, [c], generator=seeded())
    assert accuracy(predict(back, forget.test.images).logits, forget.test.labels) > 0.5


def test_a_row_that_was_masked_with_minus_infinity_is_replaced_all_the_same(model, samples):
    with torch.no_grad():
        model.head.bias[1] = -torch.inf
    args = (model, samples.images, samples.labels, [1])
    assert PrototypeAttack()(*args, generator=seeded()).head.bias[1].item() == 0.0
    kept = PrototypeAttack(alpha=0.9)(*args, generator=seeded()).head.bias[1].item()
    assert kept == -math.inf


def test_features_without_direction_make_a_row_of_zeros():
    row, bias = prototype_rows(torch.zeros(3, 4), "l2")
    assert row.tolist() == [0.0] * 4
    assert bias.item() == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shots": 0}, "shots must be above 0"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\]"),
        ({"alpha": -0.1}, r"alpha must lie in \[0, 1\]"),
        ({"metric": "dot"}, "metric must be one of cosine, l2; got 'dot'"),
        ({"scale": 0.0}, "scale must be above 0"),
    ],
)
def test_settings_that_are_no_attack_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PrototypeAttack(**settings)
    several = {"shots": "shots", "alpha": "alphas"}
    as_sweep = {several.get(k, k): (v,) if k in several else v for k, v in settings.items()}
    with pytest.raises(ValueError, match=message):
        PrototypeSweep(**as_sweep)


def test_more_shots_than_samples_are_refused(model, samples):
    attack = PrototypeAttack(shots=13)
    with pytest.raises(ValueError, match="shots is 13, but only 12 samples of forget class 0"):
        attack(model, samples.images, samples.labels, FORGET, generator=seeded())
    rest = samples.subset(samples.labels != 1)
    with pytest.raises(ValueError, match="only 0 samples of forget class 1"):
        attack(model, rest.images, rest.labels, [1], generator=seeded())


def test_normalised_images_are_refused(model, samples):
    with pytest.raises(ValueError, match="pass raw pixels"):
        PrototypeAttack()(model, samples.images * 4 - 2, samples.labels, FORGET, generator=seeded())


# --- the sweep ------------------------------------------------------------------------------------


@pytest.fixture
def noisy():
    """Classes that overlap, so that hardly two attacks of a grid have the same accuracy."""
    labels = torch.arange(120) % 4
    images = torch.rand(120, 3, 4, 4, generator=seeded(1))
    images[torch.arange(120), 0, labels] *= 0.3
    return ImageSet(images, labels)


@pytest.fixture(params=["bias", "no bias"])
def linear(request):
    """A head on pixels: features of every direction, in no relation to the classes."""
    torch.manual_seed(0)
    return wrap(nn.Linear(48, 4, bias=request.param == "bias"), mean=[0.5] * 3, std=[0.25] * 3)


@pytest.mark.parametrize("forget", [[1], FORGET])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("side", ["forget", "retain"])
def test_a_sweep_equals_running_every_attack_of_its_grid(
    linear, noisy, forget, metric, scale, side
):
    sweep = PrototypeSweep((5, 1, 12), (0.0, 0.4, 1.0), (0, 3), metric, scale)
    asked = torch.isin(noisy.labels, torch.tensor(forget)) == (side == "forget")
    scored = noisy.subset(asked)
    found = sweep(
        linear.head,
        predict(linear, noisy.images).features,
        noisy.labels,
        predict(linear, scored.images),
        scored.labels,
        forget,
    )
    assert found.shape == (3, 3, 2)
    assert found.dtype == torch.float64
    for i, shots in enumerate(sweep.shots):
        for j, alpha in enumerate(sweep.alphas):
            for k, seed in enumerate(sweep.seeds):
                attack = PrototypeAttack(shots, alpha, metric, scale)
                attacked = attack(
                    linear, noisy.images, noisy.labels, forget, generator=seeded(seed)
                )
                logits = predict(attacked, scored.images).logits
                assert found[i, j, k].item() == accuracy(logits, scored.labels)
    assert len(found.unique()) >= 4  # the grid would show a mix-up


def test_a_sweep_leaves_the_head_as_it_is(model, samples, unchanged):
    features, logits = predict(model, samples.images)
    with unchanged(model):
        PrototypeSweep((1, 2), (0.5,), (0,))(
            model.head, features, samples.labels, Predictions(features, logits), samples.labels, [0]
        )


def test_a_sweep_does_not_take_a_masked_row_for_a_safe_one(model, samples):
    with torch.no_grad():
        model.head.bias[1] = -torch.inf
    target = predict(model, samples.images)
    asked = samples.labels == 1
    scored = Predictions(target.features[asked], target.logits[asked])
    sweep = PrototypeSweep((5,), (0.5, 1.0), (0,), scale=50.0)
    found = sweep(model.head, target.features, samples.labels, scored, samples.labels[asked], [1])
    assert found[0, 0, 0] == 0.0  # half of minus infinity is minus infinity
    assert found[0, 1, 0] > 0.5


def test_a_sweep_refuses_more_shots_than_samples(model, samples):
    target = predict(model, samples.images)
    with pytest.raises(ValueError, match="shots is 13, but only 12"):
        PrototypeSweep((1, 13), (1.0,), (0,))(
            model.head, target.features, samples.labels, target, samples.labels, [0]
        )


def test_rewriting_rows_is_the_attack_without_its_draw(model, samples):
    attack = PrototypeAttack(shots=3)
    expected = attack(model, samples.images, samples.labels, FORGET, generator=seeded())
    support = draw_support(samples.labels, FORGET, 3, seeded())
    features = predict(model, samples.images).features[support]
    copied = wrap(nn.Linear(7, 4), mean=[0.0] * 7, std=[1.0] * 7)
    copied.head.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        rewrite_rows(copied, (0, 2), features, attack)
    torch.testing.assert_close(copied.head.weight, expected.head.weight)
