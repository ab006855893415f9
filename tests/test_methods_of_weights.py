"""Methods that choose which weights move, or in which directions; and the one that adds a row."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.data import ImageSet
from spotter_core.methods import METHODS, ForgetOnlyMethod
from spotter_core.methods._base import forgotten_classes
from spotter_core.methods._descent import Task
from spotter_core.methods.salun import salient_weights
from spotter_core.methods.ssd import dampen, importance
from spotter_core.methods.unsc import (
    input_moments,
    layer_inputs,
    leading_basis,
    some_of_each,
    watched_layers,
    without,
)
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier, build_model, wrap
from spotter_core.training import Diverged, predict

NAMES = ["boundary_expand", "salun", "ssd", "unsc"]
MOVING = [*NAMES[:2], NAMES[3], *(f"spotter+{name}" for name in (*NAMES[:2], NAMES[3]))]


def seeded(seed=0):
    return Generator().manual_seed(seed)


def go(name, model, forget, retain, *, classes=None, seed=0, watch=None, **settings):
    """Run a method with other settings; a forget-only one is handed nothing else."""
    method = METHODS[name].with_settings(**settings)
    extra = {} if isinstance(method, ForgetOnlyMethod) else {"retain": retain}
    return method(
        model, forget, forget_classes=classes, generator=seeded(seed), watch=watch, **extra
    )


@pytest.fixture
def model(known):
    return copy.deepcopy(known)


@pytest.fixture
def split(samples):
    return samples.subset(samples.labels == 1), samples.subset(samples.labels != 1)


@pytest.fixture(scope="module")
def resnet():
    """A tiny ResNet-18 with batch-norm statistics that are not the initial ones."""
    blank = build_model(
        "resnet18", num_classes=4, width=2, input_shape=(3, 8, 8), generator=seeded(3)
    )
    blank.train()
    with torch.no_grad():
        for _ in range(3):
            blank(torch.rand(16, 3, 8, 8, generator=seeded(4)))
    return blank.eval()


@pytest.fixture(scope="module")
def pictures():
    labels = torch.arange(24) % 4
    return ImageSet(torch.rand(24, 3, 8, 8, generator=seeded(5)), labels)


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("boundary_expand", {"learning_rate": 1e-3, "epochs": 10}),
        ("salun", {"learning_rate": 0.03, "epochs": 5, "batch_size": 64}),
        ("ssd", {}),
        ("unsc", {"threshold": 0.97, "epochs": 10, "batch_size": 64, "learning_rate": 0.1}),
    ],
)
def test_a_class_is_forgotten_and_the_others_stay(name, settings, digits_model, digits_split):
    parts = digits_split.forget, digits_split.retain

    def accuracies(model):
        tests = [part.test for part in parts]
        return [accuracy(predict(model, t.images).logits, t.labels) for t in tests]

    before = accuracies(digits_model)
    result = go(name, digits_model, *(part.train for part in parts), **settings)
    forget, retain = accuracies(result.model)
    assert before[0] > 0.8
    assert forget < 0.1
    assert retain > before[1] - 0.05


@pytest.mark.parametrize("name", [*NAMES, *MOVING[3:]])
def test_one_forget_sample_is_enough(name, model, split):
    one = split[0].subset(torch.tensor([0]))
    result = go(name, model, one, split[1])
    assert all(p.isfinite().all() for p in result.model.parameters())


@pytest.mark.parametrize("name", [*NAMES, *MOVING[3:]])
def test_all_classes_but_one_can_be_forgotten(name, model, samples):
    forget, retain = (samples.subset(mask) for mask in (samples.labels != 2, samples.labels == 2))
    result = go(name, model, forget, retain, classes=[0, 1, 3])
    assert all(p.isfinite().all() for p in result.model.parameters())
    assert result.model.num_classes == 4


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_statistics_stay(name, resnet, pictures):
    labels = pictures.labels
    forget, retain = pictures.subset(labels == 1), pictures.subset(labels != 1)
    result = go(name, resnet, forget, retain)
    after = dict(result.model.named_buffers())
    assert len(after) > 20
    assert all(torch.equal(after[name], buffer) for name, buffer in resnet.named_buffers())


# --- Boundary Expand ------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
def test_the_returned_head_is_the_first_rows_of_the_students(bias, split):
    layers = [nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 4, bias=bias)]
    model = wrap(nn.Sequential(*layers), mean=[0.5] * 3, std=[0.25] * 3)
    method = METHODS["boundary_expand"].with_settings(learning_rate=0.01)
    plan = method.plan(Task(model, split[0], (1,), seeded()))
    head = plan.student.head
    assert head.weight.shape == (5, 6)
    assert torch.equal(head.weight[:4], model.head.weight)
    assert (head.bias is None) != bias
    bound = (6 / (6 + 5)) ** 0.5  # Xavier's, for the head with its additional row
    assert head.weight[4].abs().max() <= bound
    assert head.weight[4].std() > 0.1 * bound
    narrow = plan.finish(plan.student)
    assert plan.student.head is head
    assert narrow.backbone is plan.student.backbone
    assert torch.equal(narrow(split[0].images), plan.student(split[0].images)[:, :4])
    if bias:
        assert head.bias[4] == 0.0
        assert narrow.head.bias.shape == (4,)

    result = method(model, split[0], generator=seeded())
    assert result.model.head.weight.shape == (4, 6)
    assert result.model.head.out_features == result.model.num_classes == 4
    assert (result.model.head.bias is None) != bias
    assert sum(p.numel() for p in result.model.parameters()) == sum(
        p.numel() for p in model.parameters()
    )


def test_boundary_expand_descends_the_cross_entropy_to_the_additional_class(model, split):
    forget = split[0]
    settings = {"learning_rate": 0.1, "momentum": 0.0, "epochs": 1, "batch_size": len(forget)}
    result = go("boundary_expand", model, *split, **settings)
    row = nn.init.xavier_uniform_(torch.empty(5, 7), generator=seeded())[4].requires_grad_()
    student = copy.deepcopy(model)
    features = student.features(forget.images)
    logits = torch.cat([student.head(features), (features @ row)[:, None]], dim=1)
    loss = -logits.log_softmax(dim=1)[:, 4].mean()
    assert result.history[0]["loss"] == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    for mine, other in zip(result.model.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(mine, other - 0.1 * other.grad)


def test_a_watcher_of_boundary_expand_sees_what_would_be_returned(model, split):
    seen = []
    result = go(
        "boundary_expand",
        model,
        *split,
        watch=lambda epoch, student, losses: seen.append(copy.deepcopy(student.state_dict())),
        epochs=2,
        learning_rate=0.01,
    )
    assert all(state["head.weight"].shape == (4, 7) for state in seen)
    assert torch.equal(seen[-1]["head.weight"], result.model.head.weight)


# --- SalUn ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.01, 0.3, 1.0])
def test_salient_weights_are_those_of_largest_gradient(ratio, model, split):
    forget = split[0]
    mask = salient_weights(model, forget, ratio)
    sums = [torch.zeros_like(p) for p in model.parameters()]
    for image, label in zip(forget.images, forget.labels, strict=True):
        loss = F.cross_entropy(model(image[None]), label[None])
        for total, g in zip(sums, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total += g
    sizes = torch.cat([total.abs().flatten() for total in sums]).double()
    chosen = torch.cat([mask[name].flatten() for name, _ in model.named_parameters()])
    assert int(chosen.sum()) == round(ratio * len(sizes))
    if ratio < 1.0:
        assert sizes[chosen].min() >= sizes[~chosen].max() - 1e-5 * sizes.max()


def test_of_equal_gradients_the_first_are_salient():
    class Sum(nn.Module):
        def forward(self, x):
            return x.flatten(1).sum(dim=1, keepdim=True).expand(-1, 3)

    # equal features and equal logits: two classes' rows have equal gradients, all over
    model = Classifier(Sum(), nn.Linear(3, 2), mean=[0.0], std=[1.0])
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    forget = ImageSet(torch.ones(4, 1, 2, 2), torch.zeros(4).long())
    mask = salient_weights(model, forget, 0.5)
    assert mask["head.weight"].tolist() == [[True, True, True], [True, False, False]]
    assert mask["head.bias"].tolist() == [False, False]


@pytest.mark.parametrize("name", ["salun", "spotter+salun"])
def test_frozen_weights_are_bit_identical_and_salient_ones_move(name, model, split):
    base = METHODS["salun"].with_settings(ratio=0.2)
    settings = {"epochs": 3, "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    settings |= {"ratio": 0.2} if name == "salun" else {"base": base}
    result = go(name, model, *split, batch_size=8, **settings)
    mask = salient_weights(model, split[0], 0.2)
    before = dict(model.named_parameters())
    for key, after in result.model.named_parameters():
        frozen = ~mask[key]
        assert torch.equal(after[frozen], before[key][frozen])
        assert (after != before[key])[mask[key]].float().mean() > 0.9 or not mask[key].any()
    shares = result.notes["salient_share"], result.notes["salient_share_head"]
    assert shares[0] == pytest.approx(0.2, abs=0.005)
    assert 0.0 <= shares[1] <= 1.0


def test_an_epoch_of_salun_is_random_labels_and_then_the_true_ones(model, split):
    forget, retain = split
    plan = METHODS["salun"].plan(Task(model, forget, (1,), seeded(), retain))
    seen = []
    for epoch in (1, 2):
        first, second = plan.phases(epoch)
        assert (first.side, second.side) == ("forget", "retain")
        assert first.samples is forget
        assert second.samples is retain
        drawn = labels_of(first, 12)
        assert set(drawn) <= {0, 2, 3}
        assert labels_of(second, 36) == retain.labels.tolist()
        seen.append(drawn)
    assert seen[0] != seen[1]  # drawn anew in every epoch


def labels_of(phase, count):
    """The labels in a phase's cross-entropy: the class whose huge logit makes the loss vanish."""

    @dataclass
    class Out:
        logits: torch.Tensor

    found = []
    for i in range(count):
        index = torch.tensor([i])
        losses = [phase.loss(Out(100.0 * torch.eye(4)[[c]]), index)["loss"] for c in range(4)]
        found.append(int(torch.stack(losses).argmin()))
    return found


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.5])
def test_salun_refuses_a_ratio_that_is_none(ratio):
    with pytest.raises(ValueError, match="ratio must"):
        METHODS["salun"].with_settings(ratio=ratio)


