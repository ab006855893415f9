import math
import re

import numpy as np
import pytest
import torch

from spotter_core._checks import (
    check_choice,
    check_forget_classes,
    check_fraction,
    check_labels,
    check_logits,
    check_positive,
    check_same_shape,
    check_shots,
    check_unit_images,
)


def test_a_choice_that_is_unknown_is_refused_with_all_that_are_known():
    check_choice("metric", "l2", ("l2", "cosine"))
    with pytest.raises(ValueError, match="metric must be one of cosine, l2; got 'l3'"):
        check_choice("metric", "l3", ("l2", "cosine"))


@pytest.mark.parametrize("value", [0, -1, -1e-30, math.nan, -math.inf])
def test_a_number_that_is_not_above_zero_is_refused_by_name(value):
    check_positive(epsilon=1e-30, steps=1)
    with pytest.raises(ValueError, match=re.escape(f"steps must be above 0, got {value}")):
        check_positive(epsilon=0.1, steps=value)


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf])
def test_a_fraction_outside_the_unit_interval_is_refused_by_name(value):
    check_fraction(alpha=0.0, lambda_1=1.0)
    with pytest.raises(ValueError, match=r"lambda_1 must lie in \[0, 1\]"):
        check_fraction(alpha=0.5, lambda_1=value)


def test_images_at_both_ends_of_the_unit_interval_are_accepted():
    check_unit_images(torch.tensor([[0.0, 1.0]]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.uint8), "uint8.*divide bytes by 255"),
        (torch.zeros(0, 3), r"N >= 1, got shape \(0, 3\)"),
        (torch.zeros(3), r"\(N, \.\.\.\)"),
        (torch.tensor([[0.0, 1.01]]), r"got \[0, 1.01\]: pass raw pixels"),
        (torch.tensor([[-2.1, 2.6]]), r"got \[-2.1, 2.6\]"),
        (torch.tensor([[0.5, math.nan]]), r"must lie in \[0, 1\], got \[nan, nan\]"),
    ],
)
def test_images_that_are_no_unit_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        check_unit_images(images)


@pytest.mark.parametrize(
    "classes", [[2, 0], (2, 0), torch.tensor([2, 0]), np.array([2, 0]), {0, 2}, range(0, 4, 2)]
)
def test_forget_classes_come_back_sorted_as_plain_integers(classes):
    checked = check_forget_classes(classes, 4)
    assert checked == (0, 2)
    assert all(type(c) is int for c in checked)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "empty.*at least one"),
        ([1, 1], r"duplicates: got \[1, 1\]"),
        ([3], r"out of range: got \[3\]; .*\[0, 3\)"),
        ([-1], r"out of range: got \[-1\]"),
        ([0, 1, 2], "all 3 classes: at least one must be retained"),
    ],
)
def test_forget_classes_that_are_no_proper_subset_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        check_forget_classes(classes, 3)


def test_minus_infinity_is_a_legal_logit_and_so_is_no_row_at_all():
    check_logits(logits=torch.tensor([[-math.inf, 0.0]]), others=torch.zeros(0, 2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_plus_infinity_are_refused_with_the_rows_that_hold_them(bad):
    logits = torch.zeros(4, 3)
    logits[1, 2] = logits[3, 0] = bad
    with pytest.raises(ValueError, match=r"student holds .* in 2 of 4 rows \(first: row 1\)"):
        check_logits(teacher=torch.zeros(4, 3), student=logits)


@pytest.mark.parametrize("logits", [torch.zeros(3), torch.zeros(1, 3, 1), torch.ones(2, 3).long()])
def test_logits_that_are_no_floating_point_matrix_are_refused(logits):
    with pytest.raises(ValueError, match=r"floating-point \(N, C\) tensor, got torch\."):
        check_logits(logits=logits)


def test_shapes_that_differ_are_listed_by_name():
    check_same_shape(a=torch.zeros(2, 3), b=torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"shapes differ: a \(2, 3\), b \(3, 2\)"):
        check_same_shape(a=torch.zeros(2, 3), b=torch.zeros(3, 2))


@pytest.mark.parametrize(
    "labels", [torch.zeros(3), torch.zeros(2).long(), torch.zeros(3, 1).long()]
)
def test_labels_must_be_one_integer_a_sample(labels):
    check_labels(torch.zeros(3, dtype=torch.uint8), 3)
    with pytest.raises(ValueError, match=r"labels must be integers of shape \(3,\)"):
        check_labels(labels, 3)


def test_an_attacker_holds_at_least_one_sample_and_at_most_all():
    check_shots(1, 1, 0)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        check_shots(0, 9, 0)
    with pytest.raises(ValueError, match="shots is 10, but only 9 samples of forget class 7"):
        check_shots(10, 9, 7)
