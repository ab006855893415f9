"""A class never seen: whose images, turned how, under which label."""

import copy

import pytest
import torch

from spotter_core.data import ImageSet
from spotter_core.never_seen import never_seen_classes, upside_down
from spotter_core.training import predict


@pytest.fixture
def pictures(samples):
    return samples.subset(samples.labels != 1)


def test_rows_come_in_reverse_order_and_labels_are_those_of_the_forgotten(samples):
    before = samples.images.clone()
    turned = upside_down(samples, {1: 3, 0: 2})
    expected = []
    for label, source in ((0, 2), (1, 3)):
        for image, own in zip(samples.images.tolist(), samples.labels.tolist(), strict=True):
            if own == source:
                expected.append((label, [channel[::-1] for channel in image]))
    assert turned.labels.tolist() == [label for label, _ in expected]
    assert turned.images.tolist() == [image for _, image in expected]
    assert torch.equal(samples.images, before)


def test_bytes_stay_bytes_and_fingerprints_are_not_those_of_the_images_before(digits):
    turned = upside_down(digits.test, {0: 7})
    assert turned.images.dtype == torch.uint8
    assert turned.fingerprints is None
    assert len(turned) == (digits.test.labels == 7).sum()


def test_turning_twice_is_turning_nothing(samples):
    again = upside_down(upside_down(samples, {1: 2}), {2: 1})
    assert torch.equal(again.images, samples.images[samples.labels == 2])


def test_what_has_no_upside_and_a_class_without_images_are_refused(samples):
    flat = ImageSet(torch.rand(4, 2), torch.arange(4))
    with pytest.raises(ValueError, match="upside"):
        upside_down(flat, {0: 1})
    with pytest.raises(ValueError, match="no image of class 1, the source of 0"):
        upside_down(samples.subset(samples.labels == 2), {0: 1})


def test_the_class_is_the_one_that_the_original_takes_least_for_what_it_knows(
    digits_model, digits_split, unchanged
):
    retain, original = digits_split.retain.validation, copy.deepcopy(digits_model)
    original.zero_grad(set_to_none=True)
    with unchanged(original):
        sources = never_seen_classes(original, retain, [3])
    logits = predict(digits_model, retain.images.flip(2)).logits.tolist()
    sums = {}
    for row, label in zip(logits, retain.labels.tolist(), strict=True):
        odds = torch.tensor(row, dtype=torch.float64).exp()
        sums.setdefault(label, []).append((odds / odds.sum()).tolist())
    known = {}
    for label, rows in sums.items():
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        known[label] = max(m for c, m in enumerate(means) if c != 3) + means[3]
    assert sources == {3: min(known, key=known.get)}


def test_zeros_and_ones_and_eights_which_stay_themselves_are_not_taken(digits_model, digits):
    for forgotten in ([2], [3], [2, 3]):
        retain = digits.validation.subset(
            ~torch.isin(digits.validation.labels, torch.tensor(forgotten))
        )
        sources = never_seen_classes(digits_model, retain, forgotten)
        assert list(sources) == forgotten
        assert len(set(sources.values())) == len(forgotten)
        assert not set(sources.values()) & {0, 1, 8, *forgotten}


def test_forgotten_images_among_the_samples_are_no_candidates(digits_model, digits, digits_split):
    retained = never_seen_classes(digits_model, digits_split.retain.validation, [3])
    assert never_seen_classes(digits_model, digits.validation, [3]) == retained


def test_too_few_retained_classes_are_refused(known, pictures):
    assert set(never_seen_classes(known, pictures, [1]).values()) < {0, 2, 3}
    few = pictures.subset(pictures.labels == 3)
    with pytest.raises(ValueError, match="there are 1 for 3"):
        never_seen_classes(known, few, [0, 1, 2])
