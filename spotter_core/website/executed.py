"""A notebook as it is read: today's text, with what its code printed and drew when it ran.

The graph runs a notebook again if its code changed, but not for its text. So the cells come from
``notebooks/`` and only their outputs from the executed copy, provided the code is still the same.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

State = Literal["executed", "not executed", "changed since", "by hand"]
"""``by hand`` are notebooks that the graph does not run: exercises, and what only moves live."""


@dataclass(frozen=True)
class Cell:
    """One cell, with the outputs of its run."""

    kind: str
    name: str
    source: str
    tags: tuple[str, ...] = ()
    outputs: Sequence[dict[str, Any]] = ()
    attachments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Notebook:
    """A notebook to be shown."""

    path: str
    cells: Sequence[Cell]
    state: State

    @property
    def stem(self) -> str:
        """The name without folder and suffix."""
        return Path(self.path).stem

    @property
    def title(self) -> str:
        """The first heading, or the file's name."""
        return next((m[1].strip() for m in self.found(r"^#\s+(.+)$")), self.stem)

    @property
    def question(self) -> str:
        """What it asks: the paragraph that says so, or else the first one below the title."""
        asked = next(self.found(r"^\*\*Question\.?\*\*\s*(.+?)(?:\n\s*\n|\Z)"), None)
        first = next(self.found(r"^#\s.*?\n\s*\n(.+?)(?:\n\s*\n|\Z)"), None)
        found = asked or first
        return " ".join(found[1].split()) if found else ""

    def found(self, pattern: str) -> Any:
        """Return the matches in the text cells."""
        texts = [cell.source for cell in self.cells if cell.kind == "markdown"]
        flags = re.MULTILINE | re.DOTALL if "\\Z" in pattern else re.MULTILINE
        return (m for text in texts for m in re.finditer(pattern, text, flags))


def read_cells(path: Path) -> list[Cell]:
    """Return the cells of a file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        Cell(
            kind=cell["cell_type"],
            name=cell.get("id", f"{number}"),
            source="".join(cell["source"]),
            tags=tuple(cell["metadata"].get("tags", ())),
            outputs=cell.get("outputs", ()),
            attachments=cell.get("attachments", {}),
        )
        for number, cell in enumerate(cells)
    ]


def read_notebook(root: Path, path: str, executed: Path, *, planned: bool) -> Notebook:
    """Return a notebook with the outputs of its executed copy.

    Args:
        root: Folder of the repository.
        path: Of the notebook, relative to it.
        executed: Copy that a job of the graph wrote; counts if ``.done`` beside it says so.
        planned: Whether the graph runs it.
    """
    cells = read_cells(root / path)
    if not executed.is_file() or not executed.with_suffix(".done").is_file():
        return Notebook(path, cells, "not executed" if planned else "by hand")
    copies = [cell for cell in read_cells(executed) if cell.kind == "code"]
    ran = [cell for cell in copies if "injected-parameters" not in cell.tags]
    own = [cell for cell in cells if cell.kind == "code"]
    if [meaning(cell.source) for cell in ran] != [meaning(cell.source) for cell in own]:
        return Notebook(path, cells, "changed since")
    outputs = dict(zip([cell.name for cell in own], [cell.outputs for cell in ran], strict=True))
    shown = [replace(cell, outputs=outputs.get(cell.name, ())) for cell in cells]
    for position, cell in enumerate(shown):
        if "parameters" in cell.tags:
            given = [c for c in copies if "injected-parameters" in c.tags]
            shown[position + 1 : position + 1] = given
            break
    return Notebook(path, shown, "executed")


def meaning(source: str) -> str:
    """Return what makes a code cell another one: not its comments, nor its layout."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:  # a line for IPython, such as %matplotlib widget
        return source
