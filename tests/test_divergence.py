import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import js, kl, masked_softmax, softmax
from scipy.spatial.distance import jensenshannon

from spotter_core.divergence import js_divergence, kl_divergence, masked_log_softmax

INF = math.inf
LOGITS = {
    "ordinary": [[0.3, -1.2, 2.0, 0.1, -0.4], [1.0, 1.0, 1.0, 1.0, 1.0]],
    "one sample": [[0.3, -1.2, 2.0, 0.1, -0.4]],
    "certain of the forget class": [[200.0, 1.0, -2.0, 0.5, 0.0], [2000.0, 1.0, -2.0, 0.5, 0.0]],
    "certain of a retained class": [[0.0, 300.0, -2.0, 0.5, 0.0]],
    "a class of probability 0": [[0.3, -INF, 2.0, 0.1, -INF], [-INF, 0.0, -INF, 1.0, 2.0]],
    "one class left": [[5.0, -INF, -INF, 1.0, -INF]],
    "far from 0": [[1e4, 1e4 - 1, 1e4 + 1, 1e4, 1e4], [-1e4, -1e4 - 1, -1e4, -1e4, -1e4]],
}
DISTRIBUTIONS = {
    "ordinary": ([0.2, 0.3, 0.5], [0.6, 0.3, 0.1]),
    "equal": ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
    "equal with a 0": ([0.0, 0.4, 0.6], [0.0, 0.4, 0.6]),
    "0 in p": ([0.0, 0.4, 0.6], [0.5, 0.25, 0.25]),
    "0 in q": ([0.5, 0.25, 0.25], [0.0, 0.4, 0.6]),
    "disjoint": ([0.0, 1.0, 0.0], [0.7, 0.0, 0.3]),
    "one-hot, the same": ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
    "nearly 0": ([1e-300, 1.0, 0.0], [1e-200, 0.5, 0.5]),
}


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def logs(distribution):
    return tensor([distribution]).log()


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


# --- masked_log_softmax ---------------------------------------------------------------------------


@pytest.mark.parametrize("forget", [[0], [0, 4], [2, 1, 0], [0, 1, 2, 4]])
@cases(LOGITS)
def test_masked_softmax_equals_the_loop(case, forget):
    if any(all(row[c] == -INF for c in range(5) if c not in forget) for row in case):
        pytest.skip("no retained class is left")
    result = masked_log_softmax(tensor(case), forget).exp()
    expected = tensor([masked_softmax(row, forget) for row in case])
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-15)
    assert not result[:, forget].any()


def test_the_target_sums_to_one_where_masking_probabilities_loses_the_mass():
    logits = torch.tensor([[30.0, *[0.0] * 9]])
    published = logits.softmax(dim=1).index_fill(1, torch.tensor([0]), 0.0)
    published = published / (published.sum(dim=1, keepdim=True) + 1e-10)
    assert published.sum() < 0.01
    assert masked_log_softmax(logits, [0]).exp().sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_forget_logits_are_nowhere_in_the_result(dtype):
    logits = tensor(LOGITS["ordinary"]).to(dtype)
    changed = logits.clone()
    changed[:, 0] += 1e4
    result = masked_log_softmax(logits, [0])
    assert torch.equal(masked_log_softmax(changed, [0]), result)
    assert result.dtype == dtype


@pytest.mark.parametrize("name", ["ordinary", "certain of the forget class", "one class left"])
def test_masked_softmax_has_the_right_gradient(name):
    logits = tensor(LOGITS[name]).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: masked_log_softmax(z, [0]).exp(), logits)
    masked_log_softmax(logits, [0])[:, 3].sum().backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[:, 0].any()


def test_masked_softmax_leaves_its_input_as_it_is():
    logits = tensor(LOGITS["ordinary"])
    before = logits.clone()
    masked_log_softmax(logits, [1])
    assert torch.equal(logits, before)


def test_no_samples_give_no_rows():
    assert masked_log_softmax(torch.zeros(0, 3), [1]).shape == (0, 3)


@pytest.mark.parametrize(
    ("logits", "forget", "message"),
    [
        ([[0.0, math.nan, 0.0]], [0], "logits holds NaN"),
        ([[0.0, -INF, -INF]], [0], "retained classes are all -inf"),
        ([[0.0, 0.0, 0.0]], [], "empty"),
        ([[0.0, 0.0, 0.0]], [0, 1, 2], "all 3 classes"),
        ([[0.0, 0.0, 0.0]], [3], "out of range"),
        ([0.0, 0.0, 0.0], [0], r"\(N, C\)"),
    ],
)
def test_masked_softmax_refuses_what_it_can_not_answer(logits, forget, message):
    with pytest.raises(ValueError, match=message):
        masked_log_softmax(torch.tensor(logits), forget)


# --- js_divergence --------------------------------------------------------------------------------


@cases(DISTRIBUTIONS)
def test_js_equals_the_loop_and_scipy(case):
    p, q = case
    result = js_divergence(logs(p), logs(q))
    assert result.shape == (1,)
    assert result.item() == pytest.approx(js(p, q), abs=1e-15)
    assert result.item() == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-12)


