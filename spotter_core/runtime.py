"""Where and how things run: devices, precision, modes, seeded generators.

Layer 0. The only place that decides on a device or a precision, or derives a seed.
"""

import contextlib
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Generator, nn

Precision = Literal["auto", "float32", "bfloat16"]
"""``"auto"`` is bfloat16 where the hardware computes in it, else float32."""


def pick_device(name: str = "auto") -> torch.device:
    """Return the named device, or the best one at hand for ``"auto"``: CUDA, then the CPU.

    Raises:
        ValueError: If a CUDA device is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {name!r} was asked for, but torch sees no GPU: use 'auto' or 'cpu'"
        )
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the hardware itself multiplies in bfloat16: CUDA from 8.0 on, AVX-512-BF16 or AMX.

    A CPU without them gives the same numbers several times slower than in float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so they may go
    return device.type == "cpu" and any(
        hasattr(torch.cpu, name) and getattr(torch.cpu, name)() for name in names
    )


def uses_bfloat16(device: torch.device, precision: str = "auto") -> bool:
    """Whether :func:`mixed_precision` computes in bfloat16; ``ValueError`` if it has no meaning."""
    if precision not in get_args(Precision):
        raise ValueError(
            f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}"
        )
    return precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))


@contextlib.contextmanager
def mixed_precision(device: torch.device, precision: str = "auto") -> Iterator[None]:
    """Inside the block, multiply matrices and convolve in bfloat16 where that pays.

    Weights and their updates stay float32; cast logits by ``.float()`` before the loss.
    """
    enabled = uses_bfloat16(device, precision)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
        yield


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Inside the block, compute in float32 whatever surrounds it: no bfloat16, no TF32.

    cuDNN's convolutions take TF32 by default, with 10 bits in place of 23.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
        places = (convolutions, torch.backends.cuda.matmul)
        before = [place.fp32_precision for place in places]
        try:
            for place in places:
                place.fp32_precision = "ieee"
            yield
        finally:
            for place, value in zip(places, before, strict=True):
                place.fp32_precision = value


@contextlib.contextmanager
def repeatable_kernels(device: torch.device) -> Iterator[None]:
    """Inside the block, cuDNN takes only algorithms that give equal bits for equal inputs."""
    before = torch.backends.cudnn.deterministic
    try:
        torch.backends.cudnn.deterministic = before or device.type == "cuda"
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else.

    Each piece of work names itself (``derive_seed(seed, "unlearn", method)``), so that its random
    numbers do not depend on what ran before it, in which order, or in which process.
    """
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seeded_generator(*parts: object) -> Generator:
    """Return a CPU generator seeded by :func:`derive_seed`; equal parts give equal draws."""
    return Generator().manual_seed(derive_seed(*parts))


@contextlib.contextmanager
def global_seed_from(generator: Generator) -> Iterator[None]:
    """Seed torch's global generator from ``generator`` inside the block, then put it back.

    For layers that can draw from nothing else: ``nn.init``, dropout.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator).item())
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into eval mode inside the block, then every module back as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def describe_precision(device: torch.device, precision: str = "auto") -> str:
    """Return in words what :func:`mixed_precision` computes in on ``device``."""
    if uses_bfloat16(device, precision):
        return "trained in bfloat16 with float32 weights, measured in float32"
    return "float32"


def describe_run(precision: str | None = None) -> dict[str, str]:
    """Return versions and hardware, in words: what a number needs beside it to be believed.

    Args:
        precision: That of the recipe, to be told as well.
    """
    device = pick_device()
    hardware = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} used"
    )
    about = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "platform": f"{platform.system()} {platform.machine()}",
        "hardware": hardware,
        "executable": Path(sys.executable).name,
    }
    if precision is not None:
        about["precision"] = describe_precision(device, precision)
    return about
