"""Tensors that take long to make, kept in a file.

Layer 1. A file is trusted for its key and its digest alone; one that is damaged in a single bit,
foreign or can't be written costs time, never a result.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spotter_core.files import BLANK, atomic_path, is_sealed_file, seal_file

log = logging.getLogger(__name__)


def cached_tensors(
    path: Path, *, key: str, make: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the tensors kept at ``path`` under ``key``, else make them and keep them.

    The file holds one key's tensors: others replace them. What is read is mapped, not copied, and
    no code in it is run; a change to a tensor does not reach the file.

    Args:
        path: A safetensors file.
        key: Stands for all that the tensors depend on.
        make: Called if the file is absent, damaged, or another key's.
    """
    if (kept := load_if_kept(path, key)) is not None:
        return kept
    made = make()
    try:
        with atomic_path(path) as temporary:
            save_file(made, temporary, metadata={"key": key, "digest": BLANK})
            seal_file(temporary)
    except (OSError, SafetensorError) as error:  # the latter hides a full disk
        log.warning("%s is not kept, every start makes it anew: %s", path.name, error)
    return made


def load_if_kept(path: Path, key: str) -> dict[str, Tensor] | None:
    """Return the tensors at ``path``, or nothing if they are not as written or not ``key``'s."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            if is_sealed_file(path):
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        log.warning("%s does not match its digest and is made anew", path)
    except (OSError, SafetensorError) as error:
        log.warning("%s can't be read and is made anew: %s", path, error)
    return None