@cases(DISTRIBUTIONS)
def test_js_in_single_precision_is_near_the_loop_and_inside_its_bounds(case):
    p, q = case
    result = js_divergence(logs(p).float(), logs(q).float()).item()
    assert result == pytest.approx(js(p, q), abs=1e-6)
    assert 0.0 <= result <= np.float32(math.log(2.0))


@cases(LOGITS)
def test_js_has_the_right_gradient_of_both_arguments(case):
    p = tensor(case).requires_grad_()
    q = tensor(case).flip(1).requires_grad_()

    def divergence(p, q):
        return js_divergence(p.log_softmax(dim=1), q.log_softmax(dim=1))

    # a step that keeps its digits beside logits of 10,000, and is lost in -inf, as it should be
    assert torch.autograd.gradcheck(divergence, (p, q), eps=1e-4, atol=1e-6)
    divergence(p, q).sum().backward()
    assert p.grad.isfinite().all()
    assert q.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@cases(DISTRIBUTIONS)
def test_js_and_its_gradient_are_finite_in_every_precision(case, dtype):
    log_p, log_q = (logs(d).to(dtype).requires_grad_() for d in case)
    result = js_divergence(log_p, log_q)
    result.sum().backward()
    assert result.isfinite().all()
    assert log_p.grad.isfinite().all()
    assert log_q.grad.isfinite().all()


def test_js_of_equal_distributions_is_0_without_gradient():
    logits = tensor(LOGITS["ordinary"]).requires_grad_()
    other = logits.detach().log_softmax(dim=1)
    result = js_divergence(logits.log_softmax(dim=1), other)
    result.sum().backward()
    assert result.tolist() == [0.0, 0.0]
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-15, rtol=0.0)


rows = st.lists(st.floats(-50.0, 50.0), min_size=4, max_size=4)


@given(rows, rows)
def test_js_is_symmetric_and_bounded_by_ln_2(p, q):
    log_p, log_q = tensor([p]).log_softmax(dim=1), tensor([q]).log_softmax(dim=1)
    there, back = js_divergence(log_p, log_q).item(), js_divergence(log_q, log_p).item()
    assert there == pytest.approx(back, abs=1e-15)
    assert 0.0 <= there <= math.log(2.0)
    assert there == pytest.approx(js(softmax(p), softmax(q)), abs=1e-14)


@pytest.mark.parametrize("divergence", [js_divergence, kl_divergence])
def test_divergences_refuse_nan_and_shapes_that_differ_and_change_no_input(divergence):
    p, q = logs(DISTRIBUTIONS["0 in p"][0]), logs(DISTRIBUTIONS["0 in p"][1])
    before = p.clone(), q.clone()
    divergence(p, q)
    assert torch.equal(p, before[0])
    assert torch.equal(q, before[1])
    with pytest.raises(ValueError, match="log_q holds NaN"):
        divergence(p, q * math.nan)
    with pytest.raises(ValueError, match="shapes differ"):
        divergence(p, q[:, :2])


# --- kl_divergence --------------------------------------------------------------------------------


@cases(
    {n: d for n, d in DISTRIBUTIONS.items() if n not in ("0 in q", "disjoint", "nearly 0")}
    | {"tiny against tiny": ([1e-300, 1.0], [1e-250, 1.0])}
)
def test_kl_equals_the_loop(case):
    p, q = case
    assert kl_divergence(logs(p), logs(q)).item() == pytest.approx(kl(p, q), abs=1e-15)


def test_kl_is_infinite_where_q_is_0_and_p_is_not():
    assert kl_divergence(logs([0.5, 0.5]), logs([0.0, 1.0])).item() == INF


def test_kl_is_0_not_nan_where_p_is_too_small_for_its_precision_and_q_is_0():
    log_p = torch.tensor([[-200.0, 0.0]])
    log_q = torch.tensor([[-INF, 0.0]], requires_grad=True)
    result = kl_divergence(log_p, log_q)
    result.sum().backward()
    assert result.item() == 0.0
    assert log_q.grad.isfinite().all()


@cases({n: rows for n, rows in LOGITS.items() if n != "a class of probability 0"})
def test_kl_from_a_masked_distribution_has_the_right_gradient(case):
    log_p = masked_log_softmax(tensor(case), [0])
    q = torch.linspace(-1.0, 1.0, log_p.numel(), dtype=torch.float64).view_as(log_p)
    assert torch.autograd.gradcheck(
        lambda z: kl_divergence(log_p, z.log_softmax(dim=1)), q.requires_grad_()
    )
    kl_divergence(log_p, q.log_softmax(dim=1)).sum().backward()
    assert q.grad.isfinite().all()


@given(rows, rows)
def test_kl_is_never_negative(p, q):
    log_p, log_q = tensor([p]).log_softmax(dim=1), tensor([q]).log_softmax(dim=1)
    assert kl_divergence(log_p, log_q).item() >= 0.0
    assert kl_divergence(log_p.float(), log_p.float()).item() == 0.0
