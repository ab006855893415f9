import copy

import pytest
import torch
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.architectures import BasicBlock, ConvNorm, ResNet18, ViT


def seeded(seed=0):
    return Generator().manual_seed(seed)


def lively(module, seed=0):
    """Give every norm statistics and parameters far from those of a fresh network."""
    generator = seeded(seed)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            with torch.no_grad():
                for value in (m.weight, m.bias, m.running_mean):
                    value.copy_(torch.randn(value.shape, generator=generator))
                m.running_var.copy_(0.1 + torch.rand(m.running_var.shape, generator=generator))
    return module


def plain(layer, x):
    """The same layer in two steps, as its modules would do it."""
    return layer.norm(layer.conv(x))


def gradients(output, inputs):
    weights = torch.linspace(-1.0, 1.0, output.numel(), dtype=output.dtype).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), inputs)


def graph(output):
    """Names of all steps that a backward pass from ``output`` would go through."""
    names, open_ = [], [output.grad_fn]
    while open_:
        node = open_.pop()
        if node is not None:
            names.append(type(node).__name__)
            open_.extend(step for step, _ in node.next_functions)
    return names


# --- convolution and norm -------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 2)])
def test_conv_norm_equals_its_two_steps_with_all_gradients(kernel, stride, training):
    layer = lively(ConvNorm(3, 5, kernel, stride)).double().train(training)
    two_steps = copy.deepcopy(layer)
    x = torch.randn(4, 3, 7, 6, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    found, expected = layer(x), plain(two_steps, x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, [x, *layer.parameters()]),
        gradients(expected, [x, *two_steps.parameters()]),
    )


def test_conv_norm_gradients_are_those_of_finite_differences():
    layer = lively(ConvNorm(2, 3, 3)).double().eval()
    x = torch.randn(1, 2, 3, 3, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_training_steps_leave_the_state_that_batch_norm_leaves():
    layer = lively(ConvNorm(3, 4, 3))
    conv, norm = copy.deepcopy(layer.conv), copy.deepcopy(layer.norm)
    ours = torch.optim.SGD(layer.parameters(), lr=0.1)
    theirs = torch.optim.SGD([*conv.parameters(), *norm.parameters()], lr=0.1)
    for seed in range(3):
        x = torch.randn(4, 3, 5, 5, generator=seeded(seed))
        for loss, optimizer in ((layer(x), ours), (norm(conv(x)), theirs)):
            optimizer.zero_grad()
            loss.square().mean().backward()
            optimizer.step()
    assert layer.norm.num_batches_tracked == 3
    expected = nn.ModuleDict({"conv": conv, "norm": norm}).state_dict()
    assert list(layer.state_dict()) == list(expected)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_evaluation_changes_no_state(unchanged):
    layer = lively(ConvNorm(3, 4, 3)).eval()
    x = torch.randn(2, 3, 5, 5)
    with unchanged(layer):
        layer(x)


def test_a_norm_frozen_by_itself_is_folded_while_the_rest_trains():
    layer = lively(ConvNorm(3, 4, 3)).train()
    layer.norm.eval()
    before = layer.norm.running_mean.clone()
    x = torch.randn(2, 3, 5, 5, generator=seeded(1))
    torch.testing.assert_close(layer(x), plain(layer, x))
    assert torch.equal(layer.norm.running_mean, before)


def test_frozen_parameters_add_nothing_to_the_graph():
    layer = lively(ConvNorm(3, 4, 3)).eval().requires_grad_(False)
    x = torch.randn(2, 3, 5, 5, requires_grad=True)
    assert graph(layer(x)) == ["ConvolutionBackward0", "AccumulateGrad"]
    assert layer(x.detach()).grad_fn is None


def test_under_autocast_the_fold_is_computed_in_float32():
    layer = lively(ConvNorm(3, 4, 3)).eval()
    x = torch.randn(2, 3, 8, 8, generator=seeded(1))
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is F.conv2d:
                seen.extend(value.dtype for value in args[1:3])
            return function(*args, **(kwargs or {}))

    with torch.autocast("cpu", dtype=torch.bfloat16), Watch():
        found = layer(x)
    assert found.dtype == torch.bfloat16
    assert seen == [torch.float32, torch.float32]
    torch.testing.assert_close(found.float(), layer(x), rtol=0.02, atol=0.05)


# --- ResNet-18 ------------------------------------------------------------------------------------


def unfolded(network, x):
    """ResNet-18 as the textbook writes it, from the same modules, nothing folded or in place."""
    out = F.relu(plain(network.stem, x))
    for block in network.blocks:
        same = isinstance(block.shortcut, nn.Identity)
        short = out if same else plain(block.shortcut, out)
        out = F.relu(plain(block.second, F.relu(plain(block.first, out))) + short)
    return out.mean(dim=(2, 3))


@pytest.mark.parametrize("training", [False, True])
def test_resnet18_equals_the_textbook_with_all_gradients(training):
    network = lively(ResNet18((3, 16, 16), 3)).double().train(training)
    textbook = copy.deepcopy(network)
    x = torch.rand(3, 3, 16, 16, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    before = x.detach().clone()
    found, expected = network(x), unfolded(textbook, x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, [x, *network.parameters()]),
        gradients(expected, [x, *textbook.parameters()]),
    )
    assert torch.equal(x.detach(), before)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(textbook.state_dict()[name], value)


def test_a_block_leaves_its_input_alone():
    block = lively(BasicBlock(4, 4, 1)).eval()
    x = torch.randn(2, 4, 5, 5, generator=seeded(1))
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


def test_resnet18_copies_and_reloads_to_the_same_numbers():
    network = lively(ResNet18((3, 8, 8), 2)).eval()
    x = torch.rand(2, 3, 8, 8, generator=seeded(1))
    loaded = ResNet18((3, 8, 8), 2).eval()
    loaded.load_state_dict(network.state_dict())
    for other in (copy.deepcopy(network), loaded):
        assert torch.equal(other(x), network(x))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("given", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("width", "expected"),
    [(4, torch.contiguous_format), (8, torch.contiguous_format), (16, torch.channels_last)],
)
def test_resnet18_works_channels_last_in_whole_vectors_only(width, expected, given, training):
    network = ResNet18((3, 8, 8), width).train(training)
    loaded = ResNet18((3, 8, 8), width).train(training)
    loaded.load_state_dict({k: v.contiguous() for k, v in network.state_dict().items()})
    x = torch.rand(3, 3, 8, 8, generator=seeded(1)).contiguous(memory_format=given)
    for each in (network, copy.deepcopy(network), loaded):
        seen = []
        each.blocks[0].register_forward_hook(
            lambda module, inputs, out, seen=seen: seen.append(out)
        )
        each(x)
        assert seen[0].is_contiguous(memory_format=expected)
        assert each.stem.conv.weight.is_contiguous(memory_format=expected)


@pytest.mark.parametrize("training", [False, True])
def test_memory_format_changes_no_number_of_resnet18(training):
    network = lively(ResNet18((3, 12, 12), 16)).double().train(training)
    plain_format = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    plain_format.memory_format = torch.contiguous_format
    x = torch.rand(3, 3, 12, 12, dtype=torch.float64, generator=seeded(1), requires_grad=True)
    found, expected = network(x), plain_format(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, [x, *network.parameters()]),
        gradients(expected, [x, *plain_format.parameters()]),
    )


