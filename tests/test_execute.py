import errno
import json
import logging
import os

import pytest

from spotter_core.execute import main, parse_parameters

GOOD = ["n: int = 1  # how many\nwords: list = []", "import os\nprint(n * 2, words, os.getcwd())"]
PICTURE = {"cell_type": "markdown", "id": "text", "metadata": {}, "source": "# Words, ε"}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """Put back what the command line sets for its own process: logging, no bars, no controls."""
    monkeypatch.setenv("TQDM_DISABLE", "0")
    monkeypatch.setenv("SPOTTER_STATIC", "1")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with nothing in it, from one of whose subfolders notebooks are executed."""
    for folder in ("notebooks", "spotter_core", "elsewhere"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


@pytest.fixture
def notebook(project):
    """``notebook(*code cells)`` writes a notebook, the first cell being its parameters."""

    def write(*cells, name="07_made.ipynb"):
        content = [PICTURE]
        for number, source in enumerate(cells):
            about = {"tags": ["parameters"]} if number == 0 else {}
            cell = {"cell_type": "code", "id": f"cell{number}", "metadata": about, "source": source}
            content.append(cell | {"outputs": [], "execution_count": None})
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        about = {"kernelspec": kernel, "language_info": {"name": "python"}}
        text = {"cells": content, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        path = project / "notebooks" / name
        path.write_text(json.dumps(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def execute(project, capfd):
    """``execute(path, *options)`` returns exit status, standard error, executed copy and log."""

    def run(path, *options, output=project / "runs/a/copy.ipynb", log=project / "runs/b/log.txt"):
        status = main([str(path), str(output), "--log", str(log), *options])
        printed = capfd.readouterr()
        assert printed.out == ""
        copy = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else None
        text = log.read_text(encoding="utf-8") if log.is_file() else None
        return status, printed.err, copy, text

    return run


def outputs(copy):
    """Texts and errors of an executed copy, cell by cell."""
    return [
        ["".join(o.get("text", "")) or o.get("ename") for o in cell["outputs"]]
        for cell in copy["cells"]
        if cell["cell_type"] == "code"
    ]


# --- what goes well -------------------------------------------------------------------------------


def test_a_notebook_is_executed_in_the_project_with_its_parameters(project, notebook, execute):
    path = notebook(*GOOD)
    before = path.read_bytes()
    words = ["it's", 'a "b"', "ε"]
    options = ["-p", "n", "3", "--parameter", "words", json.dumps(words)]
    status, error, copy, log = execute(path, *options)
    assert status == 0
    assert error == ""
    assert outputs(copy)[-1] == [f"6 {words} {project}\n"]
    assert f"6 {words} {project}" in log
    assert path.read_bytes() == before
    assert copy["cells"][0]["source"] in ("# Words, ε", ["# Words, ε"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('["forget3-seed0"]', ["forget3-seed0"]),
        ("digits", "digits"),
        ('""', ""),
        ("a: 1", {"a": 1}),
    ],
)
def test_parameters_are_yaml(text, value):
    assert parse_parameters([("name", text)]) == {"name": value}


# --- what is refused before anything runs ---------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "m", "3"], "unknown parameter m: this notebook has n, words"),
        (["-p", "n", "3", "-p", "k", "1", "-p", "j", "1"], "unknown parameter j, k: this notebook"),
        (["-p", "n", "[3"], "parameter n must be YAML, got '[3'"),
    ],
)
def test_a_wrong_parameter_is_refused_in_a_sentence_and_nothing_runs(
    notebook, execute, options, message
):
    status, error, copy, log = execute(notebook(*GOOD), *options)
    assert status == 1
    assert f"FAILED {message}" in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 2  # the sentence, and where the log is
    assert copy is None
    assert message in log


def test_a_notebook_that_is_not_there_is_a_sentence(project, execute):
    status, error, copy, _ = execute(project / "notebooks" / "08_none.ipynb")
    assert status == 1
    assert "No such file" in error
    assert "08_none.ipynb" in error
    assert "Traceback" not in error
    assert copy is None


def test_a_folder_that_takes_no_log_is_a_sentence(project, notebook, execute):
    (project / "taken").write_text("not a folder")
    status, error, copy, log = execute(notebook(*GOOD), log=project / "taken" / "log.txt")
    assert status == 1
    assert "taken" in error
    assert "Traceback" not in error
    assert copy is log is None


# --- what fails -----------------------------------------------------------------------------------


def test_a_failing_cell_is_told_with_notebook_cell_and_exception_and_all_is_kept(
    project, notebook, execute
):
    path = notebook("n: int = 1", "print('before')", "{}['no key']", "print('after')")
    status, error, copy, log = execute(path)
    assert status == 1
    assert "FAILED 07_made.ipynb: cell [3] raised KeyError: 'no key'" in error
    assert str(project / "runs/a/copy.ipynb") in error
    assert str(project / "runs/b/log.txt") in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 3
    said = outputs(copy)
    assert ["before\n"] in said
    assert ["KeyError"] in said
    assert ["after\n"] not in said
    assert "before" in log
    assert "Traceback (most recent call last)" in log
    assert "KeyError: 'no key'" in log
    assert "\x1b" not in log


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_told(project, notebook, execute):
    path = notebook("n: int = 1", "print('before')", "import time\ntime.sleep(100)")
    status, error, copy, log = execute(path, "--timeout", "2")
    assert status == 1
    assert "FAILED 07_made.ipynb: a cell ran longer than the limit of 2 s" in error
    assert len(error.strip().splitlines()) == 3
    assert ["before\n"] in outputs(copy)
    assert "before" in log


DEAF = """import ctypes, os, signal
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path("kernel").write_text(str(os.getpid()))
ctypes.PyDLL(None).sleep(1000)  # in C, and it lets no other thread run"""


@pytest.mark.slow
def test_a_cell_that_hears_no_interrupt_is_told_and_its_kernel_ended(project, notebook, execute):
    status, error, *_ = execute(notebook("n: int = 1", DEAF), "--timeout", "2")
    assert status == 1
    assert "FAILED 07_made.ipynb: a cell ran longer than the limit of 2 s" in error
    assert "Traceback" not in error
    kernel = int((project / "kernel").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


@pytest.mark.slow
def test_a_kernel_that_dies_is_told(notebook, execute):
    status, error, copy, _ = execute(notebook("n: int = 1", "import os\nos._exit(1)"))
    assert status == 1
    assert "FAILED 07_made.ipynb: the kernel died" in error
    assert len(error.strip().splitlines()) == 3
    assert copy is not None


def test_a_full_disk_is_a_sentence_that_names_notebook_and_copy(notebook, execute, monkeypatch):
    from papermill.iorw import LocalHandler

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalHandler, "write", full)
    status, error, _, log = execute(notebook(*GOOD))
    assert status == 1
    assert "FAILED 07_made.ipynb: a file can't be read or written" in error
    assert "No space left on device" in error
    assert "kept" in error
    assert "Traceback" not in error
    assert "No space left on device" in log


def test_a_copy_that_has_no_place_is_a_sentence(project, notebook, execute):
    (project / "taken").write_text("not a folder")
    status, error, _, _ = execute(notebook(*GOOD), output=project / "taken" / "copy.ipynb")
    assert status == 1
    assert "07_made.ipynb: a file can't be read or written" in error
    assert (project / "taken").read_text() == "not a folder"
