"""Where and how things run: devices, modes, seeded generators.

Layer 0. The only place that decides on a device or derives a seed.
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

import torch
from torch import Generator, nn


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


def describe_run() -> dict[str, str]:
    """Return versions and hardware, in words: what a number needs beside it to be believed."""
    device = pick_device()
    hardware = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {os.cpu_count()} cores, {torch.get_num_threads()} used"
    )
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "platform": f"{platform.system()} {platform.machine()}",
        "hardware": hardware,
        "executable": Path(sys.executable).name,
    }
