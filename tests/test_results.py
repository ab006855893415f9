import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import damages
from hypothesis import given
from hypothesis import strategies as st

from spotter_core.files import write_sealed
from spotter_core.results import (
    COLUMNS,
    Row,
    bootstrap_interval,
    load_about,
    load_file,
    load_rows,
    resampled_means,
    save_rows,
    summarise,
    to_frame,
)

ROW = Row(
    dataset="Digits",
    arch="small_cnn-24",
    method="spotter",
    forget="3+8",
    seed=0,
    split="forget/test",
    measure="over_unlearning",
    value=0.1 + 0.2,
    unit="nats",
    settings="0123456789ab",
    at={"neighborhood": "PGD toward", "epsilon": 0.1},
)
ROWS = [
    ROW,
    replace(ROW, method="original", value=1 / 3, at={}),
    replace(ROW, method="ε → näher", seed=2, value=1e-300, at={"shots": 5, "alpha": 1.0}),
]
RIGHT = {"format": "spotter-rows-2", "about": {}, "columns": COLUMNS, "rows": []}
ABOUT = {"profile": "digits", "versions": {"torch": "2.11"}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows" / "ou" / "forget3-seed0.json"


# --- rows to JSON and back ------------------------------------------------------------------------


def test_rows_come_back_as_they_were_in_their_order_with_what_holds_for_all(path):
    save_rows(path, ROWS, about=ABOUT)
    assert load_rows(path) == ROWS
    assert load_about(path) == ABOUT
    assert load_file(path) == (ROWS, ABOUT)
    save_rows(path, reversed(ROWS))
    assert load_rows(path) == ROWS[::-1]
    assert load_about(path) == {}


def test_rows_that_were_loaded_are_saved_byte_by_byte_as_before(path, tmp_path):
    save_rows(path, ROWS, about=ABOUT)
    again = tmp_path / "again.json"
    save_rows(again, load_rows(path), about=load_about(path))
    assert again.read_bytes() == path.read_bytes()


def test_the_order_of_keys_does_not_reach_the_file(path, tmp_path):
    save_rows(path, [ROW], about=ABOUT)
    other = tmp_path / "other.json"
    turned = replace(ROW, at=dict(reversed(ROW.at.items())))
    save_rows(other, [turned], about=dict(reversed(ABOUT.items())))
    assert other.read_bytes() == path.read_bytes()


def test_a_file_is_plain_json_with_a_line_for_each_row(path):
    save_rows(path, ROWS)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(ROWS) + 2
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == "spotter-rows-2"
    assert next(iter(content)) == "digest"
    assert content["columns"] == COLUMNS == list(ROW.__dict__)


def test_no_rows_are_rows_too(path):
    save_rows(path, [])
    assert load_rows(path) == []


@given(st.floats(allow_nan=False))
def test_a_number_keeps_all_its_bits(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "number.json"
    save_rows(path, [replace(ROW, value=value)])
    loaded = load_rows(path)[0].value
    assert loaded == value
    assert math.copysign(1, loaded) == math.copysign(1, value)


# --- files that are no rows -----------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_an_error_that_says_what_to_do(path, kept):
    save_rows(path, ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"seed0\.json can't be read .*: delete it and run again"):
        load_rows(path)


FOREIGN = {
    "bytes": b"\xff\xfe\x00",
    "a list": b"[1, 2]",
    "a number": b"7",
    "another format": b'{"format": "their-rows"}',
    "no digest": json.dumps(RIGHT).encode(),
    "an older format": {"format": "spotter-rows-1"},
    "other columns": {"columns": ["a"], "rows": []},
    "a short row": {"rows": [[1, 2]]},
    "a row that is none": {"rows": [7]},
    "no rows": {"rows": None},
    "nothing about them": {"about": "x"},
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_an_error_that_says_what_to_do(path, content):
    path.parent.mkdir(parents=True)
    if isinstance(content, dict):
        write_sealed(path, json.dumps(RIGHT | content))
    else:
        path.write_bytes(content)
    for load in (load_rows, load_about):
        with pytest.raises(ValueError, match=r"forget3-seed0\.json .*: delete it and run again"):
            load(path)


def test_a_file_with_any_byte_changed_or_cut_off_is_refused(path, tmp_path):
    save_rows(path, ROWS, about=ABOUT)
    spoiled = tmp_path / "spoiled.json"
    for data in damages(path.read_bytes()):
        spoiled.write_bytes(data)
        with pytest.raises(ValueError, match=r"spoiled\.json .*: delete it and run again"):
            load_rows(spoiled)


def test_a_changed_digit_is_refused_although_the_file_can_be_read(path):
    save_rows(path, ROWS)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.30000000000000004", "0.20000000000000004"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows file .* does not match its digest, .*: delete it"):
        load_rows(path)


WRONG = {
    "value": ("0.5", "expected a number, got '0.5'"),
    "seed": (0.0, r"expected a whole number, got 0\.0"),
    "method": (None, "expected text, got None"),
    "at": ([], r"expected an object, got \[\]"),
}


@pytest.mark.parametrize(("column", "value", "message"), [(c, *w) for c, w in WRONG.items()])
def test_a_value_of_another_kind_is_refused_with_row_and_column(path, column, value, message):
    wrong = replace(ROW, **{column: value})
    told = rf"seed0\.json can't be (kept|taken), row 2, column '{column}': {message}"
    with pytest.raises(ValueError, match=told):  # by the writer ...
        save_rows(path, [ROW, wrong])
    assert not path.exists()
    rows = [[getattr(row, c) for c in COLUMNS] for row in (ROW, wrong)]
    write_sealed(path, json.dumps(RIGHT | {"rows": rows}))
    with pytest.raises(ValueError, match=f"{told}: delete it and run again"):  # ... and the reader
        load_rows(path)


def test_a_truth_value_is_no_number(path):
    for column in ("seed", "value"):
        with pytest.raises(ValueError, match=f"row 1, column '{column}'.*got True"):
            save_rows(path, [replace(ROW, **{column: True})])


def test_a_value_that_is_no_number_any_more_comes_back(path):
    save_rows(path, [replace(ROW, value=v) for v in (math.nan, math.inf, 3)])
    nan, infinite, whole = (row.value for row in load_rows(path))
    assert math.isnan(nan)
    assert infinite == math.inf
    assert (whole, type(whole)) == (3, int)


def test_a_full_disk_is_a_clear_error_and_the_old_rows_stay(path, monkeypatch):
    save_rows(path, ROWS[:1])
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"can't write .*forget3-seed0\.json: No space left"):
            save_rows(path, ROWS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    save_rows(path, ROWS)
    assert load_rows(path) == ROWS


# --- tables ---------------------------------------------------------------------------------------


def test_a_frame_has_a_line_for_each_row_and_a_column_for_each_key_of_at():
    frame = to_frame(ROWS)
    assert list(frame) == [*COLUMNS[:-1], "neighborhood", "epsilon", "shots", "alpha"]
    assert frame["value"].tolist() == [row.value for row in ROWS]
    assert frame["epsilon"].tolist()[:1] == [0.1]
    assert frame["epsilon"].isna().tolist() == [False, True, True]
    assert frame["neighborhood"].isna().tolist() == [False, True, True]


def test_a_frame_of_no_rows_is_empty():
    assert len(to_frame([])) == 0


def test_rows_are_summarised_by_group_in_order_of_appearance():
    values = {"spotter": [1.0, 2.0, 4.0], "original": [3.0]}
    rows = [
        replace(ROW, method=method, seed=seed, value=value)
        for method, numbers in values.items()
        for seed, value in enumerate(numbers)
    ]
    table = summarise(to_frame(rows), by=["method", "forget"])
    assert list(table) == ["method", "forget", "mean", "std", "low", "high", "cells"]
    assert table["method"].tolist() == ["spotter", "original"]
    assert table["forget"].tolist() == ["3+8", "3+8"]
    assert table["cells"].tolist() == [3, 1]
    assert table["mean"].tolist() == pytest.approx([7 / 3, 3.0])
    # the spread of a sample: ((4/3)² + (1/3)² + (5/3)²) / 2 = 42/9 / 2
    assert table["std"].tolist() == pytest.approx([math.sqrt(42 / 18), math.nan], nan_ok=True)
    low, high = table[["low", "high"]].iloc[0]
    assert (low, high) == bootstrap_interval(values["spotter"])
    assert table[["low", "high"]].iloc[1].isna().all()  # one cell has no spread


def test_a_group_may_be_named_by_a_key_that_some_rows_lack():
    table = summarise(to_frame(ROWS), by=["epsilon"])
    assert table["cells"].tolist() == [1, 2]
    assert table["epsilon"].isna().tolist() == [False, True]
    assert table["mean"].iloc[1] == pytest.approx(1 / 6)


# --- intervals ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_an_interval_brackets_the_mean_and_lies_within_the_values(values):
    low, high = bootstrap_interval(values, draws=500)
    slack = 1e-9 * max(map(abs, values)) + 1e-12
    assert min(values) - slack <= low <= high <= max(values) + slack
    # a resampled mean lies on either side of the mean in far more than 2.5 % of the draws
    assert low <= np.mean(values) + slack
    assert high >= np.mean(values) - slack


def test_an_interval_depends_on_its_seed_alone():
    values = [0.1, 0.5, 0.2, 0.9, 0.4]
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = bootstrap_interval(values)
    assert bootstrap_interval(values) == first
    assert bootstrap_interval(values, seed=1, draws=100) != bootstrap_interval(values, draws=100)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_an_interval_has_the_exact_quantiles_for_two_values():
    # means are 0, 0.5, 1 with probabilities 1/4, 1/2, 1/4
    assert bootstrap_interval([0.0, 1.0], level=0.95) == (0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], level=0.6) == (0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], level=0.4) == (0.5, 0.5)


