"""What a check says of an answer: right, a known slip, a prediction compared, unreadable."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import seeded
from torch.nn import functional as F

from spotter_core.attacks.prototype import blend, prototype_rows, row_scale
from spotter_core.divergence import masked_log_softmax
from spotter_core.exercises import by_hand, by_prototype, strongest
from spotter_core.exercises.answers import Slip, choose, judge, predict_choice, predict_number
from spotter_core.exercises.sheet import Sheet
from spotter_core.exercises.verdicts import LOOKS, Verdict, show
from spotter_core.metrics import mean_cosine_similarity, over_unlearning, residual_forget_mass
from spotter_core.profiles import Cell, load_profile
from spotter_core.study import Study


def number(answer, truth=0.25, **more):
    return judge("q", answer, truth, todo="do it", right="well", **more)


# --- numbers --------------------------------------------------------------------------------------


def test_no_answer_is_not_answered_yet_and_says_what_to_do():
    assert number(None) == Verdict("q", "open", "do it")
    assert repr(number(None)) == "Not answered yet: q\n  do it"


@pytest.mark.parametrize(
    "answer",
    [
        0.25,
        0.2504,
        np.float32(0.25),
        torch.tensor(0.25),
        torch.tensor([0.25], requires_grad=True),
        [0.25],
        pd.Series([0.25]),
    ],
)
def test_a_number_counts_in_whatever_it_comes(answer):
    assert number(answer) == Verdict("q", "right", "well")


@pytest.mark.parametrize(
    ("answer", "truth", "told"),
    [
        ("0.25", 0.25, "'0.25' is text: leave out the quotes"),
        (True, 1.0, "True is a truth value"),
        (print, 0.25, "this is a builtin_function_or_method"),
        ({"a": 1}, 0.25, "this is a dict"),
        ([0.1, 0.2], 0.25, r"Expected one number, got a tensor of shape \(2,\)"),
        (0.25, torch.ones(3), r"Expected 3 numbers, a tensor of shape \(3,\), got a .* shape \(\)"),
        (torch.ones(1, 3), torch.ones(3), r"got a tensor of shape \(1, 3\)"),
        ([[1, 2], [3]], 0.25, "this is a list"),
        ([None], 0.25, "NaN"),
    ],
)
def test_an_answer_of_another_kind_gets_a_sentence_and_no_exception(answer, truth, told):
    verdict = number(answer, truth)
    assert verdict.kind == ("other" if told == "NaN" else "unreadable")
    assert re.search(told, verdict.why)


def test_nan_sign_and_percent_are_known_for_every_number():
    assert "0 · ln 0" in number(math.nan, nan="0 · ln 0").why
    assert "the sign is not" in number(-0.25).why
    assert "in percent" in number(25.0).why
    assert number(0.3).why.startswith("It is none of the usual slips")


def test_a_slip_that_equals_the_truth_is_none_and_the_first_of_equal_ones_is_told():
    slips = [Slip(0.25, "no slip"), Slip(0.5, "first"), Slip(0.5, "second")]
    assert number(0.25, slips=slips).kind == "right"
    assert number(0.5, slips=slips) == Verdict("q", "other", "first")


def test_a_slip_of_another_shape_or_without_a_value_matches_nothing():
    slips = [Slip(torch.ones(2), "vector"), Slip(math.nan, "nothing"), Slip(math.inf, "endless")]
    assert number(1.0, slips=slips).why.startswith("It is none")
    assert number(math.inf, slips=slips).why == "endless"


# --- choices and predictions ----------------------------------------------------------------------


def test_a_choice_is_right_or_gets_its_own_reason():
    reasons = {"a": "because", "b": "since"}
    assert choose("q", "a", reasons, "a", todo="") == Verdict("q", "right", "because")
    assert choose("q", " B ", reasons, "a", todo="") == Verdict("q", "other", "since")
    assert choose("q", None, reasons, "a", todo="do it").kind == "open"
    for odd in ("c", 1, ["a"], True):
        told = choose("q", odd, reasons, "a", todo="")
        assert told.kind == "unreadable"
        assert told.why == f"Expected one of 'a', 'b', with the quotes, but got {odd!r}."


def predicted(answer):
    def explain(guess):
        return f"you said {guess}"

    return predict_number("q", answer, 0.75, near=0.1, todo="do it", explain=explain)


def test_a_prediction_is_compared_and_never_called_wrong():
    assert predicted(0.7) == Verdict("q", "met", "you said 0.7")
    assert predicted(0) == Verdict("q", "compared", "you said 0.0")
    assert predicted(None).kind == "open"
    assert not any("wrong" in word.lower() for word, _ in LOOKS.values())


@pytest.mark.parametrize(
    ("answer", "told"),
    [(75, "percentage"), (-1, "between 0 and 1"), (math.nan, "between 0 and 1"), ("x", "text")],
)
def test_a_prediction_that_can_not_be_is_unreadable(answer, told):
    assert predicted(answer).kind == "unreadable"
    assert told in predicted(answer).why


def test_a_predicted_choice_tells_what_was_measured():
    reasons = {1: "one", 3: "three", "more": "more"}

    def said(answer):
        return predict_choice("q", answer, reasons, [3], todo="do it")

    assert said(3) == Verdict("q", "met", "three")
    assert said(1) == said(1.0) == Verdict("q", "compared", "one")
    assert said("more") == Verdict("q", "compared", "more")
    assert said(None).kind == "open"
    assert said("3").why.endswith("but got '3'. Leave out the quotes.")
    for odd in (2, "three", True, [1], torch.ones(2)):
        assert said(odd).kind == "unreadable", odd


# --- the slips, by their values -------------------------------------------------------------------

BEFORE = torch.tensor([1.5, -0.5, 2.0, 0.3])
AFTER = torch.tensor([0.2, 0.9, -1.0, 1.4])
FEATURES = torch.rand(5, 6, generator=seeded(3)) * torch.tensor([[1.0], [2], [3], [4], [9]])
WEIGHT = torch.randn(4, 6, generator=seeded(4))
ATTACKS = ["pra", "lda", "probe", "nearest"]
TABLE = pd.DataFrame(
    {
        "original": [0.9, 0.97, 0.95, 0.96],
        "retrain": [0.3, 0.7, 0.78, 0.2],
        "spotter": [0.14, 0.92, 0.81, 0.7],
    },
    index=ATTACKS,
).T


def cases():
    masked = masked_log_softmax(BEFORE[None], [2]).exp()[0]
    ou = over_unlearning(BEFORE[None], AFTER[None], [2]).item()
    mass = residual_forget_mass(BEFORE[None], AFTER[None], [2]).item()
    row = blend(prototype_rows(FEATURES, "cosine")[0], WEIGHT[2], 0.8)
    cosine = mean_cosine_similarity(FEATURES, torch.zeros(5, dtype=torch.long))
    found = {
        "masked": (masked, by_hand.masked_slips(BEFORE, 2)),
        "divergence": (ou, by_hand.divergence_slips(BEFORE, AFTER, 2, 0.123)),
        "mass": (mass, by_hand.mass_slips(BEFORE, AFTER, 2)),
        "row": (row, by_prototype.row_slips(FEATURES, WEIGHT[2], 0.8)),
        "bias": (0.2 * 0.6, by_prototype.bias_slips(0.6, 0.8)),
        "length": (row_scale(WEIGHT, [2], 1.0), by_prototype.length_slips(WEIGHT, 2)),
        "cosine": (cosine, strongest.cosine_slips(FEATURES)),
        "excess": (0.14, strongest.excess_slips(TABLE, "spotter", "retrain")),
    }
    return [(name, truth, slip) for name, (truth, slips) in found.items() for slip in slips]


@pytest.mark.parametrize(("name", "truth", "slip"), cases())
def test_every_slip_is_recognised_by_its_value_and_told_its_own_reason(name, truth, slip):
    slips = [s for n, _, s in cases() if n == name]
    assert number(truth, truth, slips=slips).kind == "right"
    assert number(slip.value, truth, slips=slips) == Verdict("q", "other", slip.why)
    assert len({s.why for s in slips}) == len(slips)


def test_divergence_slips_are_what_a_loop_makes_of_these_mistakes():
    p, q = BEFORE.double().clone(), AFTER.double().softmax(dim=0).tolist()
    p[2] = -math.inf
    p = p.softmax(dim=0).tolist()

    def kl(a, b):
        return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    middle = [(x + y) / 2 for x, y in zip(p, q, strict=True)]
    values = [s.value for s in by_hand.divergence_slips(BEFORE, AFTER, 2, 0.0)]
    assert values[0] == pytest.approx(kl(p, q))
    assert values[1] == pytest.approx(kl(p, middle) + kl(q, middle))
    assert values[5:7] == pytest.approx([kl(p, middle), kl(q, middle)])


def test_a_mean_brought_to_unit_length_forgets_whether_it_was_a_sum():
    slips = by_prototype.row_slips(FEATURES, WEIGHT[2], 0.8)
    same = 0.8 * F.normalize(FEATURES.sum(dim=0), dim=0) + 0.2 * WEIGHT[2]
    truth = blend(prototype_rows(FEATURES, "cosine")[0], WEIGHT[2], 0.8)
    assert number(same, truth, slips=slips).kind == "right"


# --- how it is shown ------------------------------------------------------------------------------


def test_a_verdict_is_html_in_a_notebook_and_plain_text_elsewhere(capsys):
    verdict = Verdict("p < q", "other", "KL(p || q) & more")
    html = verdict._repr_html_()
    assert "Not this: p &lt; q" in html
    assert "KL(p || q) &amp; more" in html
    assert "color:" not in html.replace("border", "")  # the theme's own, dark or light
    show(verdict)
    assert capsys.readouterr().out == "Not this: p < q\n  KL(p || q) & more\n"


class TwoQuestions(Sheet):
    """A sheet of two questions, for the tests."""

    QUESTIONS = ("first", "second")


@pytest.fixture
def study(tmp_path):
    return Study("digits", root=tmp_path)


def test_a_sheet_remembers_what_was_said_and_counts_it(study, capsys):
    sheet = TwoQuestions(study, Cell((3,), 0))
    sheet.settle("first", Verdict("one", "right", "well"))
    sheet.settle("second", Verdict("two", "compared", "so it is"))
    assert sheet.left() == ["second"]
    sheet.summary()
    told = capsys.readouterr().out.splitlines()[-3:]
    head = "2 of 2 questions are settled"
    assert told == [head, "  first: right", "  second: measured otherwise"]


def test_an_exercise_refuses_several_classes_and_a_profile_without_its_models(study, tmp_path):
    with pytest.raises(ValueError, match="about one forgotten class"):
        TwoQuestions(study, Cell((0, 8), 0))
    profile = load_profile("digits")
    profile.methods.pop("delete")
    with pytest.raises(ValueError, match="needs delete, which profile digits does not have"):
        TwoQuestions(Study(profile, root=tmp_path), Cell((3,), 0))
