import copy
import math

import pytest
import torch
from torch import Generator

from spotter_core.data import ImageSet
from spotter_core.methods import METHODS
from spotter_core.methods._base import RetainDescent, drawn_share
from spotter_core.methods._descent import Task
from spotter_core.metrics import accuracy
from spotter_core.models import build_model, wrap
from spotter_core.training import predict

NAMES = ["neggrad_plus", "bad_teacher", "scrub", "l1_sparse"]
SHARING = [name for name, method in METHODS.items() if isinstance(method, RetainDescent)]
alike = pytest.mark.parametrize("name", NAMES)
alone_and_under_spotter = pytest.mark.parametrize(
    "name", [*NAMES, *(f"spotter+{name}" for name in NAMES)]
)


def seeded(seed=0):
    return Generator().manual_seed(seed)


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


@pytest.fixture
def split(samples):
    """Forget and retain samples; class 1 is forgotten."""
    return samples.subset(samples.labels == 1), samples.subset(samples.labels != 1)


def run(name, model, split, seed=0, **settings):
    method = METHODS[name].with_settings(**settings)
    return method(model, split[0], retain=split[1], generator=seeded(seed))


def phases(name, model, split, epoch=1, **settings):
    method = METHODS[name].with_settings(**settings)
    return method.plan(Task(model, split[0], (1,), seeded(), split[1])).phases(epoch)


def retaining(found):
    """The one phase that shows the student a retained sample."""
    (phase,) = [phase for phase in found if phase.side != "forget"]
    return phase


def test_defaults_are_the_official_ones():
    plus, teacher, scrub, sparse = (METHODS[name] for name in NAMES)
    assert (plus.alpha, plus.learning_rate, plus.epochs) == (0.9999, 0.01, 5)
    assert (teacher.optimizer, teacher.learning_rate, teacher.epochs) == ("adam", 1e-4, 1)
    assert (teacher.batch_size, teacher.retain_share) == (256, 0.3)
    assert (scrub.gamma, scrub.alpha, scrub.temperature) == (0.99, 0.001, 4.0)
    assert (scrub.max_epochs, scrub.epochs, scrub.learning_rate) == (2, 3, 5e-4)
    assert (scrub.batch_size, scrub.forget_batch_size) == (128, 32)
    assert (sparse.gamma, sparse.learning_rate, sparse.epochs) == (5e-4, 0.01, 10)
    assert [method.reads for method in (plus, teacher, scrub)] == ["both"] * 3
    assert sparse.reads == "retain"


# --- the losses, against loops over samples in float64 --------------------------------------------


def log_probabilities(row):
    highest = row.max()
    return row - highest - (row - highest).exp().sum().log()


def cross_entropy(logits, labels):
    rows = zip(logits, labels, strict=True)
    return sum(-log_probabilities(row)[label] for row, label in rows) / len(labels)


def divergence(teacher, student, temperature=1.0):
    total = 0.0
    for p_row, q_row in zip(teacher, student, strict=True):
        p, q = log_probabilities(p_row / temperature), log_probabilities(q_row / temperature)
        total = total + sum(p[c].exp() * (p[c] - q[c]) for c in range(len(p)))
    return total * temperature**2 / len(teacher)


def in_float64(model, samples):
    return copy.deepcopy(model).double().eval()(samples.images.double()).detach()


def descend_by_sgd(model, losses, *, rate, momentum, decay):
    """Return a float64 copy after one step for each of ``losses``, and their values before it."""
    student = copy.deepcopy(model).double().eval()
    velocity = [torch.zeros_like(p) for p in student.parameters()]
    values = []
    for loss_of in losses:
        loss = loss_of(student)
        values.append(loss.item())
        gradients = torch.autograd.grad(loss, list(student.parameters()))
        with torch.no_grad():
            for p, g, v in zip(student.parameters(), gradients, velocity, strict=True):
                v.mul_(momentum).add_(g + decay * p)
                p.sub_(rate * v)
    return student, values


