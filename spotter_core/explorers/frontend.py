"""Who looks: somebody with a mouse, or a batch run that wants a still picture.

Layer 10. An explorer's figure lives on ipympl's canvas where a frontend can move it, else it is
shown as it stands. Widgets are never made where nobody can move them: an executor that waits for a
widget's answer may wait for ever, and the saved copy would hold controls that do nothing.
"""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
from IPython.display import Image, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spotter_core.explorers.stage import Stage
from spotter_core.frontends import has_widgets
from spotter_core.plots.style import save_figure

PAUSE = 0.25
"""Seconds without a move after which a picture is refined."""
SOON = 0.03
"""Seconds that moves of the pointer are gathered for."""


class Explorer(Protocol):
    """Controls and the picture that they move."""

    figure: Figure
    stage: Stage

    def draw(self) -> None:
        """Draw what the controls' first values say."""

    def controls(self) -> Any:
        """Return one widget with all controls, wired to the picture; called before ``draw``."""


def show(explorer: Explorer, still: Path | None = None) -> None:
    """Display an explorer: with its controls where there is a frontend, else as a still picture.

    Args:
        explorer: Its picture is drawn here.
        still: File that a still picture is written to; ends in ``.png``.
    """
    if not has_widgets():
        canvas, picture = FigureCanvasAgg(explorer.figure), io.BytesIO()
        explorer.draw()
        canvas.print_png(picture)  # type: ignore[no-untyped-call]
        if still is not None:
            save_figure(explorer.figure, still)
        # a figure itself would be shown as words where pyplot has not drawn one before
        display(Image(picture.getvalue(), format="png"))  # type: ignore[no-untyped-call]
        print("A still picture: opened in JupyterLab, this cell has controls.")
        return
    display(panel(explorer))  # type: ignore[no-untyped-call]


def panel(explorer: Explorer) -> Any:
    """Return one widget: the controls above, the picture that they move below."""
    from ipywidgets import VBox

    canvas = live_canvas(explorer.figure)
    controls = explorer.controls()
    explorer.draw()
    explorer.stage.go_live()
    return VBox([controls, canvas])


def live_canvas(figure: Figure) -> Any:
    """Return a widget that shows ``figure`` and follows every ``figure.canvas.draw()``.

    Figures of pyplot stay what they are: ipympl makes itself their backend when it is imported.
    """
    backend = mpl.get_backend()
    from ipympl.backend_nbagg import Canvas, FigureManager

    if mpl.get_backend() != backend:
        mpl.use(backend)
    canvas = Canvas(figure)
    canvas.toolbar_visible = "fade-in-fade-out"
    canvas.header_visible = canvas.footer_visible = canvas.resizable = False
    FigureManager(canvas, 0)
    return canvas


def after_a_pause(act: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does ``act`` once it was not called for :data:`PAUSE` seconds.

    Without an event loop, as in a test, it is done at once.
    """
    waiting: asyncio.TimerHandle | None = None

    def call() -> None:
        nonlocal waiting
        if waiting is not None:
            waiting.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            act()
        else:
            waiting = loop.call_later(PAUSE, act)

    return call


def lately(act: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does ``act`` soon, once for all calls made until then.

    A pointer moves a hundred times a second, and what is drawn for each move would come late.
    Without an event loop, as in a test, it is done at once.
    """
    waiting = False

    def run() -> None:
        nonlocal waiting
        waiting = False
        act()

    def call() -> None:
        nonlocal waiting
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            act()
            return
        if not waiting:
            waiting = True
            loop.call_later(SOON, run)

    return call
