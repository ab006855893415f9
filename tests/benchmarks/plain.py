"""The plain ways: Spotter and its neighborhood as the published notebook has them.

Float32, channels first, batch norm as a layer of its own, the teacher evaluated twice a step and
the student three times, masks written entry by entry, an N×N cosine matrix.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.neighborhoods import BoundaryNeighborhood, uniform_noise


class PlainBlock(nn.Module):
    """Two convolutions around a shortcut, as everybody writes them."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class PlainResNet18(nn.Module):
    """ResNet-18 with the CIFAR stem, channels first; takes images in [0, 1] as ours does."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, last = [], width
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(PlainBlock(last, width * 2**stage, stride))
                last = width * 2**stage
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(last, classes)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        x = (images - self.mean) / self.std
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        return F.avg_pool2d(out, out.shape[-1]).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.features(images))


def plain_copy(model: Classifier) -> PlainResNet18:
    """Return the plain network with the weights of our ResNet-18, in eval mode."""
    spec = model.spec
    copy = PlainResNet18(spec.input_shape[0], spec.width, spec.num_classes).to(model.device)
    values = list(model.backbone.state_dict().values()) + list(model.head.state_dict().values())
    own = {k: v for k, v in copy.state_dict().items() if k not in ("mean", "std")}
    with torch.no_grad():
        for target, value in zip(own.values(), values, strict=True):
            target.copy_(value)  # both list the stem, then block by block, then the head
    copy.mean, copy.std = model.mean.view(-1, 1, 1), model.std.view(-1, 1, 1)
    return copy.eval()


def mask_by_loop(probabilities: Tensor, forget_classes: list[int]) -> Tensor:
    """Set forget classes to 0 entry by entry, then divide by the sum, as published."""
    masked = probabilities.clone()
    for i in range(len(masked)):
        for c in forget_classes:
            masked[i, c] = 0.0
    return masked / (masked.sum(dim=1, keepdim=True) + 1e-10)


def dispersion_by_matrix(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cosine over same-class pairs, read off an N×N matrix."""
    pairs = labels[:, None] == labels[None, :]
    pairs &= ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    units = F.normalize(features, dim=1)
    return (units @ units.T)[pairs].sum() / pairs.sum()


def perturb_plainly(
    model: nn.Module,
    images: Tensor,
    forget_classes: list[int],
    settings: BoundaryNeighborhood,
    generator: Generator,
    batch_size: int = 128,
) -> Tensor:
    """Return PGD points: our ball and our direction, but every step backward through all weights.

    As published, ``loss.backward()`` computes the gradients of the parameters, too.
    """
    sign = -1.0 if settings.direction == "toward" else 1.0
    start = (images + uniform_noise(images, settings.epsilon, generator)).clamp(0.0, 1.0)
    found = []
    for x, x0 in zip(images.split(batch_size), start.split(batch_size), strict=True):
        with torch.no_grad():
            logits = model(x)
        logits[:, forget_classes] = -torch.inf
        target, near = logits.argmax(dim=1), x0
        for _ in range(settings.steps):
            leaf = near.detach().requires_grad_()
            model.zero_grad()
            F.cross_entropy(model(leaf), target, reduction="sum").backward()
            near = near + sign * settings.step * leaf.grad.sign()
            near = torch.minimum(torch.maximum(near, x - settings.epsilon), x + settings.epsilon)
            near = near.clamp(0.0, 1.0)
        found.append(near)
    return torch.cat(found)


def unlearn_plainly(
    student: nn.Module,
    teacher: nn.Module,
    forget: ImageSet,
    near: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    generator: Generator,
) -> None:
    """Train ``student`` in place by Spotter as published; loader and JPEG decoding left out."""
    optimizer = torch.optim.SGD(
        student.parameters(), lr=learning_rate, momentum=0.9, weight_decay=5e-4
    )
    classes = forget.labels.unique().tolist()
    images = forget.pixels()
    for _ in range(epochs):
        for index in forget.batches(batch_size, generator):
            optimizer.zero_grad()
            with torch.no_grad():
                target = mask_by_loop(teacher(images[index]).softmax(dim=1), classes)
                near_target = mask_by_loop(teacher(near[index]).softmax(dim=1), classes)
            own = student(images[index]).log_softmax(dim=1)
            other = student(near[index]).log_softmax(dim=1)
            loss = (
                0.7 * F.kl_div(own, target, reduction="batchmean")
                + 0.3 * F.kl_div(other, near_target, reduction="batchmean")
                + dispersion_by_matrix(student.features(images[index]), forget.labels[index])
            )
            loss.backward()
            optimizer.step()
