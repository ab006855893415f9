import copy
import logging
import math

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.augmentation import draw_moves, move
from spotter_core.data import ImageSet
from spotter_core.memory import OutOfMemory
from spotter_core.models import Classifier, build_model, wrap
from spotter_core.training import Diverged, Recipe, fit, predict, shrunk

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.05)


def seeded(seed=0):
    return Generator().manual_seed(seed)


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


def noisy_network():
    layers = [nn.Flatten(), nn.Linear(48, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)]
    return wrap(nn.Sequential(*layers), mean=[0.5] * 3, std=[0.25] * 3)


# --- fit ------------------------------------------------------------------------------------------


def test_fit_leaves_the_model_as_it_is_and_returns_a_copy_in_eval_mode(model, samples, unchanged):
    before = samples.images.clone(), samples.labels.clone()
    with unchanged(model):
        fitted = fit(model, samples, recipe=RECIPE, generator=seeded())
    assert not torch.equal(weights(fitted.model), weights(model))
    assert not any(module.training for module in fitted.model.modules())
    assert torch.equal(samples.images, before[0])
    assert torch.equal(samples.labels, before[1])


def test_fit_learns(model, samples):
    recipe = Recipe(epochs=40, batch_size=16, learning_rate=0.05)
    fitted = fit(model, samples, recipe=recipe, generator=seeded())
    assert len(fitted.losses) == 40
    assert fitted.losses[0] > math.log(4) / 2
    assert fitted.losses[-1] < 0.1 * fitted.losses[0]
    logits = predict(fitted.model, samples.images).logits
    assert (logits.argmax(1) == samples.labels).float().mean() > 0.95


@pytest.mark.parametrize("network", ["plain", "with dropout"])
def test_equal_generators_give_equal_weights_and_others_do_not(model, samples, network):
    start = model if network == "plain" else noisy_network()
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(torch.seed())  # whatever the global generator holds
        runs.append(fit(start, samples, recipe=RECIPE, generator=seeded(seed)))
    assert torch.equal(weights(runs[0].model), weights(runs[1].model))
    assert runs[0].losses == runs[1].losses
    assert not torch.equal(weights(runs[0].model), weights(runs[2].model))


@pytest.mark.parametrize("warmup", [0.3, 0.6])
def test_fit_equals_a_plain_loop_over_one_cycle(model, samples, warmup):
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.05, warmup=warmup)
    fitted = fit(model, samples, recipe=recipe, generator=seeded(3))

    student, generator = copy.deepcopy(model), seeded(3)
    torch.randint(2**62, (1,), generator=generator)  # the seed of dropout
    optimizer = torch.optim.SGD(
        student.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    steps, losses, step = 9, [], 0
    for _ in range(3):
        total = 0.0
        for index in torch.randperm(48, generator=generator).split(16):
            optimizer.param_groups[0]["lr"] = one_cycle(step, steps, top=0.05, warmup=warmup)
            step += 1
            loss = F.cross_entropy(student(samples.images[index]), samples.labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / 48)
    assert fitted.losses == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(weights(fitted.model), weights(student), rtol=1e-5, atol=1e-7)


def one_cycle(step, steps, *, top, warmup):
    """Cosine from top / 25 to top in the warmup's share of the steps, then to top / 250,000."""
    up = warmup * steps - 1
    if step <= up:
        return top / 25 + (top - top / 25) * (1 - math.cos(math.pi * step / up)) / 2
    done = (step - up) / (steps - 1 - up)
    low = top / 25 / 1e4
    return low + (top - low) * (1 + math.cos(math.pi * done)) / 2


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 48), (1, 1000), (2, 48), (1, 7), (4, 47)])
def test_fit_manages_any_number_of_steps(model, samples, epochs, batch_size):
    recipe = Recipe(epochs=epochs, batch_size=batch_size)
    assert len(fit(model, samples, recipe=recipe, generator=seeded()).losses) == epochs


def test_fit_takes_bytes_as_well_as_floats(model, samples):
    raw = ImageSet((samples.images * 255).round().byte(), samples.labels)
    floats = ImageSet(raw.pixels(), raw.labels)
    runs = [fit(model, data, recipe=RECIPE, generator=seeded()) for data in (raw, floats)]
    assert torch.equal(weights(runs[0].model), weights(runs[1].model))