# --- SSD ------------------------------------------------------------------------------------------


def test_importance_is_the_mean_squared_batch_gradient(model, samples):
    double = copy.deepcopy(model).double()
    parts = torch.randperm(48, generator=seeded()).tensor_split(5)
    batches = [(samples.images[i].double(), samples.labels[i]) for i in parts]
    found = importance(double, batches)
    for name, parameter in double.named_parameters():
        total = torch.zeros_like(parameter)
        for images, labels in batches:
            single = [
                torch.autograd.grad(F.cross_entropy(double(x[None]), y[None]), parameter)[0]
                for x, y in zip(images, labels, strict=True)
            ]
            total += torch.stack(single).mean(dim=0) ** 2
        torch.testing.assert_close(found[name], total / 5, rtol=1e-9, atol=1e-15)


def test_dampening_is_the_formula_weight_by_weight(model):
    before = [p.detach().clone() for p in model.parameters()]
    draw = seeded(7)
    mine, all_ = (
        {n: torch.rand(p.shape, generator=draw) for n, p in model.named_parameters()}
        for _ in range(2)
    )
    mine["head.bias"][0] = all_["head.bias"][0] = 0.0  # 0 of 0 is no reason to touch a weight
    mine["head.bias"][1], all_["head.bias"][1] = 1.0, 0.0
    notes = dampen(model, mine, all_, alpha=1.5, dampening=2.0)
    factors = []
    for (name, parameter), old in zip(model.named_parameters(), before, strict=True):
        rows = torch.stack([parameter.detach(), old, mine[name], all_[name]]).flatten(1).T
        for now, was, i_f, i in rows:
            factor = min(1.0, float(2.0 * i / i_f)) if i_f > 1.5 * i else None
            factors.append(factor)
            assert now.item() == pytest.approx((1.0 if factor is None else factor) * was.item())
    chosen = [factor for factor in factors if factor is not None]
    assert model.head.bias[1] == 0.0
    assert notes["dampened_share"] == pytest.approx(len(chosen) / len(factors))
    assert notes["mean_factor"] == pytest.approx(sum(chosen) / len(chosen), rel=1e-5)
    assert 0.0 == min(chosen) < max(chosen) == 1.0


