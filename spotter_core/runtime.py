"""Where and how things run: devices, seeded generators, files that are whole or absent.

Layer 0. The only place that decides on a device, derives a seed or writes a file.
"""

import contextlib
import hashlib
import json
import os
import platform
import sys
import tempfile
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
        raise ValueError(f"device {name!r} was asked for, but torch sees no GPU: use 'auto' or 'cpu'")
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


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    A reader sees the old file, the new one or none, never half of one, whenever the writer dies.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)  # mkstemp and safetensors write 600, useless on a shared disk
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"can't write {path}: {error.strerror or error}. What was finished before is kept; "
            "make room or make the folder writable, then run again",
        ) from error


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all; an equal file keeps its time stamp."""
    data = text.encode()  # bytes are compared: what lies there may be damaged, hence no UTF-8
    if path.is_file() and path.read_bytes() == data:
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def content_hash(path: Path) -> str:
    """Return the first 16 hex digits of the file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def settings_hash(settings: object) -> str:
    """Return 12 hex digits that identify JSON-like ``settings``, whatever the order of keys."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def project_root() -> Path:
    """Return the folder that holds ``notebooks/``: from the working folder upwards, else this file's.

    Notebooks run in JupyterLab from their own folder, under papermill from the caller's.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "spotter_core").is_dir():
            return folder
    return here


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