SGD = {"learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.1}
SGD_TOO = {"rate": 0.05, "momentum": 0.5, "decay": 0.1}
WHOLE = {"epochs": 2, "batch_size": 50, "precision": "float32"}  # a step is all of a side


def assert_same(result, student):
    torch.testing.assert_close(weights(result.model), weights(student), rtol=1e-4, atol=1e-6)


def test_two_steps_of_neggrad_plus_are_the_explicit_computation(known, split):
    forget, retain = split
    result = run("neggrad_plus", known, split, alpha=0.7, forget_batch_size=50, **WHOLE, **SGD)

    def loss(student):
        ascended = 0.0
        for row, label in zip(student(forget.images.double()), forget.labels, strict=True):
            if row.argmax() == label:
                ascended = ascended + log_probabilities(row)[label]
        kept = cross_entropy(student(retain.images.double()), retain.labels)
        return 0.7 * kept + 0.3 * ascended / len(forget)

    student, values = descend_by_sgd(known, [loss, loss], **SGD_TOO)
    assert [epoch["loss"] for epoch in result.history] == pytest.approx(values, rel=1e-4)
    parts = [0.7 * epoch["retain_loss"] + 0.3 * epoch["forget_loss"] for epoch in result.history]
    assert parts == pytest.approx(values, rel=1e-4)
    assert_same(result, student)


def test_two_steps_of_bad_teacher_are_the_explicit_computation(known, split):
    forget, retain = split
    settings = WHOLE | SGD | {"optimizer": "sgd", "retain_share": 1.0}
    result = run("bad_teacher", known, split, seed=5, **settings)
    bad = in_float64(known.fresh(seeded(5)), forget)
    teachers = torch.cat([bad, in_float64(known, retain)])
    images = torch.cat([forget.images, retain.images]).double()

    def loss(student):
        return divergence(teachers, student(images))

    student, values = descend_by_sgd(known, [loss, loss], **SGD_TOO)
    assert [epoch["loss"] for epoch in result.history] == pytest.approx(values, rel=1e-4)
    assert_same(result, student)


def test_a_step_of_adam_is_as_long_as_the_learning_rate(known, split):
    result = run("bad_teacher", known, split, learning_rate=0.01, **WHOLE | {"epochs": 1})
    moved = (weights(result.model) - weights(known)).abs()
    assert moved.max().item() == pytest.approx(0.01, rel=1e-3)
    assert moved.median().item() == pytest.approx(0.01, rel=1e-2)


def test_two_epochs_of_scrub_are_the_explicit_computation(known, split):
    forget, retain = split
    result = run(
        "scrub",
        known,
        split,
        gamma=0.6,
        alpha=0.4,
        temperature=2.0,
        forget_batch_size=50,
        **WHOLE,
        **SGD,
    )
    teachers = [in_float64(known, side) for side in split]

    def away(student):
        return -divergence(teachers[0], student(forget.images.double()), 2.0)

    def back(student):
        logits = student(retain.images.double())
        return 0.6 * cross_entropy(logits, retain.labels) + 0.4 * divergence(
            teachers[1], logits, 2.0
        )

    student, values = descend_by_sgd(known, [away, back, away, back], **SGD_TOO)
    n, m = map(len, split)
    means = [(n * values[i] + m * values[i + 1]) / (n + m) for i in (0, 2)]
    assert [epoch["loss"] for epoch in result.history] == pytest.approx(means, rel=1e-4)
    assert result.history[1]["forget_divergence"] == pytest.approx(-values[2], rel=1e-3)
    assert_same(result, student)


def test_two_steps_of_l1_sparse_are_the_explicit_computation(known, split):
    retain = split[1]
    result = run("l1_sparse", known, split, gamma=0.02, **WHOLE, **SGD)

    def loss(weight):
        def of(student):
            norm = sum(abs(value) for p in student.parameters() for value in p.flatten())
            return cross_entropy(student(retain.images.double()), retain.labels) + weight * norm

        return of

    student, values = descend_by_sgd(known, [loss(0.02), loss(0.01)], **SGD_TOO)
    assert [epoch["loss"] for epoch in result.history] == pytest.approx(values, rel=1e-4)
    assert_same(result, student)


# --- what an epoch is -----------------------------------------------------------------------------


@pytest.mark.parametrize("max_epochs", [0, 1, 2, 5])
def test_scrub_ascends_in_its_first_epochs_and_descends_in_all(known, split, max_epochs):
    for epoch in (1, 2, 3):
        found = phases("scrub", known, split, epoch, max_epochs=max_epochs, forget_batch_size=7)
        ascents = ["forget"] if epoch <= max_epochs else []
        assert [phase.side for phase in found] == [*ascents, "retain"]
        assert [phase.batch_size for phase in found] == [*[7] * len(ascents), None]
    result = run("scrub", known, split, max_epochs=max_epochs, epochs=3)
    assert result.reads == {"forget": min(max_epochs, 3) * 12, "retain": 3 * 36}
    assert ["forget_divergence" in epoch for epoch in result.history] == [
        epoch <= max_epochs for epoch in (1, 2, 3)
    ]


def test_scrub_has_nothing_to_ascend_where_the_student_still_is_the_original(known, split):
    (ascent, _) = phases("scrub", known, split)
    student = copy.deepcopy(known)
    index = torch.arange(len(split[0]))
    loss = ascent.loss(predict(student, split[0].images), index)["loss"]
    assert loss.item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("name", ["l1_sparse", "spotter+l1_sparse"])
@pytest.mark.parametrize("epochs", [1, 4, 12])
def test_the_weight_of_the_norm_falls_linearly_over_the_epochs_that_are_run(
    known, split, name, epochs
):
    out = predict(known, split[1].images)
    found = []
    for epoch in range(1, epochs + 1):
        phase = retaining(phases(name, known, split, epoch, epochs=epochs))
        losses = phase.loss(out, torch.arange(len(split[1])))
        found.append(((losses["loss"] - losses["cross_entropy"]) / losses["norm"]).item())
    expected = [5e-4 * (epochs - done) / epochs for done in range(epochs)]
    assert found == pytest.approx(expected, rel=1e-3)


def test_l1_sparse_is_fine_tuning_with_smaller_weights(known, split):
    settings = {"learning_rate": 0.05, "epochs": 5, "batch_size": 12}
    tuned = run("finetune", known, split, **settings).model
    free = run("l1_sparse", known, split, gamma=0.0, **settings)
    torch.testing.assert_close(weights(free.model), weights(tuned), rtol=1e-5, atol=1e-7)
    sparse = run("l1_sparse", known, split, gamma=0.02, **settings)
    norms = [sum(p.abs().sum().item() for p in m.parameters()) for m in (tuned, sparse.model)]
    assert norms[1] < 0.9 * norms[0]
    assert all(epoch["norm"] > 0.0 for epoch in sparse.history)


class Counted(ImageSet):
    """Samples that count how often each is shown to the student."""

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "shown", [0] * len(self.labels))

    def pixels(self, index=slice(None)):
        for i in torch.arange(len(self))[index].tolist():
            self.shown[i] += 1
        return super().pixels(index)


