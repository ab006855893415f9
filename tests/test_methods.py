import copy
import inspect
import math
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.data import ForbiddenSet, ImageSet
from spotter_core.losses import SpotterLoss, dispersion_loss, masked_distillation_loss
from spotter_core.methods import (
    METHODS,
    DescentMethod,
    ForgetOnlyMethod,
    RetainMethod,
    find_method,
)
from spotter_core.methods._descent import Task
from spotter_core.metrics import accuracy, mean_cosine_similarity, over_unlearning
from spotter_core.models import wrap
from spotter_core.neighborhoods import BoundaryNeighborhood, UniformNeighborhood
from spotter_core.training import Diverged, Predictions, Recipe, fit, predict

FORGET_ONLY = [name for name, m in METHODS.items() if isinstance(m, ForgetOnlyMethod)]
WITH_RETAIN = [name for name, m in METHODS.items() if isinstance(m, RetainMethod)]
DESCENTS = [name for name, m in METHODS.items() if isinstance(m, DescentMethod)]
EPOCHS = [*DESCENTS, "retrain"]  # the others are done in one step, and have no history
# One and a half epochs' worth of batches, with a last one that is short.
QUICK = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01}


def seeded(seed=0):
    return Generator().manual_seed(seed)


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def quick(name, **settings):
    if name == "retrain":
        settings = {"recipe": Recipe(epochs=2, batch_size=8)} | settings
    elif name in DESCENTS:
        settings = QUICK | settings
    return METHODS[name].with_settings(**settings)


@pytest.fixture
def model(known):
    """One that knows its samples: what is not recognised can't be unlearned."""
    return copy.deepcopy(known)


@pytest.fixture
def split(samples):
    """Forget and retain samples; class 1 is forgotten."""
    return samples.subset(samples.labels == 1), samples.subset(samples.labels != 1)


def run(name, model, split, seed=0, **settings):
    forget, retain = split
    extra = {"retain": retain} if name in WITH_RETAIN else {}
    return quick(name, **settings)(model, forget, generator=seeded(seed), **extra)


every = pytest.mark.parametrize("name", METHODS)
descending = pytest.mark.parametrize("name", DESCENTS)

# --- promises of every method ---------------------------------------------------------------------


def test_the_registry_names_its_methods_and_has_the_paper_in_it():
    assert {"retrain", "finetune", "neggrad", "random_label", "boundary_shrink"} < set(METHODS)
    assert {"delete", "spotter", "spotter+delete", "spotter+neggrad"} < set(METHODS)
    assert all(key.rpartition("+")[2] in METHODS for key in METHODS)
    assert sorted(FORGET_ONLY + WITH_RETAIN) == sorted(METHODS)
    assert find_method("spotter") is METHODS["spotter"]


@every
def test_the_original_and_the_data_stay_as_they_are(name, model, split, unchanged):
    model.train()
    before = [(part.images.clone(), part.labels.clone()) for part in split]
    with unchanged(model):
        result = run(name, model, split)
    assert not torch.equal(weights(result.model), weights(model))
    assert not any(module.training for module in result.model.modules())
    for part, (images, labels) in zip(split, before, strict=True):
        assert torch.equal(part.images, images)
        assert torch.equal(part.labels, labels)


