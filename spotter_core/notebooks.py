"""How a notebook starts, and how one is executed from the command line.

Layer 7, the top: notebooks call :func:`start`; the graph calls ``python -m spotter_core.notebooks``,
which is papermill with three things more: unknown parameters are refused, an error is told in one
sentence that names notebook, cell and exception, and the executed copy is kept then too.
"""

import argparse
import ast
import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spotter_core.results import Row, save_rows
from spotter_core.runtime import describe_run, project_root
from spotter_core.study import Cell, Study, cells_of

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


def refuse_unknown(given: set[str], declared: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if a given parameter is not declared."""
    if unknown := sorted(given - set(declared)):
        raise ValueError(
            f"unknown parameter {', '.join(unknown)}: this notebook has {', '.join(declared)}"
        )


def start(namespace: Mapping[str, Any]) -> tuple[Study, list[Cell], Path]:
    """Check a notebook's parameters and return its study, its cells and its figures' folder.

    Args:
        namespace: ``globals()`` of a notebook that declares ``profile``, ``cells``, ``run`` and
            ``figures``. ``cells`` may be ``["all"]``.

    Raises:
        ValueError: If a parameter, the profile or a cell is unknown.
    """
    check_parameters(namespace)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    root = project_root()
    study = Study(
        namespace["profile"], root=root / namespace["run"] if namespace["run"] else None
    )
    named = namespace["cells"]
    cells = cells_of(study.profile) if named == ["all"] else [Cell.parse(name) for name in named]
    for cell in cells:
        study.split(cell)  # refuses a class that the data set does not have, now
    figures = root / namespace["figures"] if namespace["figures"] else study.root / "figures"
    facts = describe_run()
    print(f"{study.profile.label}, {study.arch}, {len(cells)} cell(s) of profile {study.profile.name}")
    print(f"Python {facts['python']}, torch {facts['torch']}, {facts['hardware']}")
    return study, cells, figures


def publish_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the rows behind a picture beside it, so that it can be redrawn and checked."""
    about = {"versions": describe_run()}
    save_rows(path, rows, about=about)


def parameter_names(notebook: Path) -> dict[str, Any]:
    """Return names and defaults of a notebook's parameters, as papermill reads them."""
    from papermill import inspect_notebook

    return {name: entry["default"] for name, entry in inspect_notebook(str(notebook)).items()}


def execute(
    notebook: Path, output: Path, parameters: Mapping[str, Any], *, timeout: int | None = None
) -> None:
    """Execute a notebook through papermill; the executed copy is kept whatever happens.

    Args:
        notebook: Source, left as it is.
        output: Executed copy; written after every cell, and with the traceback if one fails.
        parameters: Over the notebook's own.
        timeout: Seconds that one cell may take.

    Raises:
        ValueError: If a parameter is unknown to the notebook.
        RuntimeError: If a cell fails: names notebook, cell, exception and the executed copy.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    refuse_unknown(set(parameters), parameter_names(notebook))
    output.parent.mkdir(parents=True, exist_ok=True)
    told = None
    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters=dict(parameters),
            kernel_name="python3",
            cwd=str(project_root()),
            progress_bar=False,
            log_output=True,
            request_save_on_cell_execute=True,
            execution_timeout=timeout,
        )
    except PapermillExecutionError as error:
        told = f"cell [{error.exec_count}] raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        told = f"a cell ran longer than the limit of {timeout} s"
    except DeadKernelError as error:
        told = f"the kernel died ({error}); out of memory?"
    if told is not None:
        raise RuntimeError(f"{notebook.name}: {told}\n  executed copy with the traceback: {output}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one notebook; the log goes to a file, the one sentence of an error to the terminal."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.notebooks", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path, help="executed copy")
    parser.add_argument("--log", type=Path, required=True, help="file for what the notebook prints")
    parser.add_argument("--timeout", type=int, default=None, help="seconds a cell may take")
    parser.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "YAML")
    )
    options = parser.parse_args(arguments)
    parameters = {name: yaml.safe_load(text) for name, text in options.parameter}
    os.environ["TQDM_DISABLE"] = "1"  # a bar in a log is a hundred lines
    options.log.parent.mkdir(parents=True, exist_ok=True)
    with options.log.open("w", encoding="utf-8") as stream:
        logging.basicConfig(stream=stream, level=logging.INFO, format="%(message)s", force=True)
        try:
            with contextlib.redirect_stdout(stream):
                execute(options.notebook, options.output, parameters, timeout=options.timeout)
        except (RuntimeError, ValueError) as error:
            print(f"\nFAILED {error}", file=stream)
            print(f"\nFAILED {error}\n  log: {options.log}\n", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
