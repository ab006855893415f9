"""Executing a notebook from the command line: papermill, and what a job needs besides.

Layer 2, without torch: unknown parameters and changed code are refused; an error is told in one
sentence that names notebook, cell and exception; the executed copy and the log are kept then too,
and a copy that ended well says what it took; a card is held where others compute beside it.
The graph's jobs are ``python -m spotter_core.execute NOTEBOOK OUTPUT --log FILE -p NAME YAML``.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import yaml

from spotter_core.cards import take_cards
from spotter_core.files import project_root, write_text_atomically
from spotter_core.frontends import STATIC
from spotter_core.planned import announce, refuse_changed
from spotter_core.usage import KEY, Usage, usage_since

log = logging.getLogger(__name__)

# papermill's jsonschema checks addresses by a grammar that takes a second or more to compile, in
# every job, and that no notebook needs; where it can't be imported, it is left out
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def refuse_unknown(given: set[str], declared: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if a given parameter is not declared."""
    if unknown := sorted(given - set(declared)):
        raise ValueError(
            f"unknown parameter {', '.join(unknown)}: this notebook has {', '.join(declared)}"
        )


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
        log.error(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)))  # without colours
    except CellTimeoutError:
        told = f"a cell ran longer than the limit of {timeout} s"
    except DeadKernelError as error:
        told = f"the kernel died ({error}); out of memory?"
    if told is not None:
        raise RuntimeError(f"{notebook.name}: {told}\n  executed copy: {output}")


def keep_usage(notebook: Path, usage: Usage | None) -> None:
    """Write into an executed copy what its job took.

    A copy that another job is just writing, where two execute one notebook, is left as it is.
    """
    if usage is None or not notebook.is_file():
        return
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
    except ValueError as error:
        log.warning("%s does not say what its job took: it can't be read (%s)", notebook, error)
        return
    content["metadata"][KEY] = asdict(usage)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    write_text_atomically(notebook, text + "\n")


def parse_parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return parameters from pairs of a name and its value in YAML.

    Raises:
        ValueError: If a value is no YAML.
    """
    parameters = {}
    for name, text in pairs:
        try:
            parameters[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f"parameter {name} must be YAML, got {text!r}") from error
    return parameters


@contextlib.contextmanager
def output_to(stream: TextIO) -> Iterator[None]:
    """Send to ``stream`` what this process and the kernel that it starts print, errors, too."""
    kept = os.dup(2)
    os.dup2(stream.fileno(), 2)
    try:
        with contextlib.redirect_stdout(stream):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one notebook; the log goes to a file, an error's sentence to the terminal."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.execute", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("output", type=Path, help="executed copy")
    parser.add_argument("--log", type=Path, required=True, help="file for what the notebook prints")
    parser.add_argument("--planned", help="fingerprint of the code that must be executed")
    parser.add_argument("--gpus", type=int, default=0, help="how many to hold, of several here")
    parser.add_argument("--timeout", type=int, default=None, help="seconds a cell may take")
    parser.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "YAML")
    )
    options = parser.parse_args(arguments)
    start = time.time()
    os.environ["TQDM_DISABLE"] = "1"  # a bar in a log is a hundred lines
    os.environ.setdefault(STATIC, "1")  # nobody moves a control here, whoever started this
    told = None
    try:
        options.log.parent.mkdir(parents=True, exist_ok=True)
        with options.log.open("w", encoding="utf-8") as stream:
            logging.basicConfig(stream=stream, level=logging.INFO, format="%(message)s", force=True)
            try:
                parameters = parse_parameters(options.parameter)
                take_cards(options.gpus)
                if options.planned:
                    refuse_changed(options.notebook, options.planned)
                    announce(options.notebook, options.planned)
                with output_to(stream):
                    execute(options.notebook, options.output, parameters, timeout=options.timeout)
                keep_usage(options.output, usage_since(start))
            except Exception as error:
                print(f"\nFAILED {error}", file=stream)
                raise
    except (RuntimeError, ValueError) as error:
        told = str(error)
    except OSError as error:
        told = f"{options.notebook.name}: a file can't be read or written ({error}); "
        told += "what was finished before is kept"
    if told is not None:
        print(f"\nFAILED {told}\n  log: {options.log}\n", file=sys.stderr)
    return int(told is not None)


if __name__ == "__main__":
    sys.exit(main())
