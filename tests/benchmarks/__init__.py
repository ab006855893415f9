"""What `tests/bench.py` and `tests/gpu.py` measure: our ways, the plain ways, and their tables.

Serves from the source alone: where the package is not installed it is found beside this folder, and
where cachetools is missing a stand-in takes its place that forgets nothing.
"""

import sys
import types
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
try:
    import cachetools  # noqa: F401
except ModuleNotFoundError:

    class Everything(dict):
        """Keeps what it is given, whatever its size."""

        def __init__(self, maxsize, getsizeof=None):
            super().__init__()

    sys.modules["cachetools"] = types.ModuleType("cachetools")
    sys.modules["cachetools"].LRUCache = Everything
