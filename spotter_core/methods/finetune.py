"""Fine-tune: go on training on the retained samples and hope that the rest fades."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core.data import ImageSet
from spotter_core.methods._base import RetainMethod, Unlearned, forgotten_classes
from spotter_core.models import Classifier
from spotter_core.runtime import global_seed_from
from spotter_core.training import Watch


@dataclass(frozen=True)
class Finetune(RetainMethod):
    """Descend the cross-entropy of the retained samples from the original's weights.

    Reads: retained samples. Official defaults: lr 0.01, 10 epochs, batch 256 (Unlearn-Sparse); lr
    0.04 in the SCRUB code's class-wise notebook. Batch norm in training mode, as there.
    """

    name: ClassVar[str] = "finetune"
    source: ClassVar[str] = "Golatkar et al., CVPR 2020"
    learning_rate: float = 0.01
    batch_size: int = 256

    def __call__(
        self,
        original: Classifier,
        forget: ImageSet,
        *,
        retain: ImageSet,
        forget_classes: Sequence[int] | None = None,
        generator: Generator | None = None,
        watch: Watch | None = None,
    ) -> Unlearned:
        """Return the fine-tuned copy."""
        forgotten_classes(original, forget, forget_classes)
        generator = generator or Generator().manual_seed(0)
        result = Unlearned(copy.deepcopy(original).train())

        def batch_loss(student: Classifier, index: Tensor) -> dict[str, Tensor]:
            logits = student(retain.pixels(index))
            return {"loss": F.cross_entropy(logits, retain.labels[index])}

        with global_seed_from(generator):  # dropout draws from torch's global generator
            result.history = self.descend(result.model, retain, batch_loss, generator, watch=watch)
        result.model.eval()
        result.reads = {"forget": 0, "retain": len(result.history) * len(retain)}
        return result
