import math
import random

import pytest
import torch
from reference import kl, masked_softmax, mean_pair_cosine, softmax
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spotter_core.losses import SpotterLoss, dispersion_loss, masked_distillation_loss, reduce

N, C, D = 6, 5, 4
INF = math.inf


def drawn(*shape, seed, grad=False):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(*shape, generator=generator, dtype=torch.float64) * 3.0
    return values.requires_grad_(grad)


def distil_slowly(student, teacher, forget):
    rows = zip(student.tolist(), teacher.tolist(), strict=True)
    return [kl(masked_softmax(t, forget), softmax(s)) for s, t in rows]


# --- reductions -----------------------------------------------------------------------------------


def test_reductions_are_mean_sum_and_none():
    values = torch.tensor([1.0, 2.0, 6.0])
    assert reduce(values, "mean").item() == 3.0
    assert reduce(values, "sum").item() == 9.0
    assert torch.equal(reduce(values, "none"), values)
    with pytest.raises(ValueError, match="reduction must be one of mean, none, sum; got 'max'"):
        reduce(values, "max")


# --- masked distillation --------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, N])
@pytest.mark.parametrize("forget", [[0], [4, 1], [0, 1, 2, 3]])
def test_masked_distillation_equals_the_loop(samples, forget):
    student, teacher = drawn(samples, C, seed=0), drawn(samples, C, seed=1)
    each = distil_slowly(student, teacher, forget)
    result = masked_distillation_loss(student, teacher, forget, reduction="none")
    assert result.tolist() == pytest.approx(each, rel=1e-12)
    mean = masked_distillation_loss(student, teacher, forget)
    assert mean.item() == pytest.approx(math.fsum(each) / samples, rel=1e-12)
    total = masked_distillation_loss(student, teacher, forget, reduction="sum")
    assert total.item() == pytest.approx(math.fsum(each), rel=1e-12)


def test_masked_distillation_is_what_torch_computes_from_the_masked_target():
    student, teacher = drawn(N, C, seed=0), drawn(N, C, seed=1)
    target = torch.tensor([masked_softmax(row, [2]) for row in teacher.tolist()])
    expected = F.kl_div(student.log_softmax(1), target.double(), reduction="batchmean")
    result = masked_distillation_loss(student, teacher, [2])
    assert result.item() == pytest.approx(expected.item(), rel=1e-6)


def test_loss_is_exact_when_the_teacher_is_certain_of_a_forget_class():
    student, teacher = drawn(N, C, seed=0), drawn(N, C, seed=1)
    certain = teacher + 200.0 * (torch.arange(C) == 0)
    torch.testing.assert_close(
        masked_distillation_loss(student, certain, [0]),
        masked_distillation_loss(student, teacher, [0]),
    )


EDGES = {
    "student certain of the forget class": ([[200.0, 0.0, 0.0]], [[200.0, 1.0, 2.0]]),
    "student certain of the wrong class": ([[0.0, 300.0, -300.0]], [[0.0, -300.0, 300.0]]),
    "teacher has a class of probability 0": ([[0.0, 1.0, 2.0]], [[5.0, -INF, 2.0]]),
    "student has lost the forget class": ([[-INF, 1.0, 2.0]], [[5.0, 1.0, 2.0]]),
    "both have lost a retained class": ([[0.0, -INF, 2.0]], [[5.0, -INF, 2.0]]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", EDGES.values(), ids=EDGES.keys())
def test_loss_and_gradient_are_right_at_the_edges(case, dtype):
    student, teacher = (torch.tensor(rows, dtype=dtype) for rows in case)
    student.requires_grad_()
    loss = masked_distillation_loss(student, teacher, [0])
    loss.backward()
    (expected,) = distil_slowly(student.detach(), teacher, [0])
    assert loss.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
    # the gradient of a cross-entropy to a soft target: softmax minus target
    found, target = softmax(student[0].tolist()), masked_softmax(teacher[0].tolist(), [0])
    slope = [a - b for a, b in zip(found, target, strict=True)]
    assert student.grad[0].tolist() == pytest.approx(slope, abs=1e-6)


def test_gradient_flows_to_the_student_alone_and_is_right():
    student, teacher = drawn(N, C, seed=0, grad=True), drawn(N, C, seed=1, grad=True)
    before = student.detach().clone(), teacher.detach().clone()
    masked_distillation_loss(student, teacher, [1]).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])
    assert torch.autograd.gradcheck(
        lambda z: masked_distillation_loss(z, teacher.detach(), [1], reduction="none"), student
    )


