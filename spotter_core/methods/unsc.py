"""UNSC: unlearning in the null space of what the retained images put into every layer."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from spotter_core._checks import check_fraction, check_positive
from spotter_core.architectures import ConvNorm
from spotter_core.methods._base import RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.models import Classifier
from spotter_core.neighborhoods import runner_up
from spotter_core.runtime import evaluating, full_precision
from spotter_core.training import Predictions

BATCH = 256
"""Retained images a step; changes memory and speed."""


@dataclass(frozen=True)
class UNSC(RetainDescent):
    """Descend the cross-entropy to the likeliest retained class where no retained image feels it.

    Of every convolution and linear layer, the head included, the inputs that retained images give
    it span a space U: the fewest directions that hold ``threshold`` of the squared length of its
    inputs. Of a weight's displacement, only what is orthogonal to U may stay, so what the layer
    makes of an input in U can't change. All else (biases, batch norm, what is no such layer or is
    used without being called, as in PyTorch's attention) is frozen, and batch norm in eval mode.

    Reads: forget samples, and ``images_per_class`` retained ones of every class once, before
    training. Official defaults: SGD 0.04 without momentum, batch 512; 25 epochs and threshold 0.97
    to 0.997, which grows from layer to layer, for CIFAR-10 with AllCNN; 20 epochs, threshold 0.99
    and 256 images in all for CIFAR-100 with ResNet-18. Nothing is given for CIFAR-10 with
    ResNet-18.

    Where we differ: one threshold for all layers. Inputs of a convolution are the windows that it
    sees, by its own stride, padding, dilation and groups (the official ones ignore stride and
    padding), of which ``positions`` random ones are read in an image. They are never kept: only
    their second moments are, one ``d x d`` matrix a layer in float64, whose leading eigenvectors
    are U. The displacement is projected instead of the gradient, which is the same without weight
    decay, and with it weights don't leave the space either.

    Attributes:
        threshold: Share of the squared length that U holds; 0 turns the projection off.
        images_per_class: Of every retained class, drawn at random; all where there are fewer.
        positions: Windows (or tokens) read in an image by a layer; all where there are fewer.
    """

    name: ClassVar[str] = "unsc"
    source: ClassVar[str] = "Chen et al., IJCAI 2024"
    learning_rate: float = 0.04
    momentum: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 25
    batch_size: int = 512
    threshold: float = 0.99
    images_per_class: int = 256
    positions: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction(threshold=self.threshold)
        check_positive(images_per_class=self.images_per_class, positions=self.positions)

    def plan(self, task: Task) -> Plan:
        """Return one phase over the forget samples, and the projection of displacements."""
        forget, retain, generator = task.forget, task.retain, task.generator
        student = copy.deepcopy(task.original).eval()
        labels = runner_up(task.original, forget.pixels(), task.forget_classes)
        index = some_of_each(retain.labels, self.images_per_class, generator)
        batches = (retain.pixels(part) for part in index.split(BATCH))
        moments = input_moments(student, batches, self.positions, generator)
        bases = {name: leading_basis(m, self.threshold) for name, m in moments.items()}
        parameters = dict(student.named_parameters())
        bases = {name: basis.to(parameters[name].dtype) for name, basis in bases.items()}

        def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            return {"loss": F.cross_entropy(out.logits, labels[index])}

        def confine(name: str, displacement: Tensor) -> Tensor:
            if name not in bases:
                return torch.zeros_like(displacement)
            return without(displacement, bases[name])

        free = sum(
            parameters[name].numel()
            * (1.0 - basis.square().sum().item() / basis.shape[:-1].numel())
            for name, basis in bases.items()
        )
        return Plan(
            student,
            lambda epoch: [Phase(forget, "forget", loss)],
            confine=confine,
            reads={"retain": len(index)},
            notes={"free_share": free / sum(p.numel() for p in parameters.values())},
        )


def some_of_each(labels: Tensor, count: int, generator: Generator) -> Tensor:
    """Return the indices of ``count`` random samples of every class, or of all it has."""
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
    mixed = labels[order]
    return torch.cat([order[mixed == c][:count] for c in labels.unique()])


def watched_layers(model: nn.Module) -> list[tuple[nn.Module, nn.Conv2d | nn.Linear]]:
    """Return the modules whose inputs are those of a layer with weights, and that layer.

    A convolution that a frozen batch norm is folded into is not called itself.
    """
    folded = {id(m.conv) for m in model.modules() if isinstance(m, ConvNorm)}
    found: list[tuple[nn.Module, nn.Conv2d | nn.Linear]] = []
    for module in model.modules():
        if isinstance(module, ConvNorm):
            found.append((module, module.conv))
        elif isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in folded:
            found.append((module, module))
    return found


@torch.no_grad()
def input_moments(
    model: Classifier, batches: Iterable[Tensor], positions: int, generator: Generator
) -> dict[str, Tensor]:
    """Return, by weight, the ``(groups, d, d)`` sum of ``x x^T`` over inputs ``x`` of its layer.

    In eval mode; summed in float64. A weight whose layer was not called is not there.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moments: dict[str, Tensor] = {}

    def watch(module: nn.Module, layer: nn.Conv2d | nn.Linear) -> torch.utils.hooks.RemovableHandle:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            name = names.get(id(layer.weight))
            if name is None:  # made from other parameters, as by a parametrization
                return
            rows = layer_inputs(layer, inputs[0], positions, generator)
            moment = (rows.mT @ rows).double()
            moments[name] = moments[name].add_(moment) if name in moments else moment

        return module.register_forward_pre_hook(add)

    handles = [watch(module, layer) for module, layer in watched_layers(model)]
    try:
        with evaluating(model), full_precision(model.device):
            for images in batches:
                model(images)
    finally:
        for handle in handles:
            handle.remove()
    return moments


