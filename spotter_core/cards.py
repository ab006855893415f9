"""A graphics card for every job, where several jobs of one machine compute at once.

Layer 0, without torch, which takes the first card unless it is told otherwise: four jobs on four
cards would share one. A scheduler tells it by ``CUDA_VISIBLE_DEVICES``. Where nobody has, jobs
agree by locks, which the system frees as a job ends, however it does.
"""

import fcntl
import logging
import os
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []  # a lock lasts as long as its file is open


def count_cards() -> int:
    """Return how many NVIDIA cards this process may use; 0 where their driver is not there."""
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return sum(line.startswith("GPU ") for line in told.stdout.splitlines())


def lock_folder() -> Path:
    """Return where this user's jobs lock cards: this machine's, since cards are."""
    return Path(tempfile.gettempdir()) / f"spotter-cards-{os.getuid()}"


def take_cards(wanted: int, count: int | None = None, folder: Path | None = None) -> None:
    """Choose cards for this process and those that it starts, and hold them until this one ends.

    Nothing is chosen where ``CUDA_VISIBLE_DEVICES`` is set, or where there is no choice. If other
    jobs hold too many, the missing ones are shared with them, and the log says so.

    Args:
        wanted: How many.
        count: How many there are; the driver is asked by default, if there may be a choice.
        folder: Of the locks; :func:`lock_folder` by default.
    """
    if VISIBLE in os.environ or wanted < 1:
        return
    count = count_cards() if count is None else count
    if count < 2:
        return
    wanted, folder = min(wanted, count), folder or lock_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    chosen = []
    for card in range(count):
        lock = os.open(folder / str(card), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        _held.append(lock)
        chosen.append(card)
        if len(chosen) == wanted:
            break
    if others := [card for card in range(count) if card not in chosen][: wanted - len(chosen)]:
        log.warning("cards %s are shared with other jobs: all %d are taken", others, count)
    os.environ[VISIBLE] = ",".join(map(str, sorted([*chosen, *others])))