# --- vision transformer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "patch", "tokens"),
    [
        ((3, 32, 32), 4, 64),
        ((3, 64, 64), 8, 64),
        ((1, 8, 8), 2, 16),
        ((1, 9, 12), 2, 30),
        ((1, 28, 20), 2, 140),
    ],
)
def test_vit_cuts_images_into_patches_by_their_size(shape, patch, tokens):
    network = ViT(shape, 8)
    assert network.patches.kernel_size == network.patches.stride == (patch, patch)
    assert network.positions.shape == (tokens, 8)
    for training in (True, False):
        assert network.train(training)(torch.rand(2, *shape)).shape == (2, 8)


@pytest.mark.parametrize(("width", "heads"), [(4, 1), (64, 2), (192, 6), (100, 2)])
def test_vit_heads_divide_the_width(width, heads):
    assert ViT((3, 8, 8), width).blocks.layers[0].self_attn.num_heads == heads


def test_vit_sees_the_last_pixel_of_a_border_that_patches_do_not_cover():
    network = ViT((1, 9, 9), 8).eval()
    x = torch.rand(1, 1, 9, 9, generator=seeded(1), requires_grad=True)
    (gradient,) = gradients(network(x), [x])
    assert (gradient != 0).all()


def test_vit_blocks_start_apart_with_truncated_normals():
    blocks = ViT((3, 8, 8), 64).blocks.layers
    first, second = (block.self_attn.in_proj_weight for block in blocks[:2])
    assert not torch.equal(first, second)
    for name, value in blocks.named_parameters():
        if value.ndim > 1:
            assert value.std().item() == pytest.approx(0.02, rel=0.1), name
        elif name.endswith("bias"):
            assert not value.any(), name


def test_vit_gives_the_same_numbers_with_and_without_gradients():
    network = ViT((3, 32, 32), 64)
    with torch.no_grad():  # large weights, so that a difference would show
        for value in network.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=seeded(value.numel())))
    x = torch.rand(3, 3, 32, 32, generator=seeded(1))
    expected = network.train()(x).detach()
    network.eval()
    torch.testing.assert_close(network(x).detach(), expected, rtol=0.0, atol=1e-5)
    with torch.no_grad():  # torch's fused path
        torch.testing.assert_close(network(x), expected, rtol=0.0, atol=1e-5)
    network.requires_grad_(False)
    with_graph = network(x.requires_grad_())
    torch.testing.assert_close(with_graph.detach(), expected, rtol=0.0, atol=1e-5)
    assert gradients(with_graph, [x])[0].abs().sum() > 0


def test_vit_runs_under_autocast_and_copies_to_the_same_numbers():
    network = ViT((3, 8, 8), 32).eval()
    x = torch.rand(2, 3, 8, 8, generator=seeded(1))
    assert torch.equal(copy.deepcopy(network)(x), network(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(x)
    torch.testing.assert_close(found.float(), network(x), rtol=0.05, atol=0.05)