@every
def test_equal_generators_give_equal_weights_and_others_do_not(name, model, split):
    first, again, other = (run(name, model, split, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(weights(first.model), weights(again.model))
    assert first.history == again.history
    assert not torch.equal(weights(first.model), weights(other.model))


@every
def test_without_a_generator_a_run_is_that_of_seed_0(name, model, split):
    forget, retain = split
    extra = {"retain": retain} if name in WITH_RETAIN else {}
    result = quick(name)(model, forget, **extra)
    assert torch.equal(weights(result.model), weights(run(name, model, split).model))


@every
def test_history_has_a_finite_loss_for_every_epoch(name, model, split):
    result = run(name, model, split)
    assert (1 if name in EPOCHS else 0) <= len(result.history) <= 2
    assert all("loss" in epoch for epoch in result.history)
    assert all(math.isfinite(value) for epoch in result.history for value in epoch.values())
    assert all(math.isfinite(value) for value in result.notes.values())


@every
def test_the_images_read_are_counted_by_side(name, model, split):
    result = run(name, model, split)
    sizes = {"forget": len(split[0]), "retain": len(split[1])}
    assert set(result.reads) == set(sizes)
    for side in sizes:
        if METHODS[name].reads in (side, "both"):
            assert result.reads[side] >= 1
        else:
            assert result.reads[side] == 0
    if name in FORGET_ONLY or name in ("retrain", "finetune"):
        own = METHODS[name].reads
        assert result.reads[own] == len(result.history) * sizes[own]


@every
def test_a_method_is_frozen_and_refuses_unknown_settings_by_listing_its_own(name):
    method = METHODS[name]
    first = fields(method)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(method, first, 1.0)
    with pytest.raises(ValueError, match=rf"has no setting lr; it has {first}"):
        method.with_settings(lr=0.1)
    with pytest.raises(ValueError, match="has no setting name"):
        method.with_settings(name="x")


@descending
def test_settings_of_a_descent_are_checked_and_copied(name):
    method = METHODS[name]
    with pytest.raises(ValueError, match="epochs must be above 0"):
        method.with_settings(epochs=0)
    with pytest.raises(ValueError, match="optimizer must be one of adam, sgd"):
        method.with_settings(optimizer="lion")
    before = method.momentum
    assert method.with_settings(momentum=0.5).momentum == 0.5
    assert method.momentum == before


def test_an_unknown_method_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="unknown method 'spoter'; known: retrain, finetune"):
        find_method("spoter")


@every
def test_nothing_to_forget_strangers_and_all_classes_are_refused(name, model, samples, split):
    extra = {"retain": split[1]} if name in WITH_RETAIN else {}
    method = quick(name)
    with pytest.raises(ValueError, match="forget is empty"):
        method(model, samples.subset(samples.labels > 9), **extra)
    with pytest.raises(ValueError, match=r"samples of classes \[0, 2, 3\], which are not in"):
        method(model, samples, forget_classes=[1], **extra)
    with pytest.raises(ValueError, match="all 4 classes"):
        method(model, samples, **extra)
    with pytest.raises(ValueError, match="out of range"):
        method(model, split[0], forget_classes=[1, 4], **extra)


@every
def test_several_classes_are_forgotten_at_once_though_one_has_no_sample(name, model, samples):
    forget = samples.subset(samples.labels == 2)
    split = (forget, samples.subset((samples.labels == 1) | (samples.labels == 3)))
    extra = {"retain": split[1]} if name in WITH_RETAIN else {}
    result = quick(name)(model, forget, forget_classes=[2, 0], **extra)
    assert all(math.isfinite(epoch["loss"]) for epoch in result.history)


@pytest.mark.parametrize("name", EPOCHS)
def test_a_learning_rate_beyond_reason_is_an_error_that_names_it(name, model, split, unchanged):
    wild = {"epochs": 6, "learning_rate": 1e30}
    if name == "retrain":
        wild = {"recipe": Recipe(batch_size=8, **wild)}
    method = quick(name, **wild)
    extra = {"retain": split[1]} if name in WITH_RETAIN else {}
    with unchanged(model), pytest.raises(Diverged, match=r"learning_rate.*1e\+30"):
        method(model, split[0], **extra)


@pytest.mark.parametrize(
    "name", ["finetune", "neggrad", "random_label", "boundary_shrink", "scrub", "delete", "spotter"]
)
def test_a_network_that_the_last_step_destroyed_is_an_error(name, model, split):
    with pytest.raises(Diverged, match=r"learning_rate .*1e\+30"):
        run(name, model, split, epochs=1, batch_size=512, learning_rate=1e30)


@descending
def test_a_watcher_sees_every_epoch(name, model, split):
    seen = []

    def watch(epoch, student, losses):
        seen.append((epoch, accuracy(predict(student, split[0].images).logits, split[0].labels)))
        assert "loss" in losses

    extra = {"retain": split[1]} if name in WITH_RETAIN else {}
    result = quick(name)(model, split[0], watch=watch, **extra)
    assert [epoch for epoch, _ in seen] == list(range(1, len(result.history) + 1))
    after = accuracy(predict(result.model, split[0].images).logits, split[0].labels)
    assert seen[-1][1] == after


# --- who reads what -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORGET_ONLY)
def test_a_forget_only_method_has_no_way_to_be_handed_retained_samples(name, model, split):
    parameters = inspect.signature(METHODS[name].__call__).parameters
    assert list(parameters) == ["original", "forget", "forget_classes", "generator", "watch"]
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    assert METHODS[name].reads == "forget"
    with pytest.raises(TypeError, match="retain"):
        METHODS[name](model, split[0], retain=ForbiddenSet())
    # all that it can reach are the two arguments: the run needs nothing else
    assert run(name, model, (split[0], ForbiddenSet())).history


class LabelsOnly(ImageSet):
    """Forget samples whose images nobody may look at."""

    def __init__(self, labels):
        object.__setattr__(self, "labels", labels)

    def __getattribute__(self, name):
        if name in ("images", "pixels", "subset", "batches"):
            raise PermissionError(f"a forget sample was read: {name}")
        return super().__getattribute__(name)


@pytest.mark.parametrize("name", [name for name in WITH_RETAIN if METHODS[name].reads == "retain"])
def test_a_retain_method_reads_no_image_that_is_to_be_forgotten(name, model, split):
    blind = LabelsOnly(split[0].labels)
    with pytest.raises(PermissionError):
        blind.pixels()
    result = run(name, model, (blind, split[1]))
    assert torch.equal(weights(result.model), weights(run(name, model, split).model))
    with pytest.raises(TypeError, match="retain"):
        METHODS[name](model, split[0])


# --- one by one -----------------------------------------------------------------------------------


def test_neggrad_stops_when_no_forget_sample_is_recognised(digits_model, digits_split):
    forget = digits_split.forget.train
    method = METHODS["neggrad"].with_settings(learning_rate=0.01, epochs=50)
    left = []

    def watch(epoch, student, losses):
        left.append(accuracy(predict(student, forget.images).logits, forget.labels))

    result = method(digits_model, forget, generator=seeded(), watch=watch)
    assert 1 <= len(result.history) < 50
    assert left[-1] == 0.0
    assert all(share > 0.0 for share in left[:-1])
    assert result.history[0]["loss"] < 0.0


def test_neggrad_leaves_alone_what_is_no_longer_recognised(model, split):
    method, labels = METHODS["neggrad"], torch.tensor([1, 1, 0])
    logits = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0]], requires_grad=True)
    loss = method.loss(logits, labels, (1,))
    loss.backward()
    assert loss.item() == pytest.approx(ascend_if_recognised(logits, labels).item())
    assert logits.grad.abs().sum(dim=1).bool().tolist() == [True, False, True]


