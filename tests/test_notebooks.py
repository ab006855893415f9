import ast
import json
import re
from pathlib import Path

import pytest

from spotter_core.graph import NOTEBOOKS, Graph
from spotter_core.measurements import accuracies
from spotter_core.notebooks import (
    INJECTED,
    check_parameters,
    publish_rows,
    start,
    what_is_missing,
)
from spotter_core.profiles import Cell, load_profile
from spotter_core.results import load_about, load_rows
from spotter_core.sources import imported_modules

ROOT = Path(__file__).resolve().parents[1]
# Notebooks by name, with those that they wait for.
NEEDS = {name: list(notebook.needs) for name, notebook in NOTEBOOKS.items()}

# --- parameters that papermill puts in ------------------------------------------------------------


def namespace(declared, injected=None):
    """What a notebook's ``globals()`` hold after its parameters cell and papermill's."""
    defaults = {"seeds": [0], "name": "digits", "share": 0.5, "count": 3, "quick": False}
    given = injected or {}
    cells = [INJECTED + "\n".join(f"{key} = {value!r}" for key, value in given.items())]
    return {
        "In": [
            "",
            "seeds: list = [0]",
            *(cells if injected is not None else []),
            "start(globals())",
        ],
        "__annotations__": declared,
        **{name: defaults[name] for name in declared},
        **given,
    }


DECLARED = {"seeds": list, "name": str, "share": float, "count": int, "quick": bool}


@pytest.mark.parametrize(
    "injected",
    [
        None,
        {},
        {"seeds": [1, 2]},
        {"share": 1, "quick": True, "count": -1},
        {"name": "", "seeds": []},
    ],
)
def test_parameters_of_the_declared_types_pass(injected):
    check_parameters(namespace(DECLARED, injected))


def test_a_notebook_without_papermill_or_parameters_passes():
    check_parameters({})
    check_parameters({"x": 1})


@pytest.mark.parametrize(
    ("injected", "unknown"),
    [({"sedes": [1]}, "sedes"), ({"seeds": [1], "b": 1, "a": 2}, "a, b")],
)
def test_an_unknown_parameter_is_refused_with_those_that_the_notebook_has(injected, unknown):
    message = f"unknown parameter {unknown}: this notebook has seeds, name, share, count, quick"
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_parameters(namespace(DECLARED, injected))


