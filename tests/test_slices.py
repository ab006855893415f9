"""Layer 4: planes through pixel space, and what models say on them."""

import copy

import numpy as np
import pytest
import torch

from spotter_core.metrics import conditional_shift, over_unlearning
from spotter_core.neighborhoods import runner_up
from spotter_core.slices import (
    Plane,
    as_pictures,
    best_answers,
    boundary_plane,
    forget_margin,
    nearest,
    typical,
    view_slice,
)
from spotter_core.training import predict

EPSILON = 0.1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def sample(digits_split, digits_model):
    """The typical forget test image of the digits."""
    images = digits_split.forget.test.pixels()
    return images[typical(predict(digits_model, images).logits, [3])]


@pytest.fixture(scope="module")
def plane(sample, digits_model):
    return boundary_plane(digits_model, sample, 3, [3], epsilon=EPSILON, generator=seeded())


@pytest.fixture(scope="module")
def models(digits_model):
    """The original, and a copy whose head has forgotten how to say 3."""
    silenced = copy.deepcopy(digits_model)
    with torch.no_grad():
        silenced.head.bias[3] = -1e4
    return {"original": digits_model, "silenced": silenced}


def test_the_directions_are_orthogonal_and_as_long_as_said(plane):
    for direction in (plane.along, plane.across):
        assert direction.abs().max() == pytest.approx(1.0)
    cosine = torch.nn.functional.cosine_similarity(
        plane.along.flatten(), plane.across.flatten(), dim=0
    )
    assert abs(cosine.item()) < 1e-5


def test_the_first_direction_leads_across_the_boundary_to_the_runner_up(
    plane, sample, digits_model
):
    assert plane.target == runner_up(digits_model, sample[None], [3]).item()
    here, there = predict(digits_model, plane.points([0.0, plane.crosses_at])).logits.argmax(dim=1)
    assert here == 3
    assert there != 3
    margin = forget_margin(predict(digits_model, plane.points([0.0, 0.05, 0.1])).logits, (3,))
    assert margin[0] > margin[1] > margin[2]


def test_the_second_direction_leads_towards_an_image(sample, digits_split, digits_model):
    others = digits_split.retain.train.pixels()
    towards = others[nearest(sample, others)]
    options = {"epsilon": EPSILON, "generator": seeded()}
    plane = boundary_plane(digits_model, sample, 3, [3], towards=towards, **options)
    assert ((towards - sample) * plane.across).sum() > 0
    assert abs((plane.along * plane.across).sum().item()) < 1e-3


def test_nearest_is_what_a_loop_finds(sample, digits_split):
    others = digits_split.retain.test.pixels()
    distances = [((other - sample) ** 2).sum().item() for other in others]
    assert nearest(sample, others) == int(np.argmin(distances))


def test_points_run_row_by_row_through_the_origin_and_stay_in_the_box(plane):
    images = plane.points([-0.5, 0.0, 0.5], [-0.2, 0.0])
    assert images.shape == (6, 1, 8, 8)
    assert torch.equal(images[4], plane.origin)
    assert images.min() >= 0
    assert images.max() <= 1
    unclipped = plane.origin + 0.5 * plane.along - 0.2 * plane.across
    torch.testing.assert_close(images[2], unclipped.clamp(0, 1))


def test_a_view_is_what_metrics_say_point_by_point(models, plane):
    view = view_slice(models, plane, [3], epsilon=EPSILON, reach=(-0.3, 0.3), resolution=7)
    images = plane.points(view.along.tolist(), view.across.tolist())
    before, after = (predict(models[name], images).logits for name in models)
    answers = view.answers["silenced"]
    expected = {
        "predicted": after.argmax(dim=1),
        "probability": after.softmax(dim=1).amax(dim=1),
        "over_unlearning": over_unlearning(before, after, [3], reduction="none"),
        "conditional_shift": conditional_shift(before, after, [3], reduction="none"),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(answers, name).ravel(), values.numpy(), atol=1e-6)
    assert answers.predicted.shape == (7, 7)
    assert not (answers.predicted == 3).any()
    assert (answers.masked == answers.predicted).all()


