"""Whether somebody is there to move a control, or a batch run wants a still picture.

Layer 0, and light: the shell that runs a notebook is imported when it is asked for.
"""

import os
from collections.abc import Mapping

STATIC = "SPOTTER_STATIC"
"""Environment variable: 1 for still pictures where there could be controls, 0 for controls."""
FRONTENDS = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
"""Set in kernels that a notebook frontend started: Jupyter's server, VS Code, Colab.

An executor such as papermill, nbclient or nbmake starts its kernel itself and sets none."""


def has_widgets(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether controls can be moved here.

    Args:
        environment: Default that of the process; :data:`STATIC` in it decides, if it is there.

    Raises:
        ValueError: If :data:`STATIC` is neither 0 nor 1.
    """
    found = os.environ if environment is None else environment
    if chosen := found.get(STATIC):
        if chosen not in ("0", "1"):
            raise ValueError(f"{STATIC} must be 0 (widgets) or 1 (still pictures), got {chosen!r}")
        return chosen == "0"
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return hasattr(shell, "kernel") and any(name in found for name in FRONTENDS)
