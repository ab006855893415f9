"""A model that could not be made: why, kept beside where it would lie, so that nobody tries again.

Layer 1.
"""

import json
import logging
from pathlib import Path

from spotter_core.files import read_sealed, write_sealed

log = logging.getLogger(__name__)
FORMAT = "spotter-diverged-1"


def failure_path(model: Path) -> Path:
    """Return where the failure of a model is kept."""
    return model.with_suffix(".diverged.json")


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

    A damaged file is none, with a warning: to try again costs time alone.
    """
    path = failure_path(model)
    if not path.is_file():
        return None
    try:
        found = read_sealed(path, kind="record", name=FORMAT, advice="the model is tried again")
    except ValueError as error:
        log.warning("%s", error)
        return None
    return str(found["reason"]) if found["settings"] == settings else None