@pytest.mark.parametrize(
    ("forgotten", "retained", "forget_batch", "batch"),
    [
        (5, 36, 2, 8),  # 15 batches of forget samples, of 1 or 2: five times all of them
        (12, 9, 2, 4),  # fewer than there are in three epochs of three batches
        (12, 9, 12, 4),
        (1, 36, 4, 10),
        (12, 1, 50, 4),
    ],
)
def test_forget_samples_join_in_turn_however_many_there_are(
    known, split, forgotten, retained, forget_batch, batch
):
    forget = Counted(split[0].images[:forgotten], split[0].labels[:forgotten])
    retain = Counted(split[1].images[:retained], split[1].labels[:retained])
    settings = {"forget_batch_size": forget_batch, "batch_size": batch, "epochs": 3}
    result = run("neggrad_plus", known, (forget, retain), **settings)
    assert retain.shown == [3] * retained
    assert max(forget.shown) - min(forget.shown) <= 1
    assert result.reads == {"forget": sum(forget.shown), "retain": 3 * retained}
    steps = 3 * math.ceil(retained / batch)
    passes, rest = divmod(steps, math.ceil(forgotten / forget_batch))
    assert sum(forget.shown) == passes * forgotten + rest * min(forget_batch, forgotten)


def test_neggrad_plus_leaves_alone_what_is_not_recognised(known, split):
    forget, retain = split
    strangers = ImageSet(retain.images[:6], forget.labels[:6])
    assert accuracy(predict(known, strangers.images).logits, strangers.labels) == 0.0
    settings = {"epochs": 1, "batch_size": 50, "learning_rate": 0.02, "precision": "float32"}
    result = run("neggrad_plus", known, (strangers, retain), alpha=0.5, **settings)
    assert result.history[0]["forget_loss"] == 0.0
    alone = run("finetune", known, split, **settings | {"learning_rate": 0.01, "weight_decay": 0.0})
    torch.testing.assert_close(weights(result.model), weights(alone.model), rtol=1e-4, atol=1e-6)