def test_ssd_is_done_once_on_batches_of_one_size(model, split, monkeypatch):
    sizes = []

    def spy(network, batches):
        seen = list(batches)
        sizes.append([len(labels) for _, labels in seen])
        return importance(network, seen)

    monkeypatch.setattr("spotter_core.methods.ssd.importance", spy)
    result = go("ssd", model, *split, batch_size=5)
    assert sizes == [[4, 4, 4], [4] * 12]
    assert result.history == []
    assert result.reads == {"forget": 24, "retain": 36}

    sizes.clear()
    result = go("ssd", model, *split, batch_size=8, share=0.5)
    assert sizes == [[6, 6], [6] * 4]
    assert sum(result.reads.values()) == 12 + 24


def test_ssd_without_anything_above_the_threshold_changes_nothing(model, split):
    result = go("ssd", model, *split, alpha=1e12)
    assert result.notes == {"dampened_share": 0.0, "mean_factor": 1.0}
    after = dict(result.model.named_parameters())
    assert all(torch.equal(after[name], p) for name, p in model.named_parameters())


def test_ssd_says_what_is_wrong(model, split):
    with pytest.raises(ValueError, match="retain is empty: ssd needs"):
        go("ssd", model, split[0], split[1].subset(torch.zeros(0).long()))
    for name in ("alpha", "dampening", "batch_size", "share"):
        with pytest.raises(ValueError, match=f"{name} must be above 0"):
            METHODS["ssd"].with_settings(**{name: 0})
    with torch.no_grad():
        model.head.weight[0, 0] = torch.nan
    with pytest.raises(Diverged, match="ssd: a gradient of the original is not finite"):
        go("ssd", model, *split)


