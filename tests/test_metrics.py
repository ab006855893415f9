import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import cosine, js, masked_softmax, mean_pair_cosine, softmax

from spotter_core.metrics import (
    OverUnlearning,
    accuracy,
    conditional_shift,
    knn_purity,
    mass_floor,
    mean_cosine_similarity,
    over_unlearning,
    residual_forget_mass,
)

INF = math.inf
MEASURES = [over_unlearning, residual_forget_mass, conditional_shift]
FORGET = [0, 3]


def drawn(*shape, seed=0, scale=3.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def slowly(measure, original, unlearned, forget):
    pairs = list(zip(original.double().tolist(), unlearned.double().tolist(), strict=True))
    if measure is over_unlearning:
        return [js(masked_softmax(o, forget), softmax(u)) for o, u in pairs]
    if measure is conditional_shift:
        return [js(masked_softmax(o, forget), masked_softmax(u, forget)) for o, u in pairs]
    return [math.fsum(softmax(u)[c] for c in forget) for _, u in pairs]


CASES = {
    "ordinary": (drawn(9, 5, seed=1), drawn(9, 5, seed=2)),
    "one sample": (drawn(1, 5, seed=1), drawn(1, 5, seed=2)),
    "equal": (drawn(4, 5, seed=1), drawn(4, 5, seed=1)),
    "original certain of the forget class": (
        torch.tensor([[200.0, 1.0, 2.0, 0.0, 0.5]]),
        torch.tensor([[0.0, 1.0, 2.0, 0.0, 0.5]]),
    ),
    "unlearned certain of the forget class": (
        torch.tensor([[200.0, 1.0, 2.0, 0.0, 0.5]]),
        torch.tensor([[200.0, 1.0, 2.0, 0.0, 0.5]]),
    ),
    "disjoint": (
        torch.tensor([[0.0, 900.0, 0.0, 0.0, 0.0]]),
        torch.tensor([[0.0, 0.0, 900.0, 0.0, 0.0]]),
    ),
    "classes of probability 0": (
        torch.tensor([[0.0, -INF, 2.0, 0.0, 1.0]]),
        torch.tensor([[-INF, 1.0, 2.0, -INF, -INF]]),
    ),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("forget", [[0], FORGET, [3, 0, 1]])
def test_measure_equals_the_loop(measure, case, forget):
    original, unlearned = case
    expected = slowly(measure, original, unlearned, forget)
    each = measure(original, unlearned, forget, reduction="none")
    assert each.dtype == torch.float64
    assert each.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert measure(original, unlearned, forget).item() == pytest.approx(each.mean().item())
    assert measure(original, unlearned, forget, reduction="sum").item() == pytest.approx(
        math.fsum(expected), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_all_classes_but_one_may_be_forgotten(measure):
    original, unlearned = CASES["ordinary"]
    forget = [0, 1, 2, 4]
    each = measure(original, unlearned, forget, reduction="none").tolist()
    assert each == pytest.approx(slowly(measure, original, unlearned, forget), abs=1e-12)


def test_a_tiny_forget_mass_keeps_its_digits():
    logits = torch.tensor([[-100.0, 0.0, 0.0]])
    mass = residual_forget_mass(logits, logits, [0]).item()
    assert mass == pytest.approx(math.exp(-100.0) / 2.0, rel=1e-12)


def test_forget_mass_is_1_where_nothing_else_is_left():
    unlearned = torch.tensor([[0.0, -INF, -INF]])
    assert residual_forget_mass(torch.zeros(1, 3), unlearned, [0]).item() == 1.0
    assert over_unlearning(torch.zeros(1, 3), unlearned, [0]).item() == pytest.approx(math.log(2))


def test_forget_mass_never_passes_1_by_rounding():
    certain = drawn(2000, 10) + 40.0 * (torch.arange(10) < 3)
    mass = residual_forget_mass(certain, certain, [0, 1, 2], reduction="none")
    assert mass.max().item() == 1.0
    assert mass_floor(mass).isfinite().all()


# --- how the three hang together ------------------------------------------------------------------

rows = st.lists(st.floats(-30.0, 30.0, width=32), min_size=4, max_size=4)


@given(rows, rows, st.sampled_from([[0], [2, 3], [0, 1, 3]]))
def test_over_unlearning_is_at_least_what_the_leftover_mass_costs(original, unlearned, forget):
    original, unlearned = torch.tensor([original]), torch.tensor([unlearned])
    floor = mass_floor(residual_forget_mass(original, unlearned, forget))
    ou = over_unlearning(original, unlearned, forget)
    assert floor.item() - 1e-12 <= ou.item() <= math.log(2.0)


@given(rows, st.floats(-30.0, 30.0))
def test_with_a_perfect_conditional_over_unlearning_is_the_floor(logits, shift):
    original = torch.tensor([logits], dtype=torch.float64)
    unlearned = original + shift * (torch.arange(4) == 1)
    mass = residual_forget_mass(original, unlearned, [1])
    ou = over_unlearning(original, unlearned, [1])
    assert ou.item() == pytest.approx(mass_floor(mass).item(), abs=1e-12)


def test_a_model_that_lost_only_its_forget_rows_has_no_over_unlearning():
    original = CASES["ordinary"][0]
    masked = original.index_fill(1, torch.tensor(FORGET), -INF)
    assert over_unlearning(original, masked, FORGET).item() == pytest.approx(0.0, abs=1e-15)
    assert residual_forget_mass(original, masked, FORGET).item() == 0.0


def test_conditional_shift_does_not_see_the_forget_logits():
    original, unlearned = CASES["ordinary"]
    expected = conditional_shift(original, unlearned, FORGET, reduction="none")
    for value in (-1e4, 50.0, -INF):
        changed = unlearned.index_fill(1, torch.tensor(FORGET), value)
        found = conditional_shift(original, changed, FORGET, reduction="none")
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert conditional_shift(original, original, FORGET).item() == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(("mass", "floor"), [(0.1, 0.036), (0.5, 0.216)])
def test_mass_floor_has_the_values_of_the_formula(mass, floor):
    assert mass_floor(torch.tensor(mass)).item() == pytest.approx(floor, abs=5e-4)


def test_mass_floor_equals_the_formula_and_its_limits():
    for i in range(1, 100):
        m = i / 100
        kept = (1 - m) * math.log(2 * (1 - m) / (2 - m))
        expected = 0.5 * (math.log(2 / (2 - m)) + kept + m * math.log(2))
        assert mass_floor(torch.tensor(m, dtype=torch.float64)).item() == pytest.approx(expected)
    ends = mass_floor(torch.tensor([[0.0], [1.0]]))
    assert ends.tolist() == [[0.0], [pytest.approx(math.log(2.0))]]
    grid = mass_floor(torch.linspace(0, 1, 50))
    assert (grid.diff() > 0).all()


@pytest.mark.parametrize("mass", [-0.1, 1.1, math.nan])
def test_mass_floor_refuses_what_is_no_mass(mass):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        mass_floor(torch.tensor([0.5, mass]))


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_change_no_input_and_refuse_what_does_not_fit(measure):
    original, unlearned = CASES["ordinary"]
    before = original.clone(), unlearned.clone()
    measure(original, unlearned, FORGET)
    assert torch.equal(original, before[0])
    assert torch.equal(unlearned, before[1])
    with pytest.raises(ValueError, match=r"original_logits \(9, 5\), unlearned_logits \(9, 4\)"):
        measure(original, unlearned[:, :4], FORGET)
    with pytest.raises(ValueError, match="NaN"):
        measure(original, unlearned * math.nan, FORGET)
    with pytest.raises(ValueError, match="duplicates"):
        measure(original, unlearned, [0, 0])
    with pytest.raises(ValueError, match="out of range"):
        measure(original, unlearned, [-1])


# --- the accumulator ------------------------------------------------------------------------------


def test_batches_give_the_mean_over_all_samples_though_the_last_is_short():
    original, unlearned = drawn(23, 5, seed=1), drawn(23, 5, seed=2)
    metric = OverUnlearning(FORGET)
    for o, u in zip(original.split(10), unlearned.split(10), strict=True):
        metric.update(o, u)
    expected = over_unlearning(original, unlearned, FORGET).item()
    assert metric.compute() == pytest.approx(expected, rel=1e-12)
    means = [
        over_unlearning(o, u, FORGET).item()
        for o, u in zip(original.split(10), unlearned.split(10), strict=True)
    ]
    assert abs(sum(means) / 3 - expected) > 1e-3  # a mean of means would have been noticed


def test_the_mean_of_no_samples_is_an_error():
    with pytest.raises(RuntimeError, match="no samples seen"):
        OverUnlearning([0]).compute()


# --- accuracies and embeddings --------------------------------------------------------------------


def test_accuracy_equals_the_loop():
    logits, labels = drawn(50, 4), torch.arange(50) % 4
    pairs = zip(logits.tolist(), labels.tolist(), strict=True)
    right = sum(row.index(max(row)) == y for row, y in pairs)
    assert 0 < right < 50
    assert accuracy(logits, labels) == right / 50


def test_accuracy_refuses_nan_and_nothing():
    with pytest.raises(ValueError, match="empty"):
        accuracy(torch.zeros(0, 3), torch.zeros(0).long())
    with pytest.raises(ValueError, match="NaN"):
        accuracy(torch.full((1, 3), math.nan), torch.zeros(1).long())
    with pytest.raises(ValueError, match="labels must be integers"):
        accuracy(torch.zeros(2, 3), torch.zeros(3).long())


def test_mean_cosine_similarity_equals_the_loop_and_detaches():
    features = drawn(12, 5).requires_grad_()
    labels = [0, 1, 2] * 4
    result = mean_cosine_similarity(features, torch.tensor(labels))
    expected = mean_pair_cosine(features.double().tolist(), labels)
    assert result == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 3, 19])
@pytest.mark.parametrize("forget", [[1], [0, 2]])
def test_knn_purity_equals_the_loop(k, forget):
    features, labels = drawn(20, 4, seed=5), (torch.arange(20) % 3).tolist()
    rows = features.double().tolist()
    hits = []
    for i in range(20):
        if labels[i] not in forget:
            continue
        others = [j for j in range(20) if j != i]
        near = sorted(others, key=lambda j: -cosine(rows[i], rows[j]))[:k]
        hits += [labels[j] == labels[i] for j in near]
    result = knn_purity(features, torch.tensor(labels), forget, k=k)
    assert result == pytest.approx(sum(hits) / len(hits))


def test_a_sample_is_no_neighbor_of_its_own_among_equal_features():
    twins = torch.tensor([[1.0, 0.0]] * 6 + [[0.0, 1.0]])
    labels = torch.tensor([1, 1, 0, 1, 1, 1, 2])
    assert knn_purity(twins, labels, [0], k=5) == 0.0


def test_a_sample_without_direction_is_no_neighbor_of_its_own():
    features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert knn_purity(features, torch.tensor([1, 0, 1]), [0], k=2) == 0.0


def test_knn_purity_refuses_too_many_neighbors_and_classes_that_are_not_there():
    features, labels = drawn(5, 3), torch.tensor([0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"k must lie in \[1, 4\] for 5 samples, got 5"):
        knn_purity(features, labels, [0], k=5)
    with pytest.raises(ValueError, match=r"no sample of forget_classes \[2\]"):
        knn_purity(features, labels, [2], k=2)