# --- how much is read -----------------------------------------------------------------------------


def test_every_descent_on_retained_samples_takes_a_share_of_them():
    assert {"finetune", *NAMES} | {f"spotter+{name}" for name in NAMES} <= set(SHARING)
    for name in SHARING:
        share = METHODS[name].retain_share
        assert share == (0.3 if name.endswith("bad_teacher") else 1.0)
        for wrong in (0.0, -0.5, 1.01, math.nan):
            with pytest.raises(ValueError, match=r"retain_share must lie in \(0, 1\]"):
                METHODS[name].with_settings(retain_share=wrong)


def test_a_share_is_drawn_once_in_order_and_all_of_it_without_a_draw(samples):
    generator = seeded(3)
    before = generator.get_state()
    assert drawn_share(samples, 1.0, generator) is samples
    assert torch.equal(generator.get_state(), before)
    numbered = ImageSet(torch.arange(48.0).view(48, 1) / 48.0, samples.labels)
    half = drawn_share(numbered, 0.5, generator)
    positions = (half.images[:, 0] * 48.0).round().long()
    assert len(half) == 24
    assert (positions.diff() > 0).all()
    assert torch.equal(half.labels, samples.labels[positions])
    assert not torch.equal(positions, torch.arange(24))
    assert len(drawn_share(numbered, 1e-6, generator)) == 1


@pytest.mark.parametrize("name", ["finetune", *NAMES])
def test_a_share_alone_is_read_and_counted(name, known, split):
    settings = {"epochs": 2, "batch_size": 8}
    result = run(name, known, split, seed=4, retain_share=0.25, **settings)
    assert result.reads["retain"] == 2 * 9
    generator = seeded(4)
    share = drawn_share(split[1], 0.25, generator)
    method = METHODS[name].with_settings(retain_share=1.0, **settings)
    same = method(known, split[0], retain=share, generator=generator)
    assert torch.equal(weights(result.model), weights(same.model))


def test_bad_teacher_reads_every_sample_once_an_epoch(known, split):
    result = run("bad_teacher", known, split, epochs=2, batch_size=8)
    assert result.reads == {"forget": 2 * 12, "retain": 2 * 11}  # 30 % of 36
    assert run("l1_sparse", known, split, epochs=2).reads == {"forget": 0, "retain": 2 * 36}


# --- corners --------------------------------------------------------------------------------------


@alone_and_under_spotter
def test_one_forget_sample_is_enough(name, known, split, unchanged):
    one = split[0].subset(torch.tensor([3]))
    model = copy.deepcopy(known)  # without the gradients that its training left
    with unchanged(model):
        result = run(name, model, (one, split[1]), epochs=2, batch_size=8, learning_rate=0.01)
    assert all(math.isfinite(value) for epoch in result.history for value in epoch.values())
    assert not torch.equal(weights(result.model), weights(known))


@alone_and_under_spotter
def test_all_classes_but_one_can_be_forgotten(name, known, samples):
    split = samples.subset(samples.labels != 2), samples.subset(samples.labels == 2)
    result = run(name, known, split, epochs=2, batch_size=8, learning_rate=0.01)
    assert all(math.isfinite(value) for epoch in result.history for value in epoch.values())
    assert accuracy(predict(result.model, split[1].images).logits, split[1].labels) > 0.9