# --- UNSC -----------------------------------------------------------------------------------------


def unfolded(layer, x):
    """(groups, rows, d): a convolution's windows by PyTorch's own unfold."""
    side = {"dilation": layer.dilation, "padding": layer.padding, "stride": layer.stride}
    parts = [
        F.unfold(part, layer.kernel_size, **side).transpose(1, 2).flatten(0, 1)
        for part in x.chunk(layer.groups, dim=1)
    ]
    return torch.stack(parts)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
        {"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
        {"kernel_size": 3, "groups": 2, "padding": 2, "dilation": 2},
        {"kernel_size": 1, "stride": 2},
    ],
)
def test_the_basis_of_a_convolution_is_that_of_its_explicit_patch_matrix(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, **options).double()
    x = torch.randn(5, 4, 7, 6, dtype=torch.float64) ** 3
    x[:, 1] = 0.5 * x[:, 0]  # so that some directions are not needed
    rows = layer_inputs(layer, x, 10**6, seeded())
    expected = unfolded(layer, x)
    assert rows.shape == expected.shape
    # what the layer makes of its rows is its output
    weight = layer.weight.unflatten(0, (layer.groups, -1)).flatten(2)
    bias = 0.0 if layer.bias is None else layer.bias.view(layer.groups, 1, -1)
    made = rows @ weight.mT + bias
    outputs = layer(x).unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 4, 2).flatten(1, 3)
    torch.testing.assert_close(made, outputs)

    basis = leading_basis(rows.mT @ rows, 0.9)
    for group, vectors in enumerate(basis):
        _, values, right = torch.linalg.svd(expected[group], full_matrices=False)
        share = values.square().cumsum(0) / values.square().sum()
        k = int((share < 0.9).sum()) + 1
        assert 0 < k < expected.shape[2]
        assert int(vectors.square().sum().round()) == k
        torch.testing.assert_close(vectors @ vectors.mT, right[:k].mT @ right[:k])


