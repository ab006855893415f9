"""Transformations that cost an attacker nothing: new statistics, a little noise, fewer bits."""

import copy
from collections.abc import Callable

import torch
from torch import Generator, nn

from spotter_core._checks import check_positive
from spotter_core.data import ImageSet
from spotter_core.models import Classifier


@torch.no_grad()
def with_statistics_of(
    model: Classifier, samples: ImageSet, *, batch_size: int = 256
) -> Classifier:
    """Return a copy whose batch-norm statistics are those of some images, estimated anew.

    Without batch norm it is a plain copy.
    """
    fresh = copy.deepcopy(model).train()
    norms = [m for m in fresh.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches
    if norms:
        for index in torch.arange(len(samples), device=samples.labels.device).split(batch_size):
            if len(index) > 1:
                fresh(samples.pixels(index))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return fresh.eval()


@torch.no_grad()
def with_noise(model: Classifier, share: float, generator: Generator) -> Classifier:
    """Return a copy with Gaussian noise on every weight, ``share`` of its tensor's deviation."""
    check_positive(share=share)
    noisy = copy.deepcopy(model)
    for parameter in noisy.parameters():
        if parameter.numel() > 1:
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(share * parameter.std() * noise)
    return noisy


@torch.no_grad()
def in_eight_bits(model: Classifier) -> Classifier:
    """Return a copy with matrices and kernels of 255 symmetric levels, a scale an output row."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        if parameter.ndim > 1:
            scale = parameter.flatten(1).abs().amax(dim=1).clamp_min(1e-12) / 127.0
            scale = scale.view(-1, *(1,) * (parameter.ndim - 1))
            parameter.copy_((parameter / scale).round() * scale)
    return rounded


FREE: dict[str, Callable[[Classifier, ImageSet, int], Classifier]] = {
    "batch_norm": lambda model, reference, seed: with_statistics_of(model, reference),
    "noise": lambda model, reference, seed: with_noise(model, 0.1, Generator().manual_seed(seed)),
    "int8": lambda model, reference, seed: in_eight_bits(model),
}
"""(model, retained images, seed) -> a copy: what costs an attacker nothing."""