def test_a_watcher_is_called_after_every_epoch_with_the_network_and_its_means(model, samples):
    seen = []

    def watch(*at):
        seen.append(at)

    fitted = fit(model, samples, recipe=RECIPE, generator=seeded(), watch=watch)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3]
    assert all(network is fitted.model for _, network, _ in seen)
    assert [means["loss"] for _, _, means in seen] == fitted.losses
    assert [means["accuracy"] for _, _, means in seen] == fitted.accuracies
    assert all(set(means) == {"loss", "accuracy"} for _, _, means in seen)


def test_the_training_accuracy_is_that_of_every_batch_before_its_step(model, samples):
    recipe = Recipe(epochs=60, batch_size=48, learning_rate=0.1)
    seen = []
    before = predict(model, samples.images).logits
    fitted = fit(
        model,
        samples,
        recipe=recipe,
        generator=seeded(),
        watch=lambda *at: seen.append(predict(at[1], samples.images).logits),
    )
    steps = [before, *seen[:-1]]  # one batch an epoch, so each epoch sees the one before it
    hits = [(logits.argmax(1) == samples.labels).float().mean().item() for logits in steps]
    assert fitted.accuracies == pytest.approx(hits)
    assert fitted.accuracies[-1] > 2 * fitted.accuracies[0]


def test_augmentation_is_a_plain_loop_over_moved_images(samples):
    recipe = Recipe(epochs=1, batch_size=48, learning_rate=0.05, augment=True)
    large = ImageSet(F.interpolate(samples.images, scale_factor=2), samples.labels)
    start = build_model("mlp", num_classes=4, width=7, input_shape=(3, 8, 8), generator=seeded(2))
    before = large.images.clone()
    fitted = fit(start, large, recipe=recipe, generator=seeded(3))

    generator = seeded(3)
    torch.randint(2**62, (1,), generator=generator)  # the seed of dropout
    moves = draw_moves(48, (3, 8, 8), generator, torch.device("cpu"))
    index = torch.randperm(48, generator=generator)
    moved = move(large.images, moves)[index]
    with torch.no_grad():
        loss = F.cross_entropy(start(moved), large.labels[index])
        plain = F.cross_entropy(start(large.images), large.labels)
    assert fitted.losses == [pytest.approx(loss.item(), rel=1e-5)]
    assert fitted.losses != [pytest.approx(plain.item(), rel=1e-5)]
    assert torch.equal(large.images, before)


def test_label_smoothing_spreads_a_share_of_the_target(model, samples):
    recipe = Recipe(epochs=1, batch_size=48, label_smoothing=0.2)
    logits = predict(model, samples.images).logits
    targets = 0.8 * F.one_hot(samples.labels, 4) + 0.2 / 4
    expected = -(targets * logits.log_softmax(1)).sum(1).mean().item()
    found = fit(model, samples, recipe=recipe, generator=seeded()).losses
    assert found == [pytest.approx(expected, rel=1e-5)]


@pytest.mark.parametrize(
    ("warmup", "epochs"), [(0.0, 3), (0.5, 2), (0.25, 4), (0.99, 1), (0.99, 3)]
)
def test_fit_manages_any_warmup(model, samples, warmup, epochs):
    recipe = Recipe(epochs=epochs, batch_size=48, warmup=warmup)
    losses = fit(model, samples, recipe=recipe, generator=seeded()).losses
    assert len(losses) == epochs
    assert all(map(math.isfinite, losses))


def test_bfloat16_computes_coarser_and_keeps_weights_and_losses_in_float32(model, samples):
    seen = []
    model.head.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    runs = {}
    for precision in ("float32", "bfloat16"):
        recipe = Recipe(epochs=10, batch_size=16, learning_rate=0.05, precision=precision)
        runs[precision] = fit(model, samples, recipe=recipe, generator=seeded())
        assert set(seen) == {getattr(torch, precision)}
        seen.clear()
        assert all(value.dtype != torch.bfloat16 for value in runs[precision].model.parameters())
    assert not torch.equal(*(weights(run.model) for run in runs.values()))
    assert runs["bfloat16"].losses == pytest.approx(runs["float32"].losses, rel=0.05)