def test_a_silenced_head_shifts_nothing_and_the_original_keeps_its_mass(models, plane):
    view = view_slice(models, plane, [3], epsilon=EPSILON, reach=(-0.3, 0.3), resolution=5)
    assert view.answers["silenced"].over_unlearning.max() < 1e-9
    original = view.answers["original"]
    assert original.conditional_shift.max() < 1e-9
    assert original.over_unlearning[2, 2] > 0.1
    assert original.margin[2, 2] > 0


def test_distance_is_the_largest_pixel_change_of_what_is_shown(models, plane):
    view = view_slice(models, plane, [3], epsilon=EPSILON, reach=(-0.2, 0.2), resolution=5)
    assert view.distance[2, 2] == 0
    images = plane.points(view.along.tolist(), view.across.tolist())
    largest = (images - plane.origin).abs().flatten(1).amax(dim=1)
    np.testing.assert_allclose(view.distance.ravel(), largest.numpy(), atol=1e-6)


def test_the_unit_square_is_a_plane_with_many_forget_points():
    from spotter_core.models import build_model

    model = build_model("mlp", num_classes=3, width=4, input_shape=(2,), generator=seeded())
    near = torch.tensor([[0.25, 0.25], [0.75, 0.75]])
    view = view_slice(
        {"original": model},
        Plane.square(),
        [0],
        epsilon=0.1,
        reach=(-0.5, 0.5),
        resolution=5,
        near=near,
    )
    assert view.distance[1, 1] == view.distance[3, 3] == 0
    assert view.distance[0, 0] == pytest.approx(0.25)
    assert view.distance[0, 4] == pytest.approx(0.75)


def test_typical_has_the_median_margin():
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    assert typical(logits, [0]) == 2
    torch.testing.assert_close(forget_margin(logits, (0,)), torch.tensor([5.0, 1.0, 3.0]))


def test_models_are_left_as_they_are(models, plane, sample, unchanged):
    own = {"original": copy.deepcopy(models["original"])}
    with unchanged(own["original"]):
        view_slice(own, plane, [3], epsilon=EPSILON, reach=(-0.1, 0.1), resolution=3)
        boundary_plane(own["original"], sample, 3, [3], epsilon=0.05, generator=seeded())


def test_equal_generators_give_equal_planes(sample, digits_model):
    one, two = (
        boundary_plane(digits_model, sample, 3, [3], epsilon=EPSILON, generator=seeded(4))
        for _ in range(2)
    )
    assert torch.equal(one.along, two.along)
    assert torch.equal(one.across, two.across)


def test_best_answers_and_pictures_have_the_shapes_that_plots_want(models, plane):
    images = plane.points([0.0, 0.1])
    predicted, probability = best_answers(models, images)["original"]
    assert predicted.shape == probability.shape == (2,)
    assert as_pictures(images).shape == (2, 8, 8)
    assert as_pictures(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)


def test_bad_input_is_refused(models, plane, sample, digits_model):
    with pytest.raises(ValueError, match="original"):
        view_slice({"silenced": models["silenced"]}, plane, [3], epsilon=0.1, reach=(-1, 1))
    with pytest.raises(ValueError, match="width"):
        view_slice(models, plane, [3], epsilon=0.1, reach=(1, -1))
    with pytest.raises(ValueError, match="epsilon"):
        boundary_plane(digits_model, sample, 3, [3], epsilon=0.0, generator=seeded())
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        boundary_plane(digits_model, sample * 255, 3, [3], epsilon=0.1, generator=seeded())
    with pytest.raises(ValueError, match="no length"):
        boundary_plane(
            digits_model, sample, 3, [3], epsilon=0.1, generator=seeded(), towards=sample
        )