def test_descending_the_loss_moves_the_forget_mass_to_the_other_classes():
    student = torch.tensor([[8.0, 1.0, 2.0]], requires_grad=True)
    teacher = student.detach().clone()
    for _ in range(200):
        masked_distillation_loss(student, teacher, [0]).backward()
        with torch.no_grad():
            student -= student.grad
        student.grad = None
    assert student.softmax(1)[0].tolist() == pytest.approx([0, 0.2689, 0.7311], abs=0.02)


def test_masked_distillation_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match=r"student_logits \(2, 3\), teacher_logits \(3, 3\)"):
        masked_distillation_loss(torch.zeros(2, 3), torch.zeros(3, 3), [0])


# --- dispersion -----------------------------------------------------------------------------------

LABELS = {
    "one class": [7] * 6,
    "several classes": [0, 1, 0, 1, 1, 3],
    "a class with one sample": [2, 2, 2, 2, 2, 9],
    "two samples": [4, 4],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_dispersion_equals_the_loop_over_pairs(labels):
    features = drawn(len(labels), D, seed=3)
    result = dispersion_loss(features, torch.tensor(labels))
    assert result.item() == pytest.approx(mean_pair_cosine(features.tolist(), labels), rel=1e-12)
    assert result.shape == ()


def test_dispersion_equals_the_n_by_n_matrix_with_its_gradient():
    labels = torch.tensor([random.Random(0).randrange(4) for _ in range(40)])
    features = drawn(40, D, seed=3, grad=True)
    same = (labels[:, None] == labels[None, :]) & ~torch.eye(40, dtype=torch.bool)
    units = F.normalize(features, dim=1)
    (expected,) = torch.autograd.grad((units @ units.T)[same].mean(), features)
    (found,) = torch.autograd.grad(dispersion_loss(features, labels), features)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert torch.autograd.gradcheck(lambda x: dispersion_loss(x, labels), features)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0, 0.0], [3.0, 0.0]], 1.0),
        ([[1.0, 0.0], [-3.0, 0.0]], -1.0),
        ([[1.0, 0.0], [0.0, 2.0]], 0.0),
        ([[1e-18, 0.0], [1e18, 1e18]], math.sqrt(0.5)),
    ],
)
def test_dispersion_has_its_bounds_and_ignores_lengths(rows, expected):
    labels = torch.zeros(2, dtype=torch.long)
    assert dispersion_loss(torch.tensor(rows), labels).item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("labels", [[0, 1, 2], [5], []])
def test_without_a_pair_dispersion_is_a_differentiable_zero(labels):
    features = torch.ones(len(labels), D, requires_grad=True)
    loss = dispersion_loss(features, torch.tensor(labels, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(features.grad, torch.zeros(len(labels), D))


def test_a_zero_vector_is_similar_to_none_and_gets_no_gradient():
    features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    loss = dispersion_loss(features, torch.tensor([0, 0, 0]))
    loss.backward()
    assert loss.item() == pytest.approx(mean_pair_cosine(features.tolist(), [0, 0, 0]))
    assert features.grad.isfinite().all()
    assert features.grad[1].tolist() == [0.0, 0.0]
    assert features.grad[0].abs().sum() > 0


def test_only_zero_vectors_give_zero():
    features = torch.zeros(3, D, requires_grad=True)
    loss = dispersion_loss(features, torch.tensor([0, 0, 0]))
    loss.backward()
    assert loss.item() == 0.0
    assert not features.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_summed_in_single_precision(dtype):
    features = (drawn(4000, D, seed=3) + 1.0).to(dtype).requires_grad_()
    labels = torch.zeros(4000, dtype=torch.long)
    loss = dispersion_loss(features, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(dispersion_loss(features.double(), labels).item(), abs=1e-5)
    assert features.grad.dtype == dtype
    assert features.grad.isfinite().all()


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation inside the block produces."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return out


def test_dispersion_builds_nothing_larger_than_the_features_forward_and_backward():
    features = torch.rand(500, 8, requires_grad=True)
    labels = torch.arange(500) % 3
    with LargestTensor() as largest:
        dispersion_loss(features, labels).backward()
    assert 500 * 8 <= largest.elements <= 2 * 500 * 8
    with LargestTensor() as largest:  # the probe does see an N x N matrix
        _ = features @ features.T
    assert largest.elements == 500 * 500


def test_dispersion_of_fifty_thousand_samples_is_exact():
    features = torch.rand(50_000, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50_000) % 2
    units = F.normalize(features.double(), dim=1)
    pairs, total = 0, 0.0
    for c in (0, 1):
        chosen = units[labels == c]
        total += chosen.sum(0).square().sum().item() - len(chosen)
        pairs += len(chosen) * (len(chosen) - 1)
    assert dispersion_loss(features, labels).item() == pytest.approx(total / pairs, rel=1e-5)


def test_dispersion_leaves_its_inputs_as_they_are():
    features, labels = drawn(N, D, seed=3), torch.tensor([1, 0, 1, 0, 1, 0])
    before = features.clone(), labels.clone()
    dispersion_loss(features, labels)
    assert torch.equal(features, before[0])
    assert torch.equal(labels, before[1])


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(3), torch.zeros(3).long(), r"features must be .* \(N, D\)"),
        (torch.zeros(3, 2).long(), torch.zeros(3).long(), "got torch.int64"),
        (torch.zeros(3, 2), torch.zeros(2).long(), r"labels must be integers of shape \(3,\)"),
        (torch.zeros(3, 2), torch.zeros(3), "labels must be integers"),
    ],
)
def test_dispersion_refuses_what_is_no_matrix_with_a_label_a_row(features, labels, message):
    with pytest.raises(ValueError, match=message):
        dispersion_loss(features, labels)


