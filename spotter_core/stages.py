"""What a network makes of images on the way: the pooled outputs of its stages.

Layer 4. An attacker is not bound to the last features: scattering those need not touch the ones
before.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from spotter_core.models import Classifier
from spotter_core.training import predict

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.TransformerEncoder)
"""Modules that are opened; of their subclasses with a forward of their own, none is."""
BATCH = 1024


def find_stages(model: Classifier) -> dict[str, nn.Module]:
    """Return the modules that a backbone consists of and that have parameters, by name, in order.

    Containers are opened, so that a residual block or a transformer block is a stage of its own;
    so is a module that is all there is.
    """
    stages = dict(opened(model.backbone, ""))
    while len(stages) == 1:
        ((name, whole),) = stages.items()
        inside = dict(opened(whole, f"{name}."))
        if not inside:
            break
        stages = inside
    return stages


def opened(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children with parameters, and of containers theirs."""
    for name, child in module.named_children():
        if type(child) in CONTAINERS:
            yield from opened(child, f"{prefix}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{prefix}{name}", child


@torch.no_grad()
def stage_features(model: Classifier, images: Tensor) -> dict[str, Tensor]:
    """Return ``(N, D_s)`` float32 outputs of every stage, mean over places or tokens; eval mode.

    A stage that is called several times counts with its last output; one that returns no tensor of
    2, 3 or 4 dimensions is left out.

    Args:
        model: Left as it is.
        images: ``(N, ...)`` in [0, 1].

    Raises:
        RuntimeError: If a stage did not see every image once, as when a step had to be divided for
            want of memory.
    """
    latest: dict[str, Tensor] = {}
    found: dict[str, list[Tensor]] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim in (2, 3, 4):
                places = {2: (), 3: (1,), 4: (2, 3)}[output.ndim]
                latest[name] = (output.mean(dim=places) if places else output).float()

        return stages[name].register_forward_hook(hook)

    stages = find_stages(model)
    handles = [keep(name) for name in stages]
    try:
        for batch in images.split(BATCH):
            latest.clear()
            predict(model, batch, batch_size=BATCH)
            for name, pooled in latest.items():
                found.setdefault(name, []).append(pooled)
    finally:
        for handle in handles:
            handle.remove()
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    for name, values in joined.items():
        if len(values) != len(images):
            raise RuntimeError(
                f"stage {name} saw {len(values)} of {len(images)} images: pass fewer at a time"
            )
    return {name: joined[name] for name in stages if name in joined}
