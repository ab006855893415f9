"""Models of several run folders, to be joined as rows are, and why others could not be made.

Two files are the same model if their weights are; how long its making took does not count. A
failure is joined, so that nobody tries again, unless one of the folders has the model.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from spotter_core.checkpoints import parse_tensors
from spotter_core.failures import ENDING, read_failure
from spotter_core.merging.differences import Difference
from spotter_core.merging.joining import Content, Kind


def read_model(path: Path, data: bytes) -> Content:
    """Return a model's weights and what made it; ``ValueError`` if it is damaged."""
    tensors, settings = parse_tensors(data, path)
    return Content(settings or None, {"fingerprint": settings}, tensors)


def models_below(run: Path) -> list[Path]:
    """Return the models of a run folder that are finished."""
    found = sorted((run / "models").glob("*/*.safetensors"))
    return [p for p in found if not p.name.startswith(".") and ".partial." not in p.name]


def weight_differences(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> list[Difference]:
    """Return the tensors that differ, each with the pair of numbers that are furthest apart.

    A difference is in terms of the largest number of the tensor, since weights may be tiny.
    """
    found = []
    for name in dict.fromkeys([*here, *there]):
        a, b = here.get(name), there.get(name)
        if a is None or b is None or a.shape != b.shape:
            found.append(Difference("", "", name, "{}", None, None, float("inf")))
            continue
        x, y = a.double().flatten(), b.double().flatten()
        apart = (x - y).abs().masked_fill((x == y) | (x.isnan() & y.isnan()), 0.0)
        apart = apart.nan_to_num(nan=float("inf"))
        if not apart.numel() or not (most := apart.max().item()):
            continue
        place = int(apart.argmax())
        scale = torch.cat([x, y]).abs().nan_to_num(nan=0.0, posinf=0.0).max().item()
        pair = x[place].item(), y[place].item()
        found.append(Difference("", "", name, "{}", *pair, most / scale if scale else most))
    return found


MODELS = Kind("models", models_below, read_model, weight_differences)


def read_record(path: Path, data: bytes) -> Content:
    """Return why a model could not be made; ``ValueError`` if the record is damaged."""
    settings, reason = read_failure(path, data)
    return Content(settings or None, {"fingerprint": settings, "reason": reason}, reason)


def failures_below(run: Path) -> list[Path]:
    """Return the records of models that a run folder could not make."""
    found = sorted((run / "models").glob(f"*/*{ENDING}"))
    return [path for path in found if not path.name.startswith(".")]


FAILURES = Kind(
    "models",
    failures_below,
    read_record,
    lambda here, there: [],  # the same failure, whatever the words
    instead=lambda name: f"{name.removesuffix(ENDING)}.safetensors",
)
