"""The students' and the teacher's notebooks are what the sources give, and hide what they must.

The versions are committed, so that a student needs no command; these tests keep them from drifting.
"""

import ast
import json
import re
from pathlib import Path

import pytest

from spotter_core.exercises.dispersion import Dispersion
from spotter_core.exercises.over_unlearning import OverUnlearning
from spotter_core.exercises.relearning import Relearning
from spotter_core.exercises.versions import FOLDERS, main, sources, version_path, version_text

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "exercises"
SOURCES = sources(ROOT)
SHEETS = {"E1": OverUnlearning, "E2": Relearning, "E3": Dispersion}


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def source(request):
    return request.param


def cells_of(path, tag=None):
    """(kind, text) of the cells that bear a tag, or of all of them."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    chosen = [c for c in cells if tag is None or tag in c["metadata"].get("tags", [])]
    return [(c["cell_type"], "".join(c["source"])) for c in chosen]


def assigned(path, tag=None):
    """Name and value's syntax tree of every assignment to a name that begins with ``my_``."""
    code = "\n".join(text for kind, text in cells_of(path, tag) if kind == "code")
    return [
        (target.id, node.value)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.startswith("my_")
    ]


def test_there_are_three_exercises():
    assert [path.stem[:2] for path in SOURCES] == list(SHEETS)


@pytest.mark.parametrize("version", FOLDERS)
def test_a_version_is_what_its_source_gives(source, version):
    told = "it was edited, or its source was: run `make exercises`"
    there = version_path(source, version).read_text(encoding="utf-8")
    assert there == version_text(source, version), told


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_no_version_is_left_of_a_source_that_is_gone(folder):
    assert sorted(p.name for p in (FOLDER / folder).glob("*.ipynb")) == [p.name for p in SOURCES]


def test_the_command_writes_them_all_and_the_same_again(tmp_path, monkeypatch, capsys):
    copied = tmp_path / "notebooks" / "exercises" / "source" / SOURCES[0].name
    copied.parent.mkdir(parents=True)
    copied.write_bytes(SOURCES[0].read_bytes())
    monkeypatch.setattr("spotter_core.exercises.versions.project_root", lambda: tmp_path)
    main()
    for version in FOLDERS:
        own = version_path(SOURCES[0], version)
        made = version_path(copied, version)
        assert made.read_bytes() == own.read_bytes()
        assert str(made.relative_to(tmp_path)) in capsys.readouterr().out or version == "teacher"


def test_a_students_version_holds_no_answer(source):
    student = version_path(source, "student")
    assert cells_of(student, "teacher") == []
    assert assigned(student)
    for name, value in assigned(student):
        given = [n.value for n in ast.walk(value) if isinstance(n, ast.Constant)]
        keys = [k.value for k in value.keys] if isinstance(value, ast.Dict) else []
        assert set(given) - set(keys) == {None}, name
    everything = "\n".join(text for _, text in cells_of(student))
    for _, text in cells_of(source, "teacher"):
        for line in filter(lambda line: len(line) > 12, text.splitlines()):
            assert line.strip() not in everything


def test_a_teachers_version_answers_every_question_and_gives_the_reason(source):
    teacher = version_path(source, "teacher")
    assert cells_of(teacher, "student") == []
    asked = {name for name, _ in assigned(version_path(source, "student"))}
    assert {name for name, _ in assigned(teacher)} == asked
    reasons = [text for kind, text in cells_of(teacher, "teacher") if kind == "markdown"]
    answers = [text for kind, text in cells_of(teacher, "teacher") if kind == "code"]
    assert sum("**Answer.**" in text for text in reasons) == len(answers) - 1  # the last asserts
    assert answers[-1].startswith("assert not check.left()")


def test_every_question_of_the_sheet_is_checked_once_in_its_order(source):
    code = "\n".join(text for kind, text in cells_of(source) if kind == "code")
    asked = re.findall(r"^check\.(\w+)\(my_\w+\)$", code, flags=re.MULTILINE)
    assert tuple(asked) == SHEETS[source.stem[:2]].QUESTIONS


def test_an_exercise_says_how_long_it_takes_has_folded_hints_and_short_code(source):
    kind, title = cells_of(source)[0]
    assert kind == "markdown"
    assert re.match(rf"# {source.stem[:2]} · .+\n", title)
    assert re.search(r"\*\*Time\*\*: 2[05] minutes", title)
    everything = "\n".join(text for _, text in cells_of(source))
    assert everything.count("<details><summary>Hint</summary>") == everything.count("</details>")
    assert everything.count("</details>") >= 3
    code = [text for kind, text in cells_of(source) if kind == "code"]
    assert max(text.count("\n") for text in code) < 15


def test_the_teachers_guide_names_figures_and_links_that_are_there():
    guide = (ROOT / "notebooks" / "TEACHING.md").read_text(encoding="utf-8")
    figures = re.findall(r"`(\w+\.png)`", guide)
    assert len(figures) >= 8
    assert [f for f in figures if not (ROOT / "figures" / "digits" / f).is_file()] == []
    links = re.findall(r"\]\(([^)#:]+)\)", guide)
    assert links
    assert [link for link in links if not (ROOT / "notebooks" / link).exists()] == []
