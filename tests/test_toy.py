"""Layer 3: the toy is an ordinary data set, in which the study's story can be seen."""

import pytest
import torch

from spotter_core.data import ForgetSplit
from spotter_core.methods import METHODS
from spotter_core.metrics import accuracy, conditional_shift, over_unlearning
from spotter_core.models import build_model
from spotter_core.neighborhoods import UniformNeighborhood
from spotter_core.toy import FORGET, toy_dataset
from spotter_core.training import Recipe, fit, predict


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_toy_is_a_data_set_of_points_in_the_unit_square():
    data = toy_dataset(seeded(), petals=4, points=30)
    assert data.class_names == ("middle", "A", "B", "C", "D")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [150, 75, 300]
    for part in (data.train, data.validation, data.test):
        assert part.images.shape == (len(part), 2)
        assert part.pixels().min() >= 0
        assert part.pixels().max() <= 1
        assert part.labels.unique().tolist() == [0, 1, 2, 3, 4]


def test_the_others_surround_the_middle():
    data = toy_dataset(seeded(), points=400)
    means = torch.stack([data.train.images[data.train.labels == c].mean(0) for c in range(6)])
    torch.testing.assert_close(means[FORGET], torch.full((2,), 0.5), atol=0.02, rtol=0)
    distance = (means[1:] - means[FORGET]).norm(dim=1)
    torch.testing.assert_close(distance, torch.full((5,), 0.3), atol=0.03, rtol=0)


def test_equal_seeds_give_equal_points_and_parts_differ():
    one, two = (toy_dataset(seeded(3), points=20) for _ in range(2))
    assert torch.equal(one.train.images, two.train.images)
    assert torch.equal(one.test.images, two.test.images)
    assert not torch.equal(one.train.images[:10], one.test.images[:10])


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"petals": 1}, "petals"), ({"points": 0}, "points"), ({"radius": 0.6}, "0.5")],
)
def test_numbers_out_of_range_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        toy_dataset(seeded(), **settings)


@pytest.mark.parametrize("seed", [0, 1])
def test_random_labels_tear_a_hole_next_door_and_spotter_does_not(seed):
    data = toy_dataset(seeded(seed))
    split = ForgetSplit(data, [FORGET])
    mean, std = data.channel_statistics()
    draw = seeded(seed)
    blank = build_model(
        "mlp", num_classes=6, width=64, input_shape=(2,), mean=mean, std=std, generator=draw
    )
    recipe = Recipe(epochs=60, batch_size=64, learning_rate=0.05)
    original = fit(blank, data.train, recipe=recipe, generator=draw).model
    forget = split.forget.test
    near = UniformNeighborhood(0.1)(
        original, forget.pixels(), forget.labels, [FORGET], generator=seeded(9)
    )
    before = predict(original, near).logits
    shared = {"learning_rate": 0.003, "epochs": 30, "batch_size": 25, "weight_decay": 0.0}
    ours = {"neighborhood": UniformNeighborhood(0.1), "lambda_1": 0.3, "lambda_2": 0.1, "twins": 8}
    ou, shift = {}, {}
    for name in ("random_label", "spotter+random_label", "spotter"):
        method = METHODS[name].with_settings(**shared, **(ours if "spotter" in name else {}))
        model = method(original, split.forget.train, generator=seeded(seed)).model
        assert accuracy(predict(model, forget.images).logits, forget.labels) <= 0.02
        after = predict(model, near).logits
        ou[name] = over_unlearning(before, after, [FORGET]).item()
        shift[name] = conditional_shift(before, after, [FORGET]).item()
    assert ou["spotter"] < 0.1 * ou["random_label"]
    assert shift["spotter"] < 0.1 * shift["random_label"]
    assert ou["spotter+random_label"] < 0.5 * ou["random_label"]