# --- the sum --------------------------------------------------------------------------------------


@pytest.fixture
def batch():
    """Student, teacher, near student, near teacher, features, labels; all ask for a gradient."""
    logits = [drawn(n, C, seed=s, grad=True) for n, s in [(N, 0), (N, 1), (N + 2, 2), (N + 2, 3)]]
    return (*logits, drawn(N, D, seed=4, grad=True), torch.tensor([0, 1, 0, 1, 1, 1]))


@pytest.mark.parametrize("weights", [(0.7, 1.0), (0.0, 0.0), (1.0, 3.0), (0.25, 0.1)])
def test_spotter_loss_is_the_weighted_sum_of_its_terms(batch, weights):
    lambda_1, lambda_2 = weights
    student, teacher, near_student, near_teacher, features, labels = batch
    own = distil_slowly(student, teacher, [0, 1])
    near = distil_slowly(near_student, near_teacher, [0, 1])
    terms = [
        math.fsum(own) / len(own),
        math.fsum(near) / len(near),
        mean_pair_cosine(features.tolist(), labels.tolist()),
    ]
    objective = SpotterLoss([0, 1], lambda_1=lambda_1, lambda_2=lambda_2)
    assert [t.item() for t in objective.terms(*batch)] == pytest.approx(terms, rel=1e-12)
    expected = lambda_1 * terms[0] + (1.0 - lambda_1) * terms[1] + lambda_2 * terms[2]
    assert objective(*batch).item() == pytest.approx(expected, rel=1e-12)


def test_the_default_weights_are_the_papers(batch):
    expected = SpotterLoss([0], lambda_1=0.7, lambda_2=1.0)(*batch)
    assert torch.equal(SpotterLoss([0])(*batch), expected)


def test_gradient_of_spotter_loss_flows_to_the_student_alone(batch):
    student, teacher, near_student, near_teacher, features, _ = batch
    SpotterLoss([0])(*batch).backward()
    assert teacher.grad is None
    assert near_teacher.grad is None
    for part in (student, near_student, features):
        assert part.grad.isfinite().all()
        assert part.grad.abs().sum() > 0


def test_a_base_loss_takes_the_place_of_the_first_term(batch):
    student, _, near_student, near_teacher, features, labels = batch
    targets = torch.tensor([4, 3, 2, 4, 3, 2])
    seen = []

    def base(logits, target):
        seen.append((logits, target))
        return F.cross_entropy(logits, target)

    objective = SpotterLoss([0, 1], lambda_1=0.4, lambda_2=2.0, base_loss=base)
    rest = (near_student, near_teacher, features, labels)
    terms = objective.terms(student, targets, *rest)
    assert seen[0][0] is student
    assert seen[0][1] is targets
    assert torch.equal(terms.unlearning, F.cross_entropy(student, targets))
    assert torch.equal(terms.over_unlearning, SpotterLoss([0, 1]).terms(*batch).over_unlearning)
    expected = 0.4 * terms.unlearning + 0.6 * terms.over_unlearning + 2.0 * terms.dispersion
    torch.testing.assert_close(objective(student, targets, *rest), expected)


def test_a_module_as_base_loss_is_a_part_of_spotter_loss(batch):
    base = nn.MSELoss()
    objective = SpotterLoss([0], lambda_1=1.0, lambda_2=0.0, base_loss=base)
    assert base in list(objective.modules())
    torch.testing.assert_close(objective(*batch), base(batch[0], batch[1]))


@pytest.mark.parametrize("weights", [{"lambda_1": 1.1}, {"lambda_1": -0.1}, {"lambda_2": -1.0}])
def test_spotter_loss_refuses_weights_out_of_range(weights):
    with pytest.raises(ValueError, match=f"{next(iter(weights))} must"):
        SpotterLoss([0], **weights)


def test_spotter_loss_refuses_nan_logits(batch):
    student = batch[0] * math.nan
    with pytest.raises(ValueError, match="holds NaN"):
        SpotterLoss([0])(student, *batch[1:])
