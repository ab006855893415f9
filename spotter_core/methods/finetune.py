"""Fine-tune: go on training on the retained samples and hope that the rest fades."""

import copy
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from spotter_core.methods._base import Reads, RetainDescent
from spotter_core.methods._descent import Phase, Plan, Task
from spotter_core.training import Predictions


@dataclass(frozen=True)
class Finetune(RetainDescent):
    """Descend the cross-entropy of the retained samples from the original's weights.

    Reads: retained samples. Official defaults: lr 0.01, 10 epochs, batch 256 (Unlearn-Sparse); lr
    0.04 in the SCRUB code's class-wise notebook. Batch norm in training mode, as there.
    """

    name: ClassVar[str] = "finetune"
    reads: ClassVar[Reads] = "retain"
    source: ClassVar[str] = "Golatkar et al., CVPR 2020"
    learning_rate: float = 0.01
    batch_size: int = 256

    def plan(self, task: Task) -> Plan:
        """Return one phase over the retained samples."""
        labels = task.retain.labels

        def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            return {"loss": F.cross_entropy(out.logits, labels[index])}

        phase = Phase(task.retain, "retain", loss)
        return Plan(copy.deepcopy(task.original).train(), lambda epoch: [phase])
