"""Files that are whole or absent, hashes of contents and settings, the project's folder.

Layer 0, without torch: the graph and everything that only reads rows stand on it.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    A reader sees the old file, the new one or none, never half of one, whenever the writer dies.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)  # mkstemp writes 600, useless on a shared disk
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
    """Return the folder that holds ``notebooks/``: the working folder, one above, or this file's.

    Notebooks run in JupyterLab from their own folder, under papermill from the caller's.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "notebooks").is_dir() and (folder / "spotter_core").is_dir():
            return folder
    return here
