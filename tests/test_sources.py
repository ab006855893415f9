import ast
import importlib
import json

import pytest

from spotter_core import once, sources
from spotter_core.sources import (
    closure_of_code,
    code_fingerprint,
    function_digest,
    imported_modules,
    module_closure,
    notebook_code,
    notebook_fingerprint,
)

# A chain with a side branch: high -> middle -> leaf, wide -> leaf and box (a folder), alone.
CODE = {
    "__init__.py": '"""The package."""\n',
    "leaf.py": '"""A leaf."""\n\nX = 1  # a comment\n',
    "middle.py": "from spotter_core.leaf import X\n\ndef f():\n    '''Say.'''\n    return X\n",
    "high.py": "def g():\n    from spotter_core import middle\n    return middle.f()\n",
    "wide.py": "import spotter_core.leaf\nimport json\nfrom spotter_core.box.inner import Y\n",
    "alone.py": "import os\nfrom collections import abc\n",
    "box/__init__.py": "from spotter_core.box.inner import Y\n",
    "box/inner.py": "Y = 2\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``write(name, text)`` into a package of its own, which ``sources`` takes for the core."""
    root = tmp_path / "spotter_core"

    def write(name, text):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
        once.READ.pop(str(root / name), None)  # as if another process came to read it

    monkeypatch.setattr(sources, "ROOT", root)
    for name, text in CODE.items():
        write(name, text)
    return write


def fingerprints():
    names = ["leaf", "middle", "high", "wide", "alone", "box", "box.inner"]
    return {name: code_fingerprint(f"spotter_core.{name}") for name in names}


def changed_since(before):
    now = fingerprints()
    return {name for name in before if before[name] != now[name]}


# --- what is imported -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import spotter_core.leaf", {"leaf"}),
        ("from spotter_core.leaf import X", {"leaf"}),
        ("from spotter_core import leaf, middle as m", {"leaf", "middle"}),
        ("from spotter_core.box import inner", {"box", "box.inner"}),
        ("if True:\n    def f():\n        import spotter_core.box", {"box"}),
        ("import spotter_core", set()),
        ("import spotter_core_extra, json\nfrom os import path", set()),
        ("x = 'import spotter_core.leaf'  # import spotter_core.high", set()),
    ],
)
def test_imports_are_read_off_the_code_wherever_they_stand(package, code, found):
    assert imported_modules(ast.parse(code)) == {f"spotter_core.{name}" for name in found}


@pytest.mark.parametrize(
    ("module", "closure"),
    [
        ("leaf", {"leaf"}),
        ("high", {"high", "middle", "leaf"}),
        ("wide", {"wide", "leaf", "box.inner"}),
        ("box", {"box", "box.inner"}),
        ("alone", {"alone"}),
    ],
)
def test_a_closure_holds_all_that_is_imported_directly_or_not(package, module, closure):
    expected = {f"spotter_core.{name}" for name in closure}
    assert module_closure(f"spotter_core.{module}") == expected
    assert closure_of_code(f"import spotter_core.{module}") == expected


def test_a_ring_of_imports_ends(package):
    package("leaf.py", "import spotter_core.high\nX = 1\n")
    ring = {f"spotter_core.{name}" for name in ("leaf", "middle", "high")}
    assert {module_closure(module) for module in ring} == {frozenset(ring)}


def test_the_closure_of_the_real_study_has_the_methods_and_no_picture():
    closure = module_closure("spotter_core.study")
    assert {"spotter_core.methods.spotter", "spotter_core.losses", "spotter_core.files"} <= closure
    assert not any(module.startswith("spotter_core.plots") for module in closure)


# --- what a fingerprint depends on ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("leaf.py", '"""Another text."""\n\nX = 1\n'),
        ("leaf.py", 'X = (\n    1\n)\n"""What X is."""\n'),
        ("middle.py", "from spotter_core.leaf import X\ndef f():\n    # why\n    return X\n"),
        ("__init__.py", "VERSION = 2\n"),
    ],
)
def test_comments_docstrings_and_layout_change_nothing(package, name, text):
    before = fingerprints()
    package(name, text)
    assert not changed_since(before)


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("leaf.py", "X = 3\n", {"leaf", "middle", "high", "wide"}),
        ("middle.py", CODE["middle.py"].replace("return X", "return -X"), {"middle", "high"}),
        ("high.py", CODE["high.py"] + "Z = 0\n", {"high"}),
        ("alone.py", "import os, sys\n", {"alone"}),
        ("box/inner.py", "Y = 'two'\n", {"box", "box.inner", "wide"}),
        ("alone.py", "import spotter_core.leaf\n", {"alone"}),
    ],
)
def test_a_change_of_code_reaches_what_depends_on_it_and_nothing_else(package, name, text, changed):
    before = fingerprints()
    package(name, text)
    assert changed_since(before) == changed


