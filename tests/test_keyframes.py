"""Layer 3: what is stored comes back, and what does not fit together is refused by name."""

import json

import numpy as np
import pytest
from made_keyframes import COUNT, made_keyframes, made_run, numbers

from spotter_core.files import write_sealed
from spotter_core.keyframes import Run, fitted, load_keyframes, save_keyframes


def test_keyframes_come_back_as_they_were_and_equal_ones_are_equal_bytes(tmp_path):
    given = made_keyframes()
    for name in ("a.json", "deep/b.json"):
        save_keyframes(tmp_path / name, given)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "deep" / "b.json").read_bytes()
    found = load_keyframes(tmp_path / "a.json")
    for name in ("title", "class_names", "forget_classes", "yardsticks", "about", "epochs"):
        assert getattr(found, name) == getattr(given, name)
    assert list(found.runs) == list(given.runs) == ["delete", "spotter"]
    np.testing.assert_array_equal(found.labels, given.labels)
    np.testing.assert_allclose(found.oracle, given.oracle, atol=1e-4)
    for name, run in given.runs.items():
        assert found.runs[name].epochs == run.epochs
        assert found.runs[name].numbers == run.numbers
        np.testing.assert_array_equal(found.runs[name].points, run.points)
    save_keyframes(tmp_path / "c.json", found)
    assert (tmp_path / "c.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_a_run_is_asked_for_its_last_moment():
    run = made_run([0, 2, 7], seed=0)
    assert [run.until(epoch) for epoch in (0, 1, 2, 6, 7, 100)] == [0, 0, 1, 1, 2, 2]
    assert made_keyframes().epochs == [0, 1, 2, 5]


def test_coordinates_are_moved_and_scaled_alike():
    parts = [np.array([[2.0, 1.0], [4.0, 1.0]]), np.array([[6.0, 3.0], [2.0, 1.0]])]
    first, second = fitted(parts)
    np.testing.assert_allclose(first, [[-1.0, -0.5], [0.0, -0.5]])
    np.testing.assert_allclose(second, [[1.0, 0.5], [-1.0, -0.5]])
    assert np.isfinite(fitted([np.zeros((2, 2))])[0]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oracle": np.zeros((3, 2))}, rf"oracle must be \({COUNT}, 2\)"),
        ({"runs": {}}, "runs is empty"),
        ({"yardsticks": {"original": numbers(1.0)}}, r"yardsticks\['retrain'\] must have"),
        ({"yardsticks": {"original": {}, "retrain": numbers(0.0)}}, "forget_accuracy.* missing"),
        ({"runs": {"delete": made_run([1, 2], seed=0)}}, "'delete' must rise from 0"),
        ({"runs": {"delete": made_run([0, 2, 2], seed=0)}}, "'delete' must rise from 0"),
        ({"runs": {"delete": made_run([0, 1], seed=0, count=5)}}, "points of 'delete' must be"),
        (
            {"runs": {"delete": Run((0,), np.full((1, COUNT, 2), np.nan), (numbers(0.0),))}},
            "points of 'delete' hold NaN",
        ),
        ({"runs": {"delete": Run((0,), np.zeros((1, COUNT, 2)), ())}}, "one a moment, got 0"),
        ({"runs": {"delete": Run((0,), np.zeros((1, COUNT, 2)), ({},))}}, "at epoch 0 must have"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        made_keyframes(**changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text[: len(text) // 2], "can't be read"),
        (lambda text: "[]", "no keyframes file of format"),
        (lambda text: text.replace("keyframes-2", "keyframes-1"), "no keyframes file of format"),
        (lambda text: text.replace('"labels":[0', '"labels":[1'), "does not match its digest"),
        (lambda text: json.dumps(json.loads(text)), "does not match its digest"),
    ],
)
def test_a_spoiled_file_is_refused_with_what_to_do(tmp_path, spoil, message):
    path = tmp_path / "frames.json"
    save_keyframes(path, made_keyframes())
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ValueError, match=f"{message}.*run notebook 05b again"):
        load_keyframes(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: without(content, "oracle"), "lacks 'oracle'"),
        (lambda content: content | {"labels": [0]}, "oracle must be"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused_with_what_to_do(tmp_path, change, message):
    path = tmp_path / "frames.json"
    save_keyframes(path, made_keyframes())
    content = without(json.loads(path.read_text(encoding="utf-8")), "digest")
    write_sealed(path, json.dumps(change(content)))
    with pytest.raises(ValueError, match=f"{message}.*run notebook 05b again"):
        load_keyframes(path)


def without(content, key):
    return {name: value for name, value in content.items() if name != key}