@alone_and_under_spotter
def test_one_retained_sample_is_enough(name, known, split):
    one = split[1].subset(torch.tensor([3]))
    result = run(name, known, (split[0], one), epochs=2, batch_size=8, learning_rate=0.01)
    assert all(math.isfinite(value) for epoch in result.history for value in epoch.values())


@alike
def test_batch_norm_is_frozen_where_the_method_says_so(name, split):
    small = build_model("resnet18", num_classes=4, width=2, input_shape=(3, 4, 4))
    before = {key: value.clone() for key, value in small.state_dict().items()}
    result = run(name, small, split, epochs=1, batch_size=8, retain_share=1.0).model
    statistics = [key for key in before if key.endswith("running_mean")]
    moved = [not torch.equal(before[key], result.state_dict()[key]) for key in statistics]
    assert moved == [name in ("scrub", "l1_sparse")] * len(statistics)


def test_a_wrapped_network_has_no_bad_teacher_and_is_told_so(split):
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))
    model = wrap(layers, mean=[0.5] * 3, std=[0.25] * 3)
    with pytest.raises(ValueError, match="bad_teacher needs an untrained network"):
        run("bad_teacher", model, split)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("neggrad_plus", {"alpha": 1.5}, r"alpha must lie in \[0, 1\]"),
        ("neggrad_plus", {"forget_batch_size": 0}, "forget_batch_size must be above 0"),
        ("scrub", {"gamma": -0.1}, "gamma must be at least 0"),
        ("scrub", {"alpha": -0.1}, "alpha must be at least 0"),
        ("scrub", {"max_epochs": -1}, "max_epochs must be at least 0"),
        ("scrub", {"temperature": 0.0}, "temperature must be above 0"),
        ("scrub", {"forget_batch_size": 0}, "forget_batch_size must be above 0"),
        ("l1_sparse", {"gamma": -1e-4}, "gamma must be at least 0"),
        ("l1_sparse", {"gamma": math.nan}, "gamma must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        METHODS[name].with_settings(**settings)


# --- under Spotter --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "epoch", "sides"),
    [
        ("neggrad_plus", 1, ["forget", "both"]),
        ("bad_teacher", 1, ["forget", "both"]),
        ("scrub", 1, ["forget", "retain"]),
        ("scrub", 3, ["forget", "retain"]),
        ("finetune", 1, ["forget", "retain"]),
        ("l1_sparse", 1, ["forget", "retain"]),
    ],
)
def test_spotters_terms_are_in_every_epoch_and_retained_samples_end_it(
    known, split, name, epoch, sides
):
    found = phases(f"spotter+{name}", known, split, epoch)
    assert [phase.side for phase in found] == sides
    (over_forget,) = [phase for phase in found if phase.side == "forget"]
    index = torch.arange(4)
    images = over_forget.show(index)
    assert len(images) == 8
    losses = over_forget.loss(predict(known, images), index)
    assert {"unlearning", "over_unlearning", "dispersion"} <= set(losses)


# --- what they are for ----------------------------------------------------------------------------

SENSIBLE = {
    "neggrad_plus": {"learning_rate": 0.02, "alpha": 0.9, "epochs": 5, "batch_size": 64},
    "bad_teacher": {"learning_rate": 2e-3, "epochs": 10, "batch_size": 64},
    "scrub": {"learning_rate": 0.005, "alpha": 0.1, "epochs": 5, "batch_size": 64},
    "l1_sparse": {"learning_rate": 0.05, "gamma": 1e-3, "epochs": 20, "batch_size": 64},
}


@alike
def test_a_class_of_digits_is_forgotten_and_the_others_are_kept(name, digits_model, digits_split):
    forget, retain = digits_split.forget, digits_split.retain

    def score(model):
        return [
            accuracy(predict(model, part.images).logits, part.labels)
            for part in (forget.train, forget.test, retain.train, retain.test)
        ]

    before = score(digits_model)
    after = score(run(name, digits_model, (forget.train, retain.train), **SENSIBLE[name]).model)
    assert min(before) > 0.85
    assert max(after[:2]) < 0.4, after
    assert after[2] > before[2] - 0.03, after
    assert after[3] > before[3] - 0.03, after
