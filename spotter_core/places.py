"""Where data sets lie, and how the archive of one becomes a folder.

Layer 1, without torch: folders and archives only; nothing is read but the archive.
"""

import logging
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from spotter_core.files import project_root

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar.bz2", ".tar", ".zip")
DAMAGED = (EOFError, RuntimeError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error)

log = logging.getLogger(__name__)


def cache_root() -> Path:
    """Return where what can be made anew is kept: ``spotter`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "spotter"


def data_root() -> Path:
    """Return where data sets lie: ``$SPOTTER_DATA``, else :func:`cache_root`."""
    named = os.environ.get("SPOTTER_DATA")
    return Path(named).expanduser() if named else cache_root()


def find_folder(path: str) -> Path:
    """Return the folder that ``path`` names, unpacked from an archive of its name if need be.

    A relative path is looked for in the working folder, below :func:`data_root` and below
    :func:`cache_root`. Where none has it and it is a bare name, an archive of that name is looked
    for in :func:`data_root` and in ``shared/data`` beside the project, and unpacked once, to
    :func:`cache_root`.

    Raises:
        FileNotFoundError: If there is neither folder nor archive; says what to put where.
        ValueError: If the archive is damaged, unsafe or no image folder.
        OSError: If there is no room for what is in it.
    """
    named = Path(path).expanduser()
    folders = [named.absolute(), *(root / named for root in (data_root(), cache_root()))]
    for folder in folders:
        if folder.is_dir():
            return folder
    if named.is_absolute():
        raise FileNotFoundError(
            f"{named} is not there: pass the folder that holds train/ and test/"
        )
    archives = [data_root(), project_root().parent / "shared" / "data"]
    if len(named.parts) == 1:
        for archive in (root / f"{named}{suffix}" for root in archives for suffix in SUFFIXES):
            if archive.is_file():
                return unpack(archive, cache_root() / named)
    raise FileNotFoundError(
        f"image folder {path!r} is not there, looked for {listed(folders)}, and for "
        f"{named}.tar.xz, .tar.gz or .zip in {listed(archives)}: put train/<class>/ and "
        f"test/<class>/ with images into {data_root() / named}, or put its archive beside that, "
        "or point SPOTTER_DATA at the folder that holds either"
    )


def listed(paths: list[Path]) -> str:
    """Return all different paths in a row, in words."""
    return ", ".join(dict.fromkeys(map(str, paths)))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an image folder's ``archive`` to ``folder``, whole or not at all; return ``folder``.

    Nothing lands outside of it, whatever names the archive holds. If another process is first, its
    folder is taken.
    """
    log.info("unpacking %s to %s, once", archive, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            inside = Path(temporary) / folder.name
            inside.mkdir()
            extract(archive, inside)
            top = image_folder_in(inside, archive)
            try:
                top.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
    except DAMAGED as error:
        raise ValueError(
            f"{archive} can't be unpacked ({error}): fetch it again, or delete it"
        ) from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"{archive} can't be unpacked to {folder}: {error.strerror or error}. Make room or "
            "make the folder writable, or unpack it elsewhere and pass that folder",
        ) from error
    return folder


def extract(archive: Path, folder: Path) -> None:
    """Extract all of ``archive``; a name that leads out of ``folder`` is refused or cut."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def image_folder_in(folder: Path, archive: Path) -> Path:
    """Return ``folder``, or the only folder in it, whichever holds ``train/``."""
    inside = [sub for sub in folder.iterdir() if sub.is_dir() and sub.name != "__MACOSX"]
    for top in (folder, *(inside if len(inside) == 1 else [])):
        if (top / "train").is_dir():
            return top
    raise ValueError(
        f"{archive} is no image folder: expected train/ and test/ at its top, or inside one "
        f"folder; found {sorted(sub.name for sub in inside) or 'no folder'}"
    )
