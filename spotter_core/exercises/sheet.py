"""The questions of one exercise: every answer is checked, shown and remembered.

Layer 10.
"""

import html
from typing import ClassVar

from spotter_core.exercises.verdicts import LOOKS, Verdict, box, show
from spotter_core.profiles import Cell
from spotter_core.study import Study

MODELS = ("original", "retrain", "random_label", "delete", "spotter")
"""Those of the tour: they are there once it has run."""


class Summary:
    """How far a sheet is, to be shown."""

    def __init__(self, lines: dict[str, str], settled: int) -> None:
        self.lines, self.settled = lines, settled

    @property
    def head(self) -> str:
        """The one line that counts."""
        return f"{self.settled} of {len(self.lines)} questions are settled"

    def __repr__(self) -> str:
        """Return it in plain text."""
        return "\n".join([self.head, *(f"  {name}: {word}" for name, word in self.lines.items())])

    def _repr_html_(self) -> str:
        pairs = (f"{html.escape(name)}: {html.escape(word)}" for name, word in self.lines.items())
        return box(LOOKS["open"][1], self.head, "<br>".join(pairs))


class Sheet:
    """The questions of an exercise and what was said to the answers so far.

    A subclass has a method for each of ``QUESTIONS``, of that name, which takes an answer.

    Args:
        study: Its models are what the truths are computed from; those that are missing are made.
        cell: Of one forgotten class.

    Raises:
        ValueError: If the cell has several forget classes, or the profile lacks a model.
    """

    QUESTIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, study: Study, cell: Cell) -> None:
        if len(cell.forget) != 1:
            raise ValueError(f"an exercise is about one forgotten class, cell {cell} has several")
        if missing := [m for m in MODELS[1:] if m not in study.profile.methods]:
            raise ValueError(
                f"an exercise needs {', '.join(missing)}, which profile {study.profile.name} does "
                "not have: choose the profile 'digits'"
            )
        self.study, self.cell = study, cell
        self.verdicts: dict[str, Verdict] = {}

    def settle(self, name: str, verdict: Verdict) -> None:
        """Remember a verdict by its question's name, and show it."""
        self.verdicts[name] = verdict
        show(verdict)

    def left(self) -> list[str]:
        """Return the names of the questions that are not settled."""
        return [q for q in self.QUESTIONS if q not in self.verdicts or not self.verdicts[q].settled]

    def summary(self) -> None:
        """Show how far the exercise is. A prediction counts once it was compared."""
        words = {q: v.kind for q, v in self.verdicts.items()}
        lines = {q: LOOKS[words.get(q, "open")][0].lower() for q in self.QUESTIONS}
        done = sum(words.get(q) in ("right", "met", "compared") for q in self.QUESTIONS)
        show(Summary(lines, done))
