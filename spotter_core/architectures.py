"""Backbones: networks that map normalised inputs to feature vectors ``(N, D)``.

Layer 1: plain modules with an ``out_features``; the head is added by ``models``.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Two hidden layers on the flattened input; for points in the plane and tiny images."""

    out_features: int

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.out_features = width
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(input_shape), width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, width)``."""
        features: Tensor = self.body(x)
        return features


class SmallCNN(nn.Module):
    """Two convolutions with pooling and one hidden layer of ``8 * width`` features, no batch norm.

    As many features as ResNet-18 has at that width: scattering a class needs room.
    """

    out_features: int

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, side = input_shape
        self.out_features = 8 * width
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (side // 4), 8 * width),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 8 * width)``."""
        features: Tensor = self.body(x)
        return features


class ConvNorm(nn.Sequential):
    """A convolution without bias and its batch norm, for ``(N, C, H, W)``.

    With frozen statistics (eval mode) the norm is folded into the convolution: one pass over the
    activations less, the same numbers, exact gradients for every parameter. The convolution is
    then not called as a module: hook this one to see its inputs.
    """

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False)
        super().__init__(OrderedDict(conv=conv, norm=nn.BatchNorm2d(channels_out)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised output, ``stride`` times smaller in height and width."""
        conv, norm = self.conv, self.norm
        if norm.training or norm.running_mean is None or norm.running_var is None:
            normalised: Tensor = norm(conv(x))
            return normalised
        # In the parameters' own float32 under autocast too: the convolution alone rounds.
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        bias = norm.bias - norm.running_mean * scale
        return F.conv2d(x, weight, bias, conv.stride, conv.padding)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels_in, channels_out, 3, stride)
        self.second = ConvNorm(channels_out, channels_out, 3)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else ConvNorm(channels_in, channels_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, ``stride`` times smaller in height and width."""
        # In place where autograd keeps no copy of what is overwritten.
        out: Tensor = self.second(F.relu_(self.first(x)))
        return F.relu_(out.add_(self.shortcut(x)))


class ResNet18(nn.Module):
    """ResNet-18 with the CIFAR stem (3×3, stride 1, no max-pool); ``8 * width`` features.

    Width 64 is the paper's network, with 512 features.
    """

    out_features: int
    memory_format: torch.memory_format

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.out_features = 8 * width
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.stem = ConvNorm(input_shape[0], width, 3)
        self.blocks = nn.Sequential(*blocks)
        # Channels last is faster, but only safe in whole vectors of channels (16 with AVX-512):
        # else oneDNN's weight gradient of the strided 1×1 shortcut (seen with torch 2.15 and
        # AVX2) writes behind its buffer, and the process dies of a broken heap.
        whole = width % 16 == 0
        self.memory_format = torch.channels_last if whole else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 8 * width)``."""
        x = x.contiguous(memory_format=self.memory_format)
        out: Tensor = self.blocks(F.relu_(self.stem(x)))
        return out.mean(dim=(2, 3))


class ViT(nn.Module):
    """A small vision transformer (Dosovitskiy et al. 2021): six pre-norm blocks, mean of tokens.

    Learned positions, no class token (a mean learns more easily from few images). Patches are an
    eighth of the shorter side, 2 pixels at least; a border they do not cover is filled with the
    mean colour. Heads of about 32 features; ``width`` features come out.
    """

    out_features: int

    def __init__(self, input_shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, side = input_shape
        self.out_features = width
        patch = max(2, min(height, side) // 8)
        self.padding = (0, -side % patch, 0, -height % patch)
        tokens = math.ceil(height / patch) * math.ceil(side / patch)
        heads = next(h for h in range(max(1, width // 32), 0, -1) if width % h == 0)
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.positions = nn.Parameter(torch.empty(tokens, width))
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(
            block, 6, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        # All matrices, anew: TransformerEncoder starts every block as a copy of one.
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, width)``."""
        tokens = self.patches(F.pad(x, self.padding)).flatten(2).transpose(1, 2)
        out: Tensor = self.blocks(tokens + self.positions)
        return out.mean(dim=1)
