"""Gradients of the cross-entropy at the original, for methods that rank its weights by them.

Layer 4. In eval mode and float32, so they depend on the weights and the samples alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core.models import Classifier
from spotter_core.runtime import evaluating, full_precision


def loss_gradients(model: Classifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the gradient of the batch's mean cross-entropy by parameter; 0 where none flows.

    No parameter's ``.grad`` is touched; parameters that want no gradient are left out.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with evaluating(model), full_precision(model.device), torch.enable_grad():
        loss = F.cross_entropy(model(images), labels)
        found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
    return dict(zip(named, found, strict=True))
