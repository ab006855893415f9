"""What an auditing user brings: networks of his own, their checkpoints, a folder of images."""

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = ("bright", "dark", "left", "top")
SIDE = 8


class Plain(nn.Module):
    """A small CNN of somebody's, who never heard of a ``Classifier``."""

    def __init__(self, num_classes=4, width=12):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.hidden = nn.Linear(4 * width, 16)
        self.out = nn.Linear(16, num_classes)

    def body(self, x):
        x = F.adaptive_avg_pool2d(self.norm(self.conv(x)).relu(), 2)
        return self.hidden(x.flatten(1)).relu()

    def forward(self, x):
        return self.out(self.body(x))


class Softmaxed(Plain):
    """Goes on behind its head."""

    def forward(self, x):
        return super().forward(x).softmax(dim=1)


class TwoHeaded(Plain):
    """Returns what two linear layers of equal width make."""

    def __init__(self, num_classes=4):
        super().__init__(num_classes)
        self.other = nn.Linear(16, num_classes)

    def forward(self, x):
        features = self.body(x)
        return self.out(features), self.other(features)


class Attentive(nn.Module):
    """A transformer on patches, its head in the middle of its list of layers."""

    def __init__(self, num_classes=4, width=16):
        super().__init__()
        self.head = nn.Linear(width, num_classes)
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, 0.0, batch_first=True)

    def forward(self, x):
        tokens = self.block(self.patches(x).flatten(2).transpose(1, 2))
        return self.head(tokens.mean(dim=1))


def make_plain(num_classes):
    return Plain(num_classes)


def make_nothing():
    return "a network"


def make_failing():
    raise RuntimeError("no room for this network")


def pictures(count, seed, *, classes=4):
    """``(N, 3, SIDE, SIDE)`` bytes and labels: four kinds of light on noise."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = 0.25 + 0.4 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    images[labels == 0] += 0.25
    images[labels == 1] -= 0.2
    images[labels == 2, :, :, : SIDE // 2] += 0.3
    images[labels == 3, :, : SIDE // 2] += 0.3
    return (255 * images.clamp(0, 1)).byte(), labels


def train(network, images, labels, *, steps=120, rate=0.01, seed=0):
    """Descend, and leave the network in eval mode."""
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    network.train()
    for _ in range(steps):
        index = torch.randint(len(labels), (32,))
        optimizer.zero_grad()
        F.cross_entropy(network((images[index] - 0.5) / 0.25), labels[index]).backward()
        optimizer.step()
    return network.eval()
