"""The exercises on the digits study itself: answered by the teacher, unanswered, and missed.

Its models are made where they are missing, in a quarter of a minute, and kept as the notebooks keep
them. Cells run in this process, which spares a kernel for each of six notebooks; one notebook has a
kernel, for what only a kernel shows.
"""

import json
import warnings

import matplotlib as mpl
import nbformat
import pytest
from nbclient import NotebookClient

mpl.use("Agg")
import matplotlib.pyplot as plt
from test_exercise_versions import ROOT, SHEETS, SOURCES

from spotter_core.exercises import by_hand, by_prototype, strongest
from spotter_core.exercises.sheet import MODELS
from spotter_core.exercises.versions import version_path
from spotter_core.profiles import Cell
from spotter_core.study import Study

pytestmark = pytest.mark.slow
CELL = Cell((3,), 0)


@pytest.fixture(scope="module")
def study():
    made = Study("digits", root=ROOT / "runs" / "digits")
    assert made.surviving(CELL, MODELS) == list(MODELS)
    return made


@pytest.fixture
def run(study, monkeypatch):
    """``run(path)`` executes the code cells of a notebook; returns its sheet at the end."""
    monkeypatch.setattr(plt, "show", lambda: None)

    def call(path):
        names = {"__name__": path.stem}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{path.stem}, {cell['id']}", "exec"), names)
        return names["check"]

    with mpl.rc_context(), warnings.catch_warnings():
        yield call
    plt.close("all")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_all_of_the_teachers_answers_are_right(run, source):
    check = run(version_path(source, "teacher"))
    assert tuple(check.verdicts) == check.QUESTIONS
    assert {name: v.kind for name, v in check.verdicts.items() if not v.settled} == {}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_students_version_runs_through_unanswered(run, source, capsys):
    check = run(version_path(source, "student"))
    assert {v.kind for v in check.verdicts.values()} == {"open"}
    assert tuple(check.verdicts) == check.QUESTIONS
    out, err = capsys.readouterr()
    assert out.count("Not answered yet: ") == len(check.QUESTIONS)
    assert f"0 of {len(check.QUESTIONS)} questions are settled" in out
    assert err == ""


def test_a_kernel_shows_html_with_plain_text_beside_it(study):
    path = version_path(SOURCES[0], "teacher")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder(path)).execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert {o.get("name") for o in outputs} <= {None, "stdout"}  # no error output
    shown = [o.data for o in outputs if o.output_type == "display_data"]
    right = [data for data in shown if data.get("text/plain", "").startswith("Right: ")]
    assert len(right) == 5
    assert all("<b>Right: " in data["text/html"] for data in right)


def folder(path):
    return {"metadata": {"path": str(path.parent)}}


# --- missed, on the real models -------------------------------------------------------------------


@pytest.fixture(scope="module")
def said(study):
    """``said("E1", "mass", answer)`` is the verdict on one answer."""
    sheets = {name: sheet(study, CELL) for name, sheet in SHEETS.items()}

    def call(exercise, question, answer):
        getattr(sheets[exercise], question)(answer)
        return sheets[exercise].verdicts[question]

    call.sheets = sheets
    return call


def slips_of(sheets, question):
    one, two, three = sheets.values()
    old = two.attack.head(two.study.model(CELL, "delete"))
    made = {
        "masked": lambda: by_hand.masked_slips(one.points.pair[0], 3),
        "divergence": lambda: by_hand.divergence_slips(
            *one.points.pair, 3, one.points.ou("random_label")
        ),
        "mass": lambda: by_hand.mass_slips(*one.points.pair, 3),
        "row": lambda: by_prototype.row_slips(two.attack.features, old[0], 0.8),
        "bias": lambda: by_prototype.bias_slips(old[1], 0.8),
        "length": lambda: by_prototype.length_slips(
            two.study.model(CELL, "spotter").head.weight.detach(), 3
        ),
        "cosine": lambda: strongest.cosine_slips(
            three.study.predictions(CELL, "spotter", "forget/test").features
        ),
        "excess": lambda: strongest.excess_slips(three.table, "spotter", "retrain"),
    }
    return made[question]()


