"""Every source file of this package is read once a process: what is imported is what is hashed.

Layer 0. A file may be edited while a study runs. Python reads a module when it is first imported,
a fingerprint reads it when one is asked for; were these two readings, rows of the old code could
get the name of the new one. So the first reading, whoever asks for it, is kept for both. Compiled
files are compared by content: by time and size, as Python does it, an edit of equal length within
a second, or under a clock that was set back, would go unseen.
"""

import sys
import zlib
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

READ: dict[str, bytes] = {}
"""Sources as they were first read, by path."""


def source(path: str) -> bytes:
    """Return a source file's content as this process first read it."""
    if path not in READ:
        with open(path, "rb") as file:
            READ[path] = file.read()
    return READ[path]


class Loader(SourceFileLoader):
    """Imports from what :func:`source` keeps."""

    def get_data(self, path: str) -> bytes:
        """Return the module's source from memory, a compiled file from the disk."""
        return source(path) if path == self.path else super().get_data(path)

    def path_stats(self, path: str) -> dict[str, float]:
        """Return a checksum in place of a time; Python recompiles if it is not the file's."""
        content = source(path)
        return {"mtime": zlib.crc32(content), "size": len(content)}


class Finder(MetaPathFinder):
    """Finds this package's modules where Python does, and has them loaded by :class:`Loader`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a module of this package; of others nothing is known here."""
        if not name.startswith(f"{__package__}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = Loader(name, spec.loader.path)
            if target is not None:  # it is being reloaded, because it was edited
                READ.pop(spec.loader.path, None)
        return spec


def install() -> None:
    """Have all modules of this package imported that way from now on."""
    sys.meta_path.insert(0, Finder())
