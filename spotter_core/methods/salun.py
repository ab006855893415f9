"""SalUn: random labels for the forget samples, felt by the weights that matter to them alone."""

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core._checks import check_fraction, check_positive
from spotter_core.data import ImageSet
from spotter_core.methods._base import RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.methods._gradients import loss_gradients
from spotter_core.methods.random_label import drawn_labels
from spotter_core.models import Classifier
from spotter_core.training import Predictions

BATCH = 256
"""Samples a step when gradients are summed; changes memory and speed, and rounding."""


@dataclass(frozen=True)
class SalUn(RetainDescent):
    """Every epoch: random labels on the forget samples, then the retained ones; few weights move.

    A weight is salient if the gradient of the forget samples' summed cross-entropy at the original
    is among the ``ratio`` largest in magnitude, all parameters of the network ranked together.

    Reads: forget samples, once more for the ranking, and retained samples. Official defaults: half
    of the weights, SGD 0.013, 10 epochs, batch 256, for 10 % of CIFAR-10 *at random*; none is given
    for a class.

    Where we differ: frozen weights are frozen (until February 2026 the official momentum and weight
    decay moved them, so all numbers before that are for a mask that leaks). Labels are drawn anew
    in every epoch from the *retained* classes; the official ones come from all classes, so a tenth
    stays true, which is no way to forget a class. Batch norm is in eval mode: in training mode its
    running statistics would drift under weights that are said to be frozen. The official ranking
    sums batch means, in which samples of a short last batch weigh more; ours sums samples.

    Attributes:
        ratio: Share of the weights that may move, in (0, 1].
    """

    name: ClassVar[str] = "salun"
    source: ClassVar[str] = "Fan et al., ICLR 2024"
    learning_rate: float = 0.013
    batch_size: int = 256
    ratio: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(ratio=self.ratio)
        check_fraction(ratio=self.ratio)

    def plan(self, task: Task) -> Plan:
        """Return a phase on each side, and the mask that displacements must pass."""
        forget, retain = task.forget, task.retain
        student = copy.deepcopy(task.original).eval()
        salient = salient_weights(student, forget, self.ratio)

        def towards(labels: Tensor, samples: ImageSet) -> Phase:
            def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
                return {"loss": F.cross_entropy(out.logits, labels[index])}

            return Phase(samples, "forget" if samples is forget else "retain", loss)

        def phases(epoch: int) -> list[Phase]:
            return [towards(drawn_labels(task), forget), towards(retain.labels, retain)]

        def confine(name: str, displacement: Tensor) -> Tensor:
            return displacement.where(salient[name], 0.0)

        sizes = {name: int(mask.sum()) for name, mask in salient.items()}
        head = [name for name in sizes if name.startswith("head.")]
        notes = {
            "salient_share": sum(sizes.values()) / sum(m.numel() for m in salient.values()),
            "salient_share_head": sum(sizes[name] for name in head)
            / sum(salient[name].numel() for name in head),
        }
        return Plan(student, phases, confine=confine, reads={"forget": len(forget)}, notes=notes)


def salient_weights(model: Classifier, forget: ImageSet, ratio: float) -> dict[str, Tensor]:
    """Return, by parameter, which weights are among the ``ratio`` of largest gradient.

    Exactly ``round(ratio * number of weights)`` are, one at least; of equal ones the first come
    first, in the order of ``named_parameters``.
    """
    sums = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for index in torch.arange(len(forget), device=forget.labels.device).split(BATCH):
        found = loss_gradients(model, forget.pixels(index), forget.labels[index])
        for name, gradient in found.items():
            sums[name] += len(index) * gradient
    size = torch.cat([total.abs().flatten() for total in sums.values()])
    order = size.argsort(descending=True, stable=True)
    mask = torch.zeros_like(size, dtype=torch.bool)
    mask[order[: max(1, round(ratio * len(size)))]] = True
    parts = mask.split([total.numel() for total in sums.values()])
    return {name: part.view_as(sums[name]) for name, part in zip(sums, parts, strict=True)}
