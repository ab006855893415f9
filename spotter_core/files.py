"""Files that are whole or absent and tell if they were changed, hashes, the project's folder.

Layer 0, without torch: the graph and everything that only reads rows stand on it.

What is kept carries a digest of itself: a field ``"digest": "..."``, the first of its kind in the
file, of all bytes but its own digits. A flipped bit or a lost end is found when the file is read.
It is no signature: whoever means to deceive computes it anew.
"""

import contextlib
import glob
import hashlib
import json
import mmap
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLANK = "0" * 32
"""What a writer puts where the digest belongs: 128 bits in hex."""
ABANDONED = 86400.0
"""Seconds after which a temporary file is taken for a killed writer's: no writing takes a day."""
FIELD = re.compile(rb'"digest": ?"([0-9a-f]{32})"')


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    A reader sees the old file, the new one or none, never half of one, whenever the writer dies.
    What a killed writer of the same file left is removed once it is older than :data:`ABANDONED`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            _remove_abandoned(path, now=temporary.stat().st_mtime)
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


def _remove_abandoned(path: Path, now: float) -> None:
    """Remove temporary files of ``path`` that no living writer has, by the disk's own clock."""
    known = f".{glob.escape(path.name)}.????????{glob.escape(path.suffix)}"  # as mkstemp names them
    for left in path.parent.glob(known):
        with contextlib.suppress(OSError):  # another was faster, or it is not ours
            if now - left.stat().st_mtime > ABANDONED:
                left.unlink()


def write_text_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all; an equal file keeps its time stamp."""
    write_atomically(path, text.encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all; an equal file keeps its time stamp."""
    if path.is_file() and path.read_bytes() == data:
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


# --- files that tell if they were changed ---------------------------------------------------------


def sealed(data: bytes) -> bytes:
    """Return ``data`` with its digest in the place of the first :data:`BLANK` digest field.

    Raises:
        ValueError: If there is no such field, or it is filled.
    """
    field = _blank_field(data)
    return data[: field.start(1)] + _digest(data, field) + data[field.end(1) :]


def seal_file(path: Path) -> None:
    """Do to a file what :func:`sealed` does to its content, without a copy of it in memory."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        field = _blank_field(data)
        data[slice(*field.span(1))] = _digest(data, field)


def is_sealed(data: bytes | mmap.mmap) -> bool:
    """Return whether ``data`` holds a digest, and it is that of the rest."""
    field = FIELD.search(data)
    return field is not None and field[1] == _digest(data, field)


def is_sealed_file(path: Path) -> bool:
    """Return whether a file is as :func:`sealed` made it; it is mapped, not copied."""
    if not path.stat().st_size:  # can't be mapped
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return is_sealed(data)


def _blank_field(data: bytes | mmap.mmap) -> re.Match[bytes]:
    field = FIELD.search(data)
    if field is None or field[1] != BLANK.encode():
        raise ValueError(f'what is to be sealed must have a field "digest": "{BLANK}" to fill')
    return field


def _digest(data: bytes | mmap.mmap, field: re.Match[bytes]) -> bytes:
    found = hashlib.blake2b(digest_size=len(BLANK) // 2)  # fast on every CPU
    with memoryview(data) as view:
        for part in (slice(0, field.start(1)), slice(field.end(1), None)):
            with view[part] as piece:
                found.update(piece)
    return found.hexdigest().encode()


def write_sealed(path: Path, text: str) -> None:
    """Write the text of a JSON object with its digest as first key, whole or not at all.

    Args:
        path: File to write.
        text: An object of one key at least, none of them ``digest``, in any layout.
    """
    write_atomically(path, sealed(f'{{"digest": "{BLANK}", {text[1:]}'.encode()))


def read_sealed(
    path: Path, *, kind: str, name: str, advice: str, data: bytes | None = None
) -> dict[str, Any]:
    """Return the JSON object in a file of :func:`write_sealed`, its format and digest checked.

    Args:
        path: File to read.
        kind: What it is, for errors: ``"rows file"``.
        name: What its key ``format`` must say.
        advice: What to do about a wrong file, for errors.
        data: What it holds, for whoever has read it: the bytes that are checked are his.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is cut short, of another format, or was changed after it was written.
    """
    data = path.read_bytes() if data is None else data
    try:
        content = json.loads(data.decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{kind} {path} can't be read ({error}): {advice}") from error
    if not isinstance(content, dict) or content.get("format") != name:
        raise ValueError(f"{path} is no {kind} of format {name!r}: {advice}")
    if not is_sealed(data):
        raise ValueError(
            f"{kind} {path} does not match its digest, it was damaged or edited: {advice}"
        )
    return content


# --- hashes and places ----------------------------------------------------------------------------


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
