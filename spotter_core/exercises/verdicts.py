"""What a check says about an answer, and how it is shown: HTML in a notebook, else plain text.

Layer 10.
"""

import html
from dataclasses import dataclass
from typing import Literal

from IPython.display import display

Kind = Literal["open", "right", "met", "compared", "other", "unreadable"]
# Word and colour of each kind. The word says everything, so nothing hangs on telling colours apart;
# "wrong" is not among them: a guess that reality has not met was still a guess worth making.
LOOKS: dict[Kind, tuple[str, str]] = {
    "open": ("Not answered yet", "#888888"),
    "right": ("Right", "#009E73"),
    "met": ("As measured", "#009E73"),
    "compared": ("Measured otherwise", "#0072B2"),
    "other": ("Not this", "#D55E00"),
    "unreadable": ("Can't read this", "#CC79A7"),
}


@dataclass(frozen=True)
class Verdict:
    """What a check says.

    Attributes:
        question: In a few words.
        kind: ``"open"``: there is no answer. ``"right"``. ``"met"`` and ``"compared"``: a
            prediction, near what was measured or not. ``"other"``: another value than the right
            one. ``"unreadable"``: not the kind of thing that was asked for.
        why: The reason, in whole sentences.
    """

    question: str
    kind: Kind
    why: str

    @property
    def settled(self) -> bool:
        """Whether the answer is right, or a prediction near what was measured."""
        return self.kind in ("right", "met")

    def __repr__(self) -> str:
        """Return it in plain text."""
        return f"{LOOKS[self.kind][0]}: {self.question}\n  {self.why}"

    def _repr_html_(self) -> str:
        word, color = LOOKS[self.kind]
        return box(color, f"{word}: {self.question}", html.escape(self.why))


def box(color: str, head: str, body: str) -> str:
    """Return HTML of a paragraph with a coloured edge; text keeps the theme's own colour.

    Args:
        color: Of the edge and of nothing else, so that a dark theme stays readable.
        head: Plain text.
        body: HTML.
    """
    style = f"border-left:4px solid {color};padding:0.3em 0 0.3em 0.8em;max-width:48em"
    return f'<div style="{style}"><b>{html.escape(head)}</b><br>{body}</div>'


def show(shown: object) -> None:
    """Show HTML where there is a notebook, plain text where there is only a console."""
    display(shown)  # type: ignore[no-untyped-call]
