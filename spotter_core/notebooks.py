"""How a notebook starts and what it leaves: parameters checked, study opened, rows published.

Layer 10, the top: called by notebooks alone.
"""

import ast
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spotter_core.execute import refuse_unknown
from spotter_core.files import project_root
from spotter_core.frontends import has_widgets
from spotter_core.planned import refuse_unplanned
from spotter_core.prepare import missing, smaller
from spotter_core.profiles import Cell
from spotter_core.results import Row, save_rows
from spotter_core.runtime import describe_run
from spotter_core.study import Study

INJECTED = "# Parameters\n"
"""First line of the cell that papermill puts below the parameters cell."""


def check_parameters(namespace: Mapping[str, Any]) -> None:
    """Refuse papermill parameters that the notebook does not have, or of another type.

    Papermill itself only logs a line about an unknown name. The parameters cell declares its names
    with types (``seeds: list = [0]``), which Python keeps in ``__annotations__``.

    Args:
        namespace: ``globals()`` of the notebook.

    Raises:
        ValueError: If a parameter is unknown; lists those that the notebook has.
        TypeError: If a value is of another type than declared.
    """
    declared: dict[str, Any] = namespace.get("__annotations__", {})
    given: set[str] = set()
    for source in namespace.get("In", []):
        if source.startswith(INJECTED):
            for statement in ast.parse(source).body:
                if isinstance(statement, ast.Assign):
                    given |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
    refuse_unknown(given, declared)
    for name, kind in declared.items():
        value = namespace[name]
        right = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not right or (kind is not bool and isinstance(value, bool)):
            raise TypeError(
                f"parameter {name} must be of type {kind.__name__}, got {value!r} "
                f"({type(value).__name__}); from a shell pass lists with papermill -y"
            )


def start(namespace: Mapping[str, Any]) -> tuple[Study, list[Cell], Path]:
    """Check a notebook's parameters and return its study, its cells and its figures' folder.

    Args:
        namespace: ``globals()`` of a notebook that declares ``profile``, ``cells``, ``run`` and
            ``figures``. ``cells`` may be ``["all"]``.

    Raises:
        ValueError: If a parameter, the profile or a cell is unknown.
        RuntimeError: If a study executes it whose plan was of other code.
    """
    refuse_unplanned()
    check_parameters(namespace)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    root = project_root()
    study = Study(namespace["profile"], root=root / namespace["run"] if namespace["run"] else None)
    named = namespace["cells"]
    cells = study.profile.cells if named == ["all"] else [Cell.parse(name) for name in named]
    for cell in cells:
        study.split(cell)  # refuses a class that the data set does not have, now
    figures = root / namespace["figures"] if namespace["figures"] else study.root / "figures"
    facts = describe_run()
    print(
        f"{study.profile.label}, {study.arch}, {len(cells)} cell(s) of profile {study.profile.name}"
    )
    print(f"Python {facts['python']}, torch {facts['torch']}, {facts['hardware']}")
    if has_widgets():
        print(what_is_missing(study, cells), end="")
    return study, cells, figures


def what_is_missing(study: Study, cells: Sequence[Cell]) -> str:
    """Return what a reader who opens a notebook is told where models are not made yet.

    Nothing where all are there: a batch run makes what it needs and is not told.
    """
    left = [str(cell) for cell in cells if missing(study, cell, list(study.profile.methods))]
    if not left:
        return ""
    profile = study.profile.name
    told = (
        f"\nNot all models of {', '.join(left)} are made yet.\n"
        f"  make study PROFILE={profile}  makes the whole study, all rows and pictures;\n"
        f"  run on, and those that this notebook needs are made here, with a bar for each.\n"
    )
    return told + (f"  {other}\n" if (other := smaller(study)) else "")


def publish_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the rows behind a picture beside it, so that it can be redrawn and checked."""
    about = {"versions": describe_run()}
    save_rows(path, rows, about=about)
