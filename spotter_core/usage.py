"""What a job took: seconds, processor time, memory; told by the system, kept in its executed copy.

Layer 0, without torch. Exact, where a look at the processes now and then is not: a kernel's last
half minute is as long as many a job. Where the system tells nothing (Windows), nothing is kept.
"""

import sys
import time
from dataclasses import dataclass

try:
    import resource
except ImportError:  # of Unix alone
    resource = None  # type: ignore[assignment]

KEY = "spotter"
"""Of the executed copy's metadata."""


@dataclass(frozen=True)
class Usage:
    """What a job took.

    Attributes:
        seconds: By the clock.
        processor: Seconds of all its threads and of the processes that it started and saw end.
        memory: MB that the largest of its processes held at its peak.
    """

    seconds: float
    processor: float
    memory: float


def usage_since(start: float) -> Usage | None:
    """Return what this process and those that it started took; nothing where nobody counts.

    Args:
        start: ``time.time()`` when it began.
    """
    if resource is None:
        return None
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return Usage(
        seconds=round(time.time() - start, 2),
        processor=round(sum(used.ru_utime + used.ru_stime for used in both), 2),
        memory=round(max(used.ru_maxrss for used in both) / unit, 1),
    )


def read_usage(content: dict[str, object]) -> Usage | None:
    """Return what an executed copy says of its job; ``None`` where it says nothing.

    Args:
        content: The notebook's JSON.
    """
    metadata = content.get("metadata")
    kept = metadata.get(KEY) if isinstance(metadata, dict) else None
    return Usage(**kept) if isinstance(kept, dict) else None