def test_a_higher_level_gives_a_wider_interval():
    values = list(range(10))
    widths = [np.ptp(bootstrap_interval(values, level=level)) for level in (0.5, 0.8, 0.95, 0.99)]
    assert sorted(set(widths)) == widths


def test_a_ratio_of_means_is_resampled_by_the_same_cells():
    values = [1.0, 3.0, 2.0, 5.0]
    assert bootstrap_interval(values, over=[2 * v for v in values]) == (0.5, 0.5)
    halves = [end / 2 for end in bootstrap_interval(values)]
    assert bootstrap_interval(values, over=[2.0] * 4) == pytest.approx(halves)
    # cells (1, 1) and (0, 3): the ratio is 1, 1/4 or 0, with probabilities 1/4, 1/2, 1/4
    assert bootstrap_interval([1.0, 0.0], over=[1.0, 3.0]) == (0.0, 1.0)
    assert bootstrap_interval([1.0, 0.0], over=[1.0, 3.0], level=0.4) == (0.25, 0.25)
    with pytest.raises(ValueError, match="over must have 4 values, one a cell, got 3"):
        bootstrap_interval(values, over=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_without_a_mean_are_refused(values):
    with pytest.raises(ValueError, match="values must be finite and at least one, got"):
        bootstrap_interval(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ValueError, match=r"level must lie inside \(0, 1\), got"):
        bootstrap_interval([1.0], level=level)


def test_resampled_means_take_the_same_rows_in_every_column():
    values = np.array([[0.0, 1.0, 5.0], [1.0, 0.0, 5.0], [0.5, 0.5, 5.0], [0.0, 1.0, 5.0]])
    drawn = resampled_means(values, draws=500)
    assert drawn.shape == (500, 3)
    assert np.allclose(drawn[:, 0] + drawn[:, 1], 1.0)
    assert np.allclose(drawn[:, 2], 5.0)
    assert np.array_equal(drawn, resampled_means(values, draws=500))
    assert not np.array_equal(drawn, resampled_means(values, draws=500, seed=1))
    # the spread is that of the mean: sqrt(variance / n)
    many = resampled_means(values[:, :1], draws=20000)
    assert many.std() == pytest.approx(math.sqrt(values[:, 0].var() / 4), rel=0.03)
