"""Boundary Expand: every forget sample goes to a class of its own, which is then taken away."""

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spotter_core.methods._base import TargetMethod
from spotter_core.methods._descent import Plan, Task
from spotter_core.models import Classifier


@dataclass(frozen=True)
class BoundaryExpand(TargetMethod):
    """Descend the cross-entropy to an additional class, and cut its row off the head at the end.

    Reads: forget samples. Official defaults: SGD 1e-5, momentum 0.9, 10 epochs, AllCNN, row drawn
    as Xavier says; tuned steps elsewhere vary from 1e-8 to 1e-4. The SalUn code's copy leaves the
    additional row in; ours returns a head of C rows, the student's first C, bit for bit. The row
    starts with bias 0, and batch norm is frozen, as in all our methods that read forget samples
    alone (training mode there).

    Where the samples go once the row is cut is up to their second choice, which nothing in the loss
    forbids to be the forgotten class.
    """

    name: ClassVar[str] = "boundary_expand"
    source: ClassVar[str] = "Chen et al., CVPR 2023"
    learning_rate: float = 1e-5
    weight_decay: float = 0.0

    def targets(self, task: Task, notes: dict[str, float]) -> Tensor:
        """Return ``(N,)`` labels, all of them C, the class that the original doesn't have."""
        return torch.full_like(task.forget.labels, task.original.num_classes)

    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the cross-entropy of ``(N, C + 1)`` logits to the additional class."""
        return F.cross_entropy(logits, targets)

    def plan(self, task: Task) -> Plan:
        """Return one phase over the forget samples, for a student with one more row."""
        plan = super().plan(task)
        head, rows = plan.student.head, task.original.num_classes
        drawn = torch.empty(rows + 1, head.in_features)
        nn.init.xavier_uniform_(drawn, generator=task.generator)
        weight = torch.cat([head.weight, drawn[rows:].to(head.weight)])
        bias = None if head.bias is None else torch.cat([head.bias, head.bias.new_zeros(1)])
        plan.student.head = linear(weight, bias)
        return replace(plan, finish=lambda student: with_rows(student, rows))


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a layer with this ``(rows, D)`` weight and ``(rows,)`` bias, if any."""
    rows, features = weight.shape
    layer = nn.Linear(features, rows, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def with_rows(student: Classifier, rows: int) -> Classifier:
    """Return the network with the first rows of its head alone, around the same backbone."""
    shared = {id(student.backbone): student.backbone}
    narrow = copy.deepcopy(student, shared)
    bias = student.head.bias
    narrow.head = linear(student.head.weight[:rows], bias if bias is None else bias[:rows])
    return narrow
