"""What a process computes with and what it says that it computed with are one reading of a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import ROOT

VALUE = "X = 1\n\n\ndef f():\n    return 1\n"
EDITED = VALUE.replace("1", "2")


@pytest.fixture
def process(tmp_path):
    """``process(*lines)`` runs them in a fresh interpreter beside a small package; what it printed.

    The lines may use ``path`` of the module ``value``, ``edit(text)`` and ``fingerprint()``.
    """
    package = tmp_path / "spotter_core"
    package.mkdir()
    for name in ("__init__", "once", "sources"):
        (package / f"{name}.py").write_bytes((ROOT / f"{name}.py").read_bytes())
    path = package / "value.py"
    path.write_text(VALUE, encoding="utf-8")
    begin = [
        "import importlib, os",
        "from pathlib import Path",
        "from spotter_core import sources",
        f"path = Path({str(path)!r})",
        "def fingerprint(): return sources.code_fingerprint('spotter_core.value')",
        f"def edit(text={EDITED!r}): path.write_text(text, encoding='utf-8')",
    ]

    def run(*lines):
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        command = [sys.executable, "-c", "\n".join([*begin, *lines])]
        ended = subprocess.run(
            command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split()

    run.path = path
    return run


def old_and_new(process):
    """The fingerprints of both texts, each from a process that saw one alone."""
    old = process("print(fingerprint())")
    process.path.write_text(EDITED, encoding="utf-8")
    new = process("print(fingerprint())")
    process.path.write_text(VALUE, encoding="utf-8")
    assert old != new
    return old[0], new[0]


def test_code_that_is_edited_after_its_import_keeps_its_old_name(process):
    old, new = old_and_new(process)
    lines = ["from spotter_core import value", "edit()", "print(value.X, fingerprint())"]
    assert process(*lines) == ["1", old]
    assert process(*lines) == ["2", new]  # the next process sees the edit


def test_code_that_is_edited_between_its_fingerprint_and_its_import_is_what_was_hashed(process):
    old, _ = old_and_new(process)
    lines = ["print(fingerprint())", "edit()", "from spotter_core import value", "print(value.X)"]
    assert process(*lines) == [old, "1"]


def test_the_digest_of_a_function_is_of_the_code_that_was_imported(process):
    lines = ["from spotter_core import value", "print(sources.function_digest(value.f))"]
    old = process(*lines)
    assert process(lines[0], "edit('# a line more\\n' * 3)", lines[1]) == old
    process.path.write_text(EDITED, encoding="utf-8")
    assert process(*lines) != old


def test_a_module_that_is_reloaded_is_read_again(process):
    _, new = old_and_new(process)
    lines = ["from spotter_core import value", "edit()", "importlib.reload(value)"]
    assert process(*lines, "print(value.X, fingerprint())") == ["2", new]


def test_an_edit_of_equal_length_and_time_is_not_hidden_by_a_compiled_file(process):
    shown = ["from spotter_core import value", "print(value.X)"]
    assert process(*shown) == ["1"]
    assert list((process.path.parent / "__pycache__").glob("value.*.pyc"))
    times = process.path.stat()
    process.path.write_text(EDITED, encoding="utf-8")
    os.utime(process.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert process(*shown) == ["2"]


def test_a_module_is_compiled_once(process):
    shown = ["from spotter_core import value", "print(value.X)"]
    process(*shown)
    (compiled,) = (process.path.parent / "__pycache__").glob("value.*.pyc")
    before = compiled.stat().st_mtime_ns, compiled.stat().st_ino
    os.utime(process.path, (1, 1))  # a checkout gives files new times
    process(*shown)
    assert (compiled.stat().st_mtime_ns, compiled.stat().st_ino) == before


def test_every_module_of_the_core_is_loaded_from_memory():
    from spotter_core import sources, study

    assert {type(module.__loader__).__name__ for module in (sources, study)} == {"Loader"}
    assert Path(study.__file__) == ROOT / "study.py"
