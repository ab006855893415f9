"""Layer 2: which numbers of two lists of rows differ, and by how much."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotter_core.merging.differences import (
    LAST_DIGITS,
    largest,
    relative_difference,
    row_differences,
)
from spotter_core.results import Row

ROW = Row("Made", "cnn-4", "delete", "3", 0, "forget/test", "accuracy", 0.5, "fraction", "x")
ROWS = [ROW, replace(ROW, method="spotter", value=math.nan), replace(ROW, at={"b": 1, "a": 2})]


@given(st.floats(), st.floats())
def test_a_relative_difference_is_symmetric_and_zero_for_the_same(a, b):
    found = relative_difference(a, b)
    assert found == relative_difference(b, a) >= 0.0
    assert relative_difference(a, a) == 0.0
    if a != b and not (math.isnan(a) and math.isnan(b)):
        assert found > 0.0


@pytest.mark.parametrize("other", [None, math.nan, math.inf])
def test_what_is_missing_or_no_number_on_one_side_differs_infinitely(other):
    assert relative_difference(1.0, other) == math.inf


def test_equal_rows_in_any_order_by_any_code_do_not_differ():
    other = [replace(row, settings="y", at=dict(reversed(row.at.items()))) for row in ROWS[::-1]]
    assert row_differences(ROWS, other) == []
    assert largest([]) == 0.0


def test_each_number_that_differs_is_named_with_both_values():
    there = [replace(ROWS[0], value=0.4), replace(ROWS[1], value=1.0), ROWS[2], ROWS[2]]
    found = row_differences(ROWS, there)
    assert [(d.method, d.here, d.there) for d in found[:1]] == [("delete", 0.5, 0.4)]
    assert found[0].relative == pytest.approx(0.2)
    assert (found[1].method, found[1].there, found[1].relative) == ("spotter", 1.0, math.inf)
    assert (found[2].at, found[2].here, found[2].there) == ('{"a": 2, "b": 1}', None, 0.5)
    assert largest(found) == math.inf
    assert len(found) == 3


def test_one_image_more_of_ten_thousand_is_not_in_the_last_digits():
    assert relative_difference(0.9999, 1.0) > LAST_DIGITS
    assert relative_difference(0.1, 0.1 + 1e-8) < LAST_DIGITS