def test_other_kinds_of_padding_are_what_the_layer_does():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)
    for options in ({"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}):
        layer = nn.Conv2d(3, 4, 3, bias=False, **options)
        rows = layer_inputs(layer, x, 10**6, seeded())[0]
        made = (rows @ layer.weight.flatten(1).mT).unflatten(0, (2, -1)).mT
        torch.testing.assert_close(made, layer(x).flatten(2))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
def test_the_basis_is_the_smallest_that_holds_the_threshold(threshold):
    values = torch.tensor([6.0, 3.0, 1.0, 0.0], dtype=torch.float64)
    basis = leading_basis(torch.diag(values)[None], threshold)
    assert basis.shape == (1, 4, {0.0: 0, 0.5: 1, 0.9: 2, 1.0: 3}[threshold])
    assert leading_basis(torch.zeros(1, 4, 4), 0.99).shape == (1, 4, 0)  # a dead layer is free


def test_positions_are_drawn_without_repetition():
    x = torch.arange(30.0).view(1, 30, 1)
    rows = layer_inputs(nn.Linear(1, 1), x, 8, seeded())
    assert rows.shape == (1, 8, 1)
    assert len(rows.unique()) == 8
    assert len(layer_inputs(nn.Conv2d(1, 1, 1), torch.rand(3, 1, 5, 5), 8, seeded())[0]) == 24


def test_every_layer_of_a_resnet_with_folded_batch_norm_is_seen(resnet, pictures):
    network = copy.deepcopy(resnet).double()
    weights = {n for n, p in network.named_parameters() if p.ndim > 1}
    moments = input_moments(network, [pictures.images.double()], 10**6, seeded())
    assert set(moments) == weights
    assert len(weights) == 21
    assert not any(m._forward_pre_hooks for m in network.modules())
    # in training mode, though with frozen statistics, the convolutions are called themselves
    seen = {}
    names = {id(p): n for n, p in network.named_parameters()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            name = names[id(module.weight)]
            module.register_forward_pre_hook(
                lambda layer, inputs, name=name: seen.update({name: unfolded(layer, inputs[0])})
            )
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    plain = unfolded_network(network)
    plain(pictures.images.double())
    assert len(seen) == 20
    for name, rows in seen.items():
        torch.testing.assert_close(moments[name], rows.mT @ rows, rtol=1e-6, atol=1e-8)


def unfolded_network(network):
    """The network with every ConvNorm replaced by a plain pair of convolution and norm."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "ConvNorm":
                setattr(module, name, nn.Sequential(*child.children()))
    return network.eval()


def test_a_linear_layers_outputs_on_what_was_read_do_not_change(model, split):
    forget, retain = split
    few = retain.subset(torch.arange(20))  # fewer than the first layer's inputs, 48
    settings = {"threshold": 1.0, "epochs": 5, "learning_rate": 0.1}
    result = go("unsc", model, forget, few, **settings)
    old, new = model.backbone.body[1], result.model.backbone.body[1]
    assert (new.weight - old.weight).abs().max() > 1e-4
    assert torch.equal(new.bias, old.bias)
    shown = (few.images.flatten(1) - 0.5) / 0.25
    torch.testing.assert_close(new(shown), old(shown), rtol=1e-5, atol=1e-5)
    others = (forget.images.flatten(1) - 0.5) / 0.25
    assert (new(others) - old(others)).abs().max() > 1e-3


def test_unsc_freezes_all_but_the_weights_of_layers_it_saw(resnet, pictures):
    labels = pictures.labels
    forget, retain = pictures.subset(labels == 1), pictures.subset(labels != 1)
    settings = {"epochs": 2, "momentum": 0.9, "weight_decay": 0.01, "threshold": 0.5}
    result = go("unsc", resnet, forget, retain, **settings)
    moved = dict(result.model.named_parameters())
    for name, before in resnet.named_parameters():
        assert torch.equal(moved[name], before) == (before.ndim == 1), name
    assert 0.0 < result.notes["free_share"] < 1.0


def test_projecting_displacements_is_projecting_gradients(resnet, pictures):
    labels = pictures.labels
    forget, retain = pictures.subset(labels == 1), pictures.subset(labels != 1)
    settings = {"epochs": 3, "batch_size": 50, "learning_rate": 0.05, "positions": 10**6}
    settings |= {"threshold": 0.8, "precision": "float32"}
    network = copy.deepcopy(resnet).double()
    wide = [ImageSet(part.images.double(), part.labels) for part in (forget, retain)]
    start = copy.deepcopy(network)
    moments = input_moments(network, [wide[1].images], 10**6, seeded())
    bases = {name: leading_basis(m, 0.8) for name, m in moments.items()}
    logits = start(wide[0].images)
    logits[:, 1] = -torch.inf
    pseudo = logits.argmax(dim=1)
    for _ in range(3):
        loss = F.cross_entropy(network(wide[0].images), pseudo)
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for (name, p), g in zip(network.named_parameters(), gradients, strict=True):
                if name in bases:
                    rows = g.flatten(1)
                    p -= 0.05 * (rows - rows @ bases[name][0] @ bases[name][0].mT).view_as(g)
    result = go("unsc", resnet, forget, retain, **settings)
    before = dict(start.named_parameters())
    for (name, mine), other in zip(
        result.model.named_parameters(), network.parameters(), strict=True
    ):
        step = (other - before[name]).abs().max().item()
        torch.testing.assert_close(mine.double(), other, rtol=1e-4, atol=1e-4 * step + 1e-6)


def test_grouped_weights_are_projected_group_by_group():
    torch.manual_seed(0)
    delta = torch.randn(6, 2, 3, 3, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(2, 18, 5, dtype=torch.float64))[0]
    basis[1, :, 3:] = 0.0  # a group that needs fewer
    found = without(delta, basis)
    for out in range(6):
        own = basis[out // 3]
        row = delta[out].flatten()
        for column in own.T:
            row = row - (delta[out].flatten() @ column) * column
        torch.testing.assert_close(found[out].flatten(), row)


def test_unsc_reads_so_many_images_of_every_retained_class(model, split):
    labels = torch.tensor([0] * 5 + [2] * 2 + [3] * 9)
    chosen = labels[some_of_each(labels, 4, seeded())]
    assert chosen.bincount().tolist() == [4, 0, 2, 4]
    result = go("unsc", model, *split, images_per_class=4, epochs=3)
    assert result.reads == {"forget": 36, "retain": 12}


def test_a_layer_that_is_used_without_being_called_stays_frozen():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(3, 4)
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            tokens = self.embed(x.flatten(2).mT)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(dim=1)

    torch.manual_seed(0)
    model = Classifier(Tokens(), nn.Linear(4, 3), mean=[0.5] * 3, std=[0.25] * 3).eval()
    assert len(watched_layers(model)) == 3  # the attention's output layer is never called
    samples = ImageSet(torch.rand(12, 3, 4, 4), torch.arange(12) % 3)
    forget, retain = samples.subset(samples.labels == 0), samples.subset(samples.labels != 0)
    assert forgotten_classes(model, forget, None) == (0,)
    result = go("unsc", model, forget, retain, threshold=0.5)
    before = dict(model.named_parameters())
    moved = {n for n, p in result.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"backbone.embed.weight", "head.weight"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 1.5}, r"threshold must lie in \[0, 1\]"),
        ({"images_per_class": 0}, "images_per_class must be above 0"),
        ({"positions": 0}, "positions must be above 0"),
    ],
)
def test_unsc_refuses_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        METHODS["unsc"].with_settings(**settings)