def test_random_labels_are_retained_classes_and_drawn_evenly(model, samples):
    many = ImageSet(torch.zeros(3000, 3, 4, 4), torch.ones(3000).long())
    drawn = METHODS["random_label"].targets(Task(model, many, (1,), seeded()), {})
    assert drawn.bincount(minlength=4)[1] == 0
    shares = drawn.bincount(minlength=4)[[0, 2, 3]] / 3000
    assert (shares - 1 / 3).abs().max() < 0.04


def test_boundary_shrink_aims_at_retained_classes_and_reports_how_many_flipped(
    digits_model, digits_split
):
    forget, classes = digits_split.forget.train, digits_split.forget_classes
    method = METHODS["boundary_shrink"].with_settings(bound=0.3)
    notes = {}
    targets = method.targets(Task(digits_model, forget, classes, seeded()), notes)
    assert not torch.isin(targets, torch.tensor(classes)).any()

    pixels = forget.pixels().requires_grad_()
    F.cross_entropy(digits_model(pixels), forget.labels, reduction="sum").backward()
    digits_model.zero_grad()
    crossed = (pixels.detach() + 0.3 * pixels.grad.sign()).clamp(0.0, 1.0)
    predicted = digits_model(crossed).argmax(dim=1)
    flipped = predicted != classes[0]
    assert 0.0 < notes["flip_rate"] <= 1.0
    assert notes["flip_rate"] == pytest.approx(flipped.double().mean().item())
    assert torch.equal(targets[flipped], predicted[flipped])