def test_a_name_that_the_user_sets_in_a_cell_of_their_own_is_no_parameter():
    own = namespace(DECLARED, {"seeds": [1]})
    own["In"].append("mine = 3\n# Parameters\nother = 4")
    check_parameters(own | {"mine": 3, "other": 4})


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("seeds", "[0]", "list"),  # what papermill's -p makes of a list
        ("seeds", (0,), "list"),
        ("seeds", 0, "list"),
        ("seeds", None, "list"),
        ("name", 3, "str"),
        ("name", ["digits"], "str"),
        ("share", "0.5", "float"),
        ("share", True, "float"),
        ("count", 2.0, "int"),
        ("count", True, "int"),
        ("count", "3", "int"),
        ("quick", 1, "bool"),
        ("quick", "true", "bool"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name_type_and_value(name, value, kind):
    message = f"^parameter {name} must be of type {kind}, got {re.escape(repr(value))} "
    with pytest.raises(TypeError, match=message):
        check_parameters(namespace(DECLARED, {name: value}))


# --- how a notebook starts ------------------------------------------------------------------------


@pytest.fixture
def begin(tmp_path):
    """``begin(profile=...)`` starts a notebook with the parameters that all notebooks have."""
    kinds = {"profile": str, "cells": list, "run": str, "figures": str}
    standard = {
        "profile": "digits",
        "cells": ["forget3-seed0"],
        "run": str(tmp_path),
        "figures": "",
    }

    def call(**given):
        return start({"__annotations__": kinds, "In": [], **standard, **given})

    return call


def test_a_notebook_starts_with_its_study_cells_and_folder(begin, tmp_path, capsys):
    study, cells, figures = begin(cells=["forget3-seed0", "forget8+0-seed2"])
    assert study.profile.name == "digits"
    assert study.root == tmp_path
    assert cells == [Cell((3,), 0), Cell((0, 8), 2)]
    assert figures == tmp_path / "figures"
    assert "2 cell(s) of profile digits" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_all_cells_are_those_of_the_profile(begin):
    study, cells, _ = begin(cells=["all"])
    assert cells == study.profile.cells


def test_empty_folders_are_those_of_the_profile_in_the_project(begin, tmp_path):
    study, _, figures = begin(run="")
    assert study.root == ROOT / "runs" / "digits"
    assert figures == ROOT / "runs" / "digits" / "figures"
    assert begin(run="runs/mine", figures="figures/mine")[2] == ROOT / "figures" / "mine"
    assert begin(figures=str(tmp_path / "pictures"))[2] == tmp_path / "pictures"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"profile": "digit"}, "unknown profile 'digit'; known: .*digits"),
        ({"cells": ["3"]}, "cell must look like forget3-seed0 or .*, got '3'"),
        ({"cells": ["all", "forget3-seed0"]}, "cell must look like .*, got 'all'"),
        ({"cells": ["forget10-seed0"]}, "10"),
        ({"cells": ["forget3+3-seed0"]}, "3"),
        ({"cells": ["forget0+1+2+3+4+5+6+7+8+9-seed0"]}, "all 10 classes"),
    ],
)
def test_what_the_study_does_not_have_is_refused_before_any_work(begin, tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        begin(**given)
    assert list(tmp_path.iterdir()) == []


def test_parameters_are_checked_first(begin):
    with pytest.raises(
        TypeError, match="parameter cells must be of type list, got 'forget3-seed0'"
    ):
        begin(cells="forget3-seed0", profile="digit")
    with pytest.raises(
        ValueError, match="unknown parameter sedes: this notebook has profile, cells"
    ):
        begin(In=[INJECTED + "sedes = [1]"])


def test_who_opens_a_notebook_before_its_models_exist_is_told_what_makes_them(
    begin, capsys, monkeypatch
):
    begin()
    assert "make study" not in capsys.readouterr().out  # a batch run makes them and is not told
    monkeypatch.setattr("spotter_core.notebooks.has_widgets", lambda: True)
    begin()
    told = capsys.readouterr().out
    assert "Not all models of forget3-seed0 are made yet" in told
    assert "make study PROFILE=digits" in told
    assert "small live version" not in told  # this is the small one


def test_where_all_models_are_made_nothing_is_said(begin, monkeypatch):
    study, cells, _ = begin()
    monkeypatch.setattr("spotter_core.notebooks.missing", lambda *_: [])
    assert what_is_missing(study, cells) == ""


def test_a_study_that_takes_hours_names_the_small_one(begin, monkeypatch):
    study, cells, _ = begin()
    object.__setattr__(study.profile, "name", "cifar10-small")
    told = what_is_missing(study, cells)
    assert "make study PROFILE=cifar10-small" in told
    assert 'profile = "digits"' in told


def test_the_rows_behind_a_picture_are_published_with_versions(begin, tmp_path):
    study, cells, figures = begin()
    rows = [study.row(cells[0], "original", "forget/test", accuracies.__name__, 0.5, "fraction")]
    publish_rows(rows, figures / "rows.json")
    assert load_rows(tmp_path / "figures" / "rows.json") == rows
    assert set(load_about(figures / "rows.json")["versions"]) >= {"python", "torch", "hardware"}


# --- the notebooks themselves ---------------------------------------------------------------------


class Notebook:
    """A notebook of the study: its cells, their code, and its parameters."""

    def __init__(self, path):
        self.path = path
        content = json.loads(path.read_text(encoding="utf-8"))
        self.kernel = content["metadata"]["kernelspec"]["name"]
        self.cells = [
            (c["cell_type"], "".join(c["source"]), c["metadata"]) for c in content["cells"]
        ]
        self.code = [source for kind, source, _ in self.cells if kind == "code"]
        tagged = [s for _, s, about in self.cells if "parameters" in about.get("tags", [])]
        self.parameters = ast.parse(tagged[0]).body if tagged else []


@pytest.fixture(params=NEEDS)
def notebook(request):
    path = ROOT / "notebooks" / f"{request.param}.ipynb"
    if not path.is_file():
        pytest.skip(f"{path.name} is not written yet")
    return Notebook(path)


def test_the_graph_knows_every_notebook_and_no_other():
    there = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert there <= set(NEEDS)
    assert set().union(*NEEDS.values()) < set(NEEDS)


def test_a_notebook_asks_one_question_in_15_to_30_cells(notebook):
    assert 15 <= len(notebook.cells) <= 30
    kind, text, _ = notebook.cells[0]
    assert kind == "markdown"
    assert re.match(rf"# {notebook.path.stem.partition('_')[0]} · .+\n", text)
    assert notebook.kernel == "python3"


def test_a_code_cell_has_at_most_15_lines_of_code(notebook):
    lines = {cell: sum(bool(line.strip()) for line in cell.splitlines()) for cell in notebook.code}
    assert not [cell for cell, count in lines.items() if count > 15]


def test_a_function_in_a_notebook_has_at_most_5_lines_below_its_name(notebook):
    long = [
        node.name
        for cell in notebook.code
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.end_lineno - node.body[0].lineno >= 5
    ]
    assert not long


def test_parameters_are_annotated_literals_of_their_type_with_a_comment(notebook):
    assert notebook.parameters
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
    for statement in notebook.parameters:
        assert isinstance(statement, ast.AnnAssign), ast.unparse(statement)
        value = ast.literal_eval(statement.value)
        assert type(value) is kinds[statement.annotation.id], ast.unparse(statement)


def test_papermill_sees_every_parameter_with_its_default(notebook):
    papermill = pytest.importorskip("papermill")
    seen = papermill.inspect_notebook(str(notebook.path))
    defaults = {s.target.id: ast.literal_eval(s.value) for s in notebook.parameters}
    assert {name: ast.literal_eval(p["default"]) for name, p in seen.items()} == defaults


def test_a_notebook_takes_every_parameter_that_the_graph_passes(notebook):
    graph = Graph(load_profile("digits"))
    passed = set(graph.parameters(graph.jobs[0], "runs/digits", "figures/digits"))
    assert passed == {"profile", "run", "cells", "figures"}
    assert passed <= {statement.target.id for statement in notebook.parameters}


def test_the_defaults_are_a_short_run_that_exists(notebook, begin):
    values = {s.target.id: ast.literal_eval(s.value) for s in notebook.parameters}
    names = ("profile", "cells", "figures")
    _, cells, _ = begin(**{name: values[name] for name in names})
    assert len(cells) == 1
    assert values["run"] == values["figures"] == ""


def test_a_notebook_starts_by_the_core_and_imports_umap_only_where_it_is_drawn(notebook):
    code = "\n".join(notebook.code)
    imported = imported_modules(ast.parse(code))
    assert "spotter_core.notebooks" in imported
    assert re.search(r"\bstart\(globals\(\)\)", code)
    if not notebook.path.stem.startswith(("00", "05")):
        assert "spotter_core.embedding" not in imported
    assert not re.search(r"^\s*[!%]|pip install", code, re.MULTILINE)
