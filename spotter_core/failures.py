"""A model that could not be made: why, kept beside where it would lie, so that nobody tries again.

Layer 1.
"""

import json
import logging
from pathlib import Path

from spotter_core.files import read_sealed, write_sealed

log = logging.getLogger(__name__)
FORMAT = "spotter-diverged-1"
ENDING = ".diverged.json"


def failure_path(model: Path) -> Path:
    """Return where the failure of a model is kept."""
    return model.with_suffix(ENDING)


def save_failure(model: Path, *, settings: str, reason: str) -> None:
    """Keep why a model could not be made.

    Args:
        model: Where it would lie.
        settings: Identifies what would have made it.
        reason: A sentence.
    """
    told = {"format": FORMAT, "settings": settings, "reason": reason}
    write_sealed(failure_path(model), json.dumps(told, sort_keys=True))


def load_failure(model: Path, *, settings: str) -> str | None:
    """Return why a model could not be made with these settings; ``None`` if nobody has failed.

    A file that is damaged or lacks a key is none, with a warning: to try again costs time alone.
    """
    path = failure_path(model)
    if not path.is_file():
        return None
    try:
        found, reason = read_failure(path)
    except ValueError as error:
        log.warning("%s", error)
        return None
    return reason if found == settings else None


def read_failure(path: Path, data: bytes | None = None) -> tuple[str, str]:
    """Return the settings and the reason in a file of :func:`save_failure`.

    Args:
        path: File to read.
        data: What it holds, for whoever has read it.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is damaged, or lacks one of them.
    """
    advice = "the model is tried again"
    found = read_sealed(path, kind="record", name=FORMAT, advice=advice, data=data)
    if not all(isinstance(found.get(key), str) for key in ("settings", "reason")):
        raise ValueError(f"record {path} lacks its settings or its reason: {advice}")
    return found["settings"], found["reason"]