@pytest.mark.parametrize(
    ("exercise", "question"),
    [
        ("E1", "masked"),
        ("E1", "divergence"),
        ("E1", "mass"),
        ("E2", "row"),
        ("E2", "bias"),
        ("E2", "length"),
        ("E3", "cosine"),
        ("E3", "excess"),
    ],
)
def test_on_the_real_models_too_every_slip_is_told_its_own_reason(said, exercise, question):
    told = {}
    for slip in slips_of(said.sheets, question):
        verdict = said(exercise, question, slip.value)
        told[slip.why] = verdict.why
        if verdict.kind == "right":  # one attack may well be the strongest against both networks
            assert slip.why.startswith("You took the same attack from both")
            told.pop(slip.why)
    assert told == {why: why for why in told}


def test_the_share_regained_is_told_apart_from_what_is_measured_elsewhere(said):
    attack = said.sheets["E2"].attack
    attacked, victim = attack.attacked(), attack.study.model(CELL, "delete")
    held = attack.chosen
    tried = {
        "the attacker's own among them": attack.score(attacked, "forget/train"),
        "left out, well done": attack.score(attacked, "forget/train", without=held),
        "at α = 1": attack.score(attack.attacked(1.0), "forget/test"),
        "the attack's price": attack.score(attacked, "retain/test"),
        "before the attack": attack.score(victim, "forget/test"),
        "in percent": 100 * attack.score(attacked, "forget/test"),
    }
    for words, value in tried.items():
        verdict = said("E2", "regained", value)
        assert verdict.kind == "other"
        assert words in verdict.why


@pytest.mark.parametrize(
    ("exercise", "question", "answers"),
    [
        ("E1", "payer", range(10)),
        ("E1", "largest", MODELS),
        ("E1", "oracle", (0.0, 0.1, 0.4, 0.69)),
        ("E2", "shots", (1, 2, 3, 5, 10, "more")),
        ("E2", "alpha", (0.2, 0.4, 0.6, 0.8, 1.0)),
        ("E2", "oracle", (0, 0.5, 0.8, 1)),
        ("E2", "scaled", (0, 0.3, 1)),
        ("E3", "loosest", ("original", "retrain", "spotter")),
        ("E3", "strongest", (0, 0.5, 1)),
    ],
)
def test_every_prediction_is_compared_with_what_was_measured(said, exercise, question, answers):
    verdicts = [said(exercise, question, answer) for answer in answers]
    assert {v.kind for v in verdicts} == {"met", "compared"}
    assert all(any(sign.isdigit() for sign in v.why) for v in verdicts)
    assert all(word not in v.why.lower() for v in verdicts for word in ("wrong", "false", "error"))


@pytest.mark.parametrize(
    ("exercise", "question", "letters", "right"),
    [
        ("E1", "why", "abcd", "b"),
        ("E2", "why", "abc", "b"),
        ("E3", "below", "abc", "b"),
        ("E3", "control", "abc", "b"),
        ("E3", "claim", "abcd", "c"),
    ],
)
def test_every_sentence_on_offer_has_its_own_reason(said, exercise, question, letters, right):
    verdicts = {letter: said(exercise, question, letter) for letter in letters}
    assert [letter for letter, v in verdicts.items() if v.kind == "right"] == [right]
    assert len({v.why for v in verdicts.values()}) == len(letters)


def test_the_parts_of_ou_are_read_whole(said):
    truth = {"original": "mass", "retrain": "shift", "random_label": "shift"}
    assert said("E1", "parts", truth).kind == "right"
    missed = said("E1", "parts", truth | {"original": "shift"})
    assert missed.kind == "other"
    assert missed.why.startswith("original: It has forgotten nothing")
    assert said("E1", "parts", truth | {"retrain": None}).kind == "open"
    for odd in ("mass", {"original": "mass"}, truth | {"retrain": "both"}, 3):
        assert said("E1", "parts", odd).kind == "unreadable"