def test_a_text_that_is_used_is_code(package):
    before = fingerprints()
    package("leaf.py", "X = 'one'\n")
    first = fingerprints()
    assert changed_since(before)
    package("leaf.py", "X = 'other'\n")
    assert changed_since(first)


def test_a_fingerprint_does_not_depend_on_the_order_of_modules(package):
    both = ["spotter_core.high", "spotter_core.alone"]
    assert code_fingerprint(*both) == code_fingerprint(*reversed(both))
    assert code_fingerprint(*both) != code_fingerprint(both[0])
    assert len(code_fingerprint(*both)) == 12


def test_a_digest_of_functions_is_of_their_code_without_what_they_call(tmp_path, monkeypatch):
    def digest(code):
        path = tmp_path / f"made{len(list(tmp_path.iterdir()))}.py"
        path.write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        made = importlib.import_module(path.stem)
        return function_digest(made.f), function_digest(made.f, made.g)

    plain = "def g():\n    return 1\n\n\ndef f():\n    return g()\n"
    first, both = digest(plain)
    assert len(first) == 12
    assert digest(plain.replace("return g()", '"""Say."""\n    return g()  # why')) == (first, both)
    other_called = digest(plain.replace("return 1", "return 2"))
    assert other_called[0] == first
    assert other_called[1] != both
    assert digest(plain.replace("return g()", "return -g()"))[0] != first


# --- notebooks ------------------------------------------------------------------------------------


@pytest.fixture
def notebook(tmp_path):
    def write(*cells):
        """Cells are texts of code, or (kind, text, rest of the cell)."""
        content = []
        for cell in cells:
            kind, text, rest = cell if isinstance(cell, tuple) else ("code", cell, {})
            plain = {"outputs": [], "execution_count": None} if kind == "code" else {}
            lines = text.splitlines(keepends=True)
            content.append({"cell_type": kind, "metadata": {}, "source": lines} | plain | rest)
        path = tmp_path / "notebook.ipynb"
        path.write_text(json.dumps({"cells": content, "metadata": {}}), encoding="utf-8")
        return path

    return write


CELLS = ["n: int = 1  # how many", "from spotter_core.middle import f\n\nf()"]


def test_the_code_of_a_notebook_is_that_of_its_code_cells(notebook):
    path = notebook(CELLS[0], ("markdown", "# Title\nimport spotter_core.high", {}), CELLS[1])
    assert notebook_code(path) == "\n\n".join(CELLS)


def test_text_outputs_and_comments_of_a_notebook_count_for_nothing(package, notebook):
    plain = notebook_fingerprint(notebook(*CELLS))
    output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
    ran = {"outputs": [output], "execution_count": 7, "metadata": {"tags": ["x"]}, "id": "a"}
    assert notebook_fingerprint(notebook(("markdown", "words, ε", {}), *CELLS)) == plain
    assert notebook_fingerprint(notebook(CELLS[0], ("code", CELLS[1], ran))) == plain
    assert notebook_fingerprint(notebook(CELLS[0].replace("how many", "why"), CELLS[1])) == plain


def test_code_of_a_notebook_counts(package, notebook):
    plain = notebook_fingerprint(notebook(*CELLS))
    assert notebook_fingerprint(notebook(CELLS[0].replace("1", "2"), CELLS[1])) != plain
    assert notebook_fingerprint(notebook(*CELLS, "print(n)")) != plain
    assert notebook_fingerprint(notebook(*reversed(CELLS))) != plain


def test_a_notebook_depends_on_what_it_imports_and_on_nothing_else(package, notebook):
    path = notebook(*CELLS)
    plain = notebook_fingerprint(path)
    package("high.py", "new = 1\n")
    package("alone.py", "new = 1\n")
    package("leaf.py", '"""Words."""\nX = 1\n')
    assert notebook_fingerprint(path) == plain
    package("leaf.py", "X = 5\n")
    assert notebook_fingerprint(path) != plain


def test_every_module_is_parsed_twice_at_most_however_many_depend_on_it(package, monkeypatch):
    """For its imports and for its digest: a start of the graph asks for all notebooks' code."""
    parsed = []
    real = ast.parse
    sources.direct_imports.cache_clear()
    sources.source_digest.cache_clear()
    with monkeypatch.context() as watched:
        watched.setattr(sources.ast, "parse", lambda text: parsed.append(text) or real(text))
        for module in ("leaf", "middle", "high", "wide", "box", "box.inner"):
            code_fingerprint(f"spotter_core.{module}")
    assert max(map(parsed.count, set(parsed))) <= 2