@pytest.mark.parametrize("bound", [1e-6, 0.1, 1.0])
def test_a_flip_rate_is_a_share(model, split, bound):
    assert 0.0 <= run("boundary_shrink", model, split, bound=bound).notes["flip_rate"] <= 1.0


def test_delete_descends_masked_distillation_from_the_original(model, split):
    forget = split[0]
    result = run("delete", model, split, epochs=1, batch_size=len(forget))
    logits = predict(model, forget.images).logits
    expected = masked_distillation_loss(logits, logits, [1]).item()
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_finetune_descends_the_cross_entropy_of_retained_samples(model, split):
    retain = split[1]
    result = run("finetune", model, split, epochs=1, batch_size=len(retain))
    expected = F.cross_entropy(model(retain.images), retain.labels).item()
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_finetuning_a_network_with_dropout_is_reproducible(split):
    layers = [nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)]
    model = wrap(nn.Sequential(*layers), mean=[0.5] * 3, std=[0.25] * 3)
    runs = [run("finetune", model, split).model for _ in range(2)]
    assert torch.equal(weights(runs[0]), weights(runs[1]))


def test_retrain_fits_a_fresh_network_on_retained_samples_alone(model, split):
    result = run("retrain", model, split, seed=3)
    generator = seeded(3)
    recipe = Recipe(epochs=2, batch_size=8)
    expected = fit(model.fresh(generator), split[1], recipe=recipe, generator=generator)
    assert torch.equal(weights(result.model), weights(expected.model))
    assert result.model.num_classes == 4
    assert [epoch["loss"] for epoch in result.history] == expected.losses


# --- Spotter --------------------------------------------------------------------------------------

NEAR = BoundaryNeighborhood(0.1, 0.04, 2)


def spotter_terms(student, forget, targets, near, near_logits, base):
    """Spotter's three terms from public functions, every one with a pass of its own."""
    return {
        "unlearning": base(student(forget.images), targets),
        "over_unlearning": masked_distillation_loss(student(near), near_logits, [1]),
        "dispersion": dispersion_loss(student.features(forget.images), forget.labels),
    }


def ascend_if_recognised(logits, targets):
    losses = [
        F.cross_entropy(row, target) if row.argmax() == target else 0.0 * row.sum()
        for row, target in zip(logits, targets, strict=True)
    ]
    return -sum(losses) / len(losses)


BASES = {
    "spotter": lambda logits, targets: masked_distillation_loss(logits, targets, [1]),
    "spotter+neggrad": ascend_if_recognised,
    "spotter+random_label": F.cross_entropy,
    "spotter+boundary_shrink": F.cross_entropy,
}


@pytest.mark.parametrize("name", BASES)
def test_two_steps_of_spotter_are_the_explicit_computation(name, model, split):
    forget = split[0]
    method = METHODS[name].with_settings(
        epochs=2,
        batch_size=50,
        learning_rate=0.01,
        momentum=0.5,
        weight_decay=0.1,
        lambda_1=0.6,
        lambda_2=0.8,
        neighborhood=NEAR,
    )
    result = method(model, forget, generator=seeded(5))

    generator = seeded(5)
    targets = method.base.targets(Task(model, forget, (1,), generator), {})
    near = NEAR(model, forget.images, forget.labels, [1], generator=generator)
    near_logits = predict(model, near).logits
    student = copy.deepcopy(model).eval()
    velocity = [torch.zeros_like(p) for p in student.parameters()]
    for epoch in range(2):
        terms = spotter_terms(student, forget, targets, near, near_logits, BASES[name])
        own, other, similar = terms.values()
        loss = 0.6 * own + 0.4 * other + 0.8 * similar
        expected = {"loss": loss.item()} | {term: value.item() for term, value in terms.items()}
        assert result.history[epoch] == pytest.approx(expected, rel=1e-4)
        gradients = torch.autograd.grad(loss, list(student.parameters()))
        with torch.no_grad():
            for p, g, v in zip(student.parameters(), gradients, velocity, strict=True):
                v.mul_(0.5).add_(g + 0.1 * p)
                p.sub_(0.01 * v)
    torch.testing.assert_close(weights(result.model), weights(student), rtol=1e-4, atol=1e-6)


