"""A job runs the code that its study was planned with, or stops.

Layer 1, without torch. A study plans its jobs once, as it starts, and keeps of each that ended well
what it was planned with. A job that starts after an edit, and ends before the edit is taken back,
would be taken for one of the plan.
"""

import os
from pathlib import Path

from spotter_core.sources import notebook_fingerprint

MODELS = "spotter_core.study"
"""The module that makes a study's models, with all that it imports."""
PLANNED = "SPOTTER_PLANNED"
"""Environment variable of a job's kernel: the fingerprint in the plan, and the notebook's path."""


def refuse_changed(notebook: Path, planned: str) -> None:
    """Raise ``RuntimeError`` if a notebook's code, or the core's, is not what was planned.

    After this call the process runs no other code than was looked at here, whatever is edited: see
    :mod:`spotter_core.once`.

    Args:
        notebook: What is to be executed.
        planned: From :func:`~spotter_core.sources.notebook_fingerprint`, as the study was started.
    """
    refuse_other(
        f"{notebook.name}: its code or the core's", notebook_fingerprint(notebook), planned
    )


def refuse_other(what: str, found: str, planned: str) -> None:
    """Raise ``RuntimeError`` if the fingerprint of some code is not what was planned."""
    if found != planned:
        raise RuntimeError(
            f"{what} was changed after the study had started; start the study again: what was "
            "finished is kept, what the change concerns is made anew"
        )


def announce(notebook: Path, planned: str) -> None:
    """Have the kernels that this process starts call :func:`refuse_unplanned` in earnest."""
    os.environ[PLANNED] = f"{planned} {notebook.resolve()}"


def refuse_unplanned() -> None:
    """Call :func:`refuse_changed` in a job's kernel; elsewhere nothing was planned."""
    planned, _, notebook = os.environ.get(PLANNED, "").partition(" ")
    if planned:
        refuse_changed(Path(notebook), planned)