def test_a_compiled_network_is_trained_in_place_of_its_original(model, samples, monkeypatch):
    compiled = []

    def compile_(network):  # what torch.compile returns shares the weights, too
        compiled.append(network)
        return lambda images: network(images)

    monkeypatch.setattr(torch, "compile", compile_)
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.05, compile=True)
    fitted = fit(model, samples, recipe=recipe, generator=seeded())
    assert compiled == [fitted.model]
    plain = fit(model, samples, recipe=RECIPE, generator=seeded())
    assert torch.equal(weights(fitted.model), weights(plain.model))


class Narrow(nn.Module):
    """Has memory for a few images only, and says so as torch's allocator does."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))

    def forward(self, x):
        if len(x) > self.limit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 2 bytes")
        return self.body(x)


def narrow(limit):
    return wrap(Narrow(limit), mean=[0.5] * 3, std=[0.25] * 3)


@pytest.mark.parametrize(("batch_size", "fits"), [(40, 10), (1000, 12)])
def test_too_little_memory_is_an_error_that_names_a_batch_size_that_fits(
    samples, unchanged, batch_size, fits
):
    network = narrow(13)
    recipe = Recipe(epochs=1, batch_size=batch_size)
    said = rf"batch_size={batch_size} needs more .*can't allocate.*: batch_size={fits} fits"
    with unchanged(network), pytest.raises(OutOfMemory, match=said):
        fit(network, samples, recipe=recipe, generator=seeded())
    fit(network, samples, recipe=Recipe(epochs=1, batch_size=fits), generator=seeded())


def test_no_memory_for_one_image_is_said_as_well(samples):
    with pytest.raises(OutOfMemory, match="not even a step of one image fits"):
        fit(narrow(0), samples, recipe=RECIPE, generator=seeded())


def test_other_errors_of_a_network_pass_through(samples):
    broken = wrap(nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), mean=[0.5] * 3, std=[0.25] * 3)
    for call in (
        lambda: fit(broken, samples, generator=seeded()),
        lambda: predict(broken, samples.images),
    ):
        with pytest.raises((RuntimeError, ValueError), match="shape"):
            call()


def test_a_loss_that_is_not_finite_is_an_error_that_names_the_learning_rate(
    model, samples, unchanged
):
    recipe = Recipe(epochs=5, batch_size=8, learning_rate=1e30)
    with unchanged(model), pytest.raises(Diverged, match=r"in epoch \d of 5: lower learning_rate"):
        fit(model, samples, recipe=recipe, generator=seeded())


def test_nothing_to_fit_is_refused(model, samples):
    with pytest.raises(ValueError, match="train is empty"):
        fit(model, samples.subset(samples.labels > 9), recipe=RECIPE, generator=seeded())


@pytest.mark.parametrize("setting", ["epochs", "batch_size", "learning_rate"])
def test_recipes_without_work_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be above 0, got 0"):
        Recipe(**{setting: 0})


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("label_smoothing", 1.5, r"label_smoothing must lie in \[0, 1\], got 1.5"),
        ("warmup", -0.1, r"warmup must lie in \[0, 1\), got -0.1"),
        ("warmup", 1.0, r"warmup must lie in \[0, 1\), got 1.0"),
        ("precision", "half", "precision must be one of auto, float32, bfloat16; got 'half'"),
        ("augment", "no", "augment must be true or false, got 'no'"),
        ("compile", 1, "compile must be true or false, got 1"),
    ],
)
def test_recipes_without_meaning_are_refused(setting, value, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**{setting: value})


# --- predict --------------------------------------------------------------------------------------


@pytest.fixture
def network():
    """Batch norm, whose training mode would show in every number."""
    model = build_model(
        "resnet18", num_classes=4, width=2, input_shape=(3, 4, 4), generator=seeded(4)
    )
    model.train()(torch.rand(16, 3, 4, 4, generator=seeded(5)))
    return model


def test_predict_is_the_direct_pass_in_eval_mode(network, samples, unchanged):
    with unchanged(network):
        features, logits = predict(network, samples.images)
    network.eval()
    torch.testing.assert_close(features, network.features(samples.images).detach())
    torch.testing.assert_close(logits, network(samples.images).detach())
    assert not logits.requires_grad


@pytest.mark.parametrize("batch_size", [1, 7, 48, 1000])
def test_the_batch_size_does_not_change_the_result(network, samples, batch_size):
    whole = predict(network, samples.images)
    parts = predict(network, samples.images, batch_size=batch_size)
    torch.testing.assert_close(parts.features, whole.features)
    torch.testing.assert_close(parts.logits, whole.logits)


def test_predict_restores_mixed_modes(network, samples):
    network.eval()
    network.backbone.blocks[0].train()
    modes = [module.training for module in network.modules()]
    predict(network, samples.images)
    with pytest.raises(ValueError, match="must lie in"):
        predict(network, samples.images + 1.0)
    assert [module.training for module in network.modules()] == modes


def test_bytes_are_predicted_like_the_floats_they_stand_for(network, samples):
    raw = (samples.images * 255).round().byte()
    found, expected = predict(network, raw), predict(network, raw.float() / 255)
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.features, expected.features)


@pytest.mark.parametrize("position", [0, 47])
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_predict_refuses_images_outside_the_unit_interval_in_any_batch(
    network, samples, position, value
):
    images = samples.images.clone()
    images[position, 2, 3, 3] = value
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
        predict(network, images, batch_size=16)


def test_predict_refuses_no_images_and_no_batch(network, samples):
    with pytest.raises(ValueError, match="images is empty"):
        predict(network, samples.images[:0])
    with pytest.raises(ValueError, match="batch_size must be above 0"):
        predict(network, samples.images, batch_size=0)


def test_predict_on_another_device_moves_a_copy(network, samples, unchanged):
    with unchanged(network):
        logits = predict(network, samples.images, device=torch.device("cpu", 0)).logits
    assert torch.equal(logits, predict(network, samples.images).logits)


def test_predict_halves_a_batch_that_does_not_fit_and_says_so(samples, caplog):
    network = narrow(13)
    with caplog.at_level(logging.WARNING):
        halved = predict(network, samples.images)
    network.backbone.limit = 48
    whole = predict(network, samples.images)
    torch.testing.assert_close(halved.logits, whole.logits)
    assert [r.getMessage() for r in caplog.records][-1].endswith("halved to 12")
    assert len(caplog.records) == 2


def test_predict_without_memory_for_one_image_says_so(samples):
    with pytest.raises(OutOfMemory, match=r"batch_size=1024 needs more .*not even a step of one"):
        predict(narrow(0), samples.images)


def test_predict_is_float32_whatever_surrounds_it(network, samples):
    expected = predict(network, samples.images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = predict(network, samples.images)
    assert torch.equal(found.logits, expected.logits)
    assert found.features.dtype == torch.float32


# --- progressive resizing -------------------------------------------------------------------------


def test_the_first_epochs_show_smaller_images_and_the_rest_whole_ones(samples):
    sides = []

    class Spy(nn.Module):
        def forward(self, x):
            if self.training:
                sides.append(tuple(x.shape[2:]))
            return x.mean(dim=(2, 3))

    model = Classifier(Spy(), nn.Linear(3, 4), mean=[0.5] * 3, std=[0.25] * 3)
    recipe = Recipe(epochs=4, batch_size=len(samples), learning_rate=0.01, progressive=0.5)
    fit(model, samples, recipe=recipe, generator=seeded())
    whole = tuple(samples.images.shape[2:])
    assert sides == [tuple(3 * s // 4 for s in whole)] * 2 + [whole] * 2


def test_shrunk_images_are_means_of_what_they_cover():
    images = torch.rand(2, 3, 8, 8, generator=seeded())
    assert shrunk(images).shape == (2, 3, 6, 6)
    flat = torch.full((1, 1, 8, 8), 0.7)
    torch.testing.assert_close(shrunk(flat), torch.full((1, 1, 6, 6), 0.7))
    torch.testing.assert_close(shrunk(images).mean(), images.mean(), atol=0.02, rtol=0.0)


def test_a_network_of_one_image_size_refuses_progressive_resizing(samples):
    side = samples.images.shape[-1]
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, 4))
    model = wrap(layers, mean=[0.5] * 3, std=[0.25] * 3)
    with pytest.raises(ValueError, match="progressive must be 0 for this network"):
        fit(model, samples, recipe=Recipe(epochs=1, progressive=0.5), generator=seeded())
    with pytest.raises(ValueError, match=r"progressive must lie in \[0, 1\]"):
        Recipe(progressive=1.5)