def layer_inputs(
    layer: nn.Conv2d | nn.Linear, x: Tensor, positions: int, generator: Generator
) -> Tensor:
    """Return ``(groups, rows, d)`` vectors that the layer multiplies its flat weight with.

    Those of ``positions`` random places of the images, the same in all of them.
    """
    if isinstance(layer, nn.Linear):
        tokens = x.reshape(len(x), -1, layer.in_features)
        return tokens[:, some(tokens.shape[1], positions, generator, x.device)].flatten(0, 1)[None]
    around = layer._reversed_padding_repeated_twice  # of every kind of padding, by side
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = F.pad(x, around, mode=mode)
    for axis in (0, 1):  # a view, (N, channels, places down, places across, window, window)
        reach, step = layer.kernel_size[axis], layer.dilation[axis]
        span = step * (reach - 1) + 1
        windows = windows.unfold(2 + axis, span, layer.stride[axis])[..., ::step]
    down, across = windows.shape[2:4]
    place = some(down * across, positions, generator, x.device)
    chosen = windows[:, :, place // across, place % across]  # (N, channels, places, *window)
    by_group = chosen.unflatten(1, (layer.groups, -1)).permute(1, 0, 3, 2, 4, 5)
    rows: Tensor = by_group.flatten(3).flatten(1, 2)
    return rows


def some(total: int, count: int, generator: Generator, device: torch.device) -> Tensor:
    """Return ``count`` random ones of the first ``total`` numbers, or all of them in order."""
    if count >= total:
        return torch.arange(total, device=device)
    return torch.randperm(total, generator=generator)[:count].to(device)


def leading_basis(moments: Tensor, threshold: float) -> Tensor:
    """Return ``(groups, d, k)``, the fewest eigenvectors that hold ``threshold`` of the trace.

    Groups that need fewer than others have columns of zeros.
    """
    values, vectors = torch.linalg.eigh(moments)
    held = values.clamp_min(0.0).flip(-1).cumsum(-1)
    before = F.pad(held[..., :-1], (1, 0))
    needed = before < threshold * held[..., -1:]
    count = int(needed.sum(-1).max())
    basis: Tensor = vectors.flip(-1)[..., :count] * needed[..., None, :count]
    return basis


def without(displacement: Tensor, basis: Tensor) -> Tensor:
    """Return a weight's displacement without its part in the space that ``basis`` spans."""
    flat = displacement.reshape(len(basis), -1, basis.shape[1])
    return (flat - flat @ basis @ basis.mT).reshape(displacement.shape)
