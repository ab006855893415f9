"""Weights on disk: safetensors, whole or absent, true to the settings that made them.

Layer 3. No code in a file is ever run.
"""

import copy
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from spotter_core.files import atomic_path
from spotter_core.models import Classifier


def save_weights(model: Classifier, path: Path, *, settings: str = "", record: str = "") -> None:
    """Write the weights as safetensors, whole or not at all.

    Args:
        model: Whose weights to write.
        path: File to write.
        settings: Identifies what made them; checked by :func:`load_weights`.
        record: Any text to be kept in the same file, so that the two can't part.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    data = save(tensors, metadata={"settings": settings, "record": record})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)  # save_file() would hide a full disk in an error of its own


def load_weights(
    model: Classifier, path: Path, *, settings: str | None = None
) -> tuple[Classifier, str]:
    """Return a copy of ``model`` with the weights at ``path``, and the record kept with them.

    No code in the file is ever run.

    Raises:
        ValueError: If the file is no safetensors file, is cut short, belongs to another
            architecture, or was made with other settings than ``settings``.
    """
    advice = "delete it to have it made anew"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"checkpoint {path} can't be read ({error}): {advice}") from error
    if settings is not None and metadata.get("settings") != settings:
        raise ValueError(
            f"checkpoint {path} was made with settings {metadata.get('settings')!r}, "
            f"expected {settings!r}: {advice}"
        )
    loaded = copy.deepcopy(model)
    try:
        loaded.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint {path} belongs to another architecture: {error}; {advice}"
        ) from error
    return loaded, metadata.get("record", "")