def test_spotter_takes_its_twins_in_turn(model, split):
    forget = split[0]
    calls = []

    class Shifted:
        def __call__(self, model, images, labels, forget_classes, *, generator):
            calls.append(generator)
            return (images + 0.2 * len(calls)).clamp(0.0, 1.0)

    seen = []

    class Spy(SpotterLoss):
        def distil(self, student_logits, teacher_logits):
            seen.append(teacher_logits.clone())  # the original's, on the perturbed images
            return super().distil(student_logits, teacher_logits)

    method = METHODS["spotter"].with_settings(
        neighborhood=Shifted(), twins=2, epochs=3, batch_size=50, learning_rate=1e-6
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spotter_core.methods.spotter.SpotterLoss", Spy)
        method(model, forget, generator=seeded())
    assert len(calls) == 2
    assert len(seen) == 3
    assert torch.equal(seen[0].sort(dim=0).values, seen[2].sort(dim=0).values)
    assert not torch.allclose(seen[0].sort(dim=0).values, seen[1].sort(dim=0).values)


def test_spotter_asks_the_original_once_and_the_student_once_a_step(model, split):
    forget = split[0]
    passes = {"original": 0, "student": 0}
    model.backbone.register_forward_hook(lambda *_: passes.__setitem__(who[0], passes[who[0]] + 1))
    who = ["original"]
    method = METHODS["spotter"].with_settings(
        neighborhood=UniformNeighborhood(0.1), epochs=3, batch_size=50
    )
    plan = method.plan(Task(model, forget, (1,), seeded()))
    assert passes["original"] == 2  # clean images and perturbed ones
    who[0] = "student"
    (phase,) = plan.phases(1)
    index = torch.arange(len(forget))
    features = plan.student.features(phase.show(index))
    phase.loss(Predictions(features, plan.student.head(features)), index)
    assert passes == {"original": 2, "student": 1}


def test_spotter_protects_the_neighborhood_and_scatters_the_class(digits_model, digits_split):
    forget, classes = digits_split.forget, digits_split.forget_classes
    near = NEAR(
        digits_model, forget.test.pixels(), forget.test.labels, classes, generator=seeded(9)
    )
    expected = predict(digits_model, near).logits

    def outcome(name, **settings):
        method = METHODS[name].with_settings(
            learning_rate=0.01, epochs=10, batch_size=32, **settings
        )
        unlearned = method(digits_model, forget.train, generator=seeded()).model
        features, logits = predict(unlearned, forget.test.images)
        return (
            accuracy(logits, forget.test.labels),
            over_unlearning(expected, predict(unlearned, near).logits, classes).item(),
            mean_cosine_similarity(features, forget.test.labels),
        )

    base = outcome("random_label")
    over = outcome("spotter+random_label", lambda_1=0.3, neighborhood=NEAR)
    spotter = outcome("spotter", neighborhood=NEAR)
    delete = outcome("delete")
    assert base[0] == spotter[0] == delete[0] == 0.0
    assert over[1] < 0.8 * base[1]  # on held-out images, which neither has seen
    assert over[2] < base[2] - 0.2
    assert spotter[2] < delete[2] - 0.1
    assert spotter[1] < 0.5 * base[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lambda_1": 1.1}, r"lambda_1 must lie in \[0, 1\]"),
        ({"lambda_2": -1.0}, "lambda_2 must be at least 0"),
        ({"twins": 0}, "twins must be above 0"),
    ],
)
def test_spotter_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        METHODS["spotter"].with_settings(**settings)
