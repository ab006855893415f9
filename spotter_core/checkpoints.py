"""Weights and other tensors on disk: safetensors, whole or absent, true to their settings.

Layer 1. No code in a file is ever run. All of a file, its settings and record too, is covered by
its digest, see :mod:`~spotter_core.files`; one without is not read.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from spotter_core.files import BLANK, atomic_path, is_sealed, is_sealed_file, sealed

Network = TypeVar("Network", bound=nn.Module)
ADVICE = "delete it to have it made anew"


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, *, settings: str = "", record: str = ""
) -> None:
    """Write named tensors as safetensors, whole or not at all.

    Args:
        tensors: Of any shape, on any device.
        path: File to write.
        settings: Identifies what made them; checked by :func:`load_tensors`.
        record: Any text to be kept in the same file, so that the two can't part.
    """
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"settings": settings, "record": record, "digest": BLANK}
    data = sealed(save(ready, metadata=metadata))
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)  # save_file() would hide a full disk in an error of its own


def load_tensors(path: Path, *, settings: str | None = None) -> tuple[dict[str, Tensor], str]:
    """Return the tensors at ``path``, on the CPU, and the record kept with them.

    Raises:
        ValueError: If the file is no safetensors file, is cut short, was made with other settings
            than ``settings``, or has not the digest that it was written with.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"checkpoint {path} can't be read ({error}): {ADVICE}") from error
    if settings is not None and metadata.get("settings") != settings:
        raise ValueError(
            f"checkpoint {path} was made with settings {metadata.get('settings')!r}, "
            f"expected {settings!r}: {ADVICE}"
        )
    if not is_sealed_file(path):
        raise ValueError(
            f"checkpoint {path} does not match its digest, it was damaged or is from before there "
            f"were digests: {ADVICE}"
        )
    return tensors, metadata["record"]


def parse_tensors(data: bytes, path: Path) -> tuple[dict[str, Tensor], str]:
    """Return the tensors in the bytes of a file, and its settings.

    Args:
        data: All of a file that :func:`save_tensors` wrote.
        path: Where they are from, for errors.

    Raises:
        ValueError: If they are no safetensors file, are cut short, or have not their digest.
    """
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ValueError(f"checkpoint {path} can't be read ({error}): {ADVICE}") from error
    if not is_sealed(data):
        raise ValueError(f"checkpoint {path} does not match its digest: {ADVICE}")
    length = int.from_bytes(data[:8], "little")  # of the head: JSON, which follows
    return tensors, json.loads(data[8 : 8 + length])["__metadata__"]["settings"]


def kept_settings(path: Path) -> str | None:
    """Return what a file says made it; ``None`` if it is not there, no such file or cut short.

    It is quick, as nothing else of the file is read, so its digest is not checked either.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("settings")
    except (SafetensorError, OSError):
        return None


def save_weights(model: nn.Module, path: Path, *, settings: str = "", record: str = "") -> None:
    """Write the weights of ``model``; the other arguments as in :func:`save_tensors`."""
    save_tensors(model.state_dict(), path, settings=settings, record=record)


def load_weights(model: Network, path: Path, *, settings: str | None = None) -> tuple[Network, str]:
    """Return a copy of ``model`` with the weights at ``path``, and the record kept with them.

    Raises:
        ValueError: As :func:`load_tensors`, and if the weights belong to another architecture.
    """
    tensors, record = load_tensors(path, settings=settings)
    loaded = copy.deepcopy(model)
    try:
        loaded.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint {path} belongs to another architecture: {error}; {ADVICE}"
        ) from error
    return loaded, record
