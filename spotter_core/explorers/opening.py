"""How an explorer opens: at once, or after what it needs was made beside the page.

Layer 10.
"""

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from IPython.display import display

from spotter_core.explorers.background import Command, Work
from spotter_core.explorers.frontend import Explorer, panel, show
from spotter_core.frontends import has_widgets
from spotter_core.prepare import command, missing, smaller
from spotter_core.profiles import Cell
from spotter_core.study import Study


def open_explorer(
    study: Study,
    cell: Cell,
    methods: Sequence[str],
    build: Callable[[], Explorer],
    *,
    mapped: Sequence[str] = (),
    still: Path | None = None,
) -> None:
    """Display an explorer; where models are missing, first say so and offer to make them.

    Args:
        study: Its run folder is looked into.
        cell: Forget classes and seed.
        methods: Models that the explorer shows.
        build: Makes the explorer, once everything is there.
        mapped: Models whose common embedding it needs.
        still: File for the picture where nobody can move it.
    """
    left = missing(study, cell, methods, mapped) if has_widgets() else []
    if not left:
        show(build(), still)
        return
    words = command(study, cell, methods, mapped)
    opening = Opening(sentence(study, cell, left), words, len(left), build)
    display(opening.box)  # type: ignore[no-untyped-call]


class Opening:
    """What is missing, which command makes it, and a button that makes it here.

    Args:
        told: HTML that says what is missing.
        words: The command that makes it, behind ``python -m``.
        count: So much is missing.
        build: Makes the explorer, once everything is there.
    """

    def __init__(
        self, told: str, words: Sequence[str], count: int, build: Callable[[], Explorer]
    ) -> None:
        import ipywidgets as w

        self.words, self.build = words, build
        self.told = w.HTML(told)
        self.make = w.Button(description="Make them here", button_style="primary")
        self.cancel = w.Button(description="Cancel", disabled=True)
        self.bar = w.IntProgress(min=0, max=count, layout={"width": "16em"})
        self.said = w.Label("")
        buttons = w.HBox([self.make, self.cancel, self.bar, self.said])
        self.box = w.VBox([self.told, buttons])
        self.make.on_click(self._begin)
        self.cancel.on_click(lambda _: self.work.cancel() if self.work else None)
        self.work: Work | None = None

    def _begin(self, _: Any) -> None:
        if self.work is not None and self.work.busy:  # a second click, before the first was seen
            return
        self.work = Work(Command(self.words), on_news=self._line, on_state=self._state)
        self.work.start()

    def _line(self, line: str) -> None:
        if begun := re.match(r"(\d+) of (\d+): ", line):
            self.bar.max, self.bar.value = int(begun[2]), int(begun[1]) - 1
            self.said.value = line

    def _state(self, work: Work) -> None:
        self.make.disabled, self.cancel.disabled = work.busy, not work.busy
        if work.state == "cancelled":
            self.said.value = "cancelled; what was finished is kept"
        elif work.state == "failed":
            self._fail(work.error)
        elif work.state == "done":
            try:
                self.box.children = (panel(self.build()),)
            except (ValueError, ArithmeticError) as error:  # told here: a callback's is in the log
                self._fail(error)

    def _fail(self, error: BaseException | None) -> None:
        self.said.value = ""
        self.told.value = f"<pre>{html.escape(str(error))}</pre>"


def sentence(study: Study, cell: Cell, left: Sequence[str]) -> str:
    """Return what a reader is told, as HTML."""
    profile = study.profile.name
    what = ", ".join(f"<code>{html.escape(name)}</code>" for name in left)
    return (
        f"<b>Not made yet for {cell}:</b> {what}.<br>"
        f"<code>make study PROFILE={profile}</code> makes the whole study; the button makes "
        f"what this picture needs, beside the page. {html.escape(smaller(study), quote=False)}"
    )
