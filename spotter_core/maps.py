"""The common embedding of a cell's models, kept: UMAP compiles for half a minute in each process.

Layer 8. What is kept depends on the models and on the code of the embedding, like rows.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spotter_core.checkpoints import load_tensors, save_tensors
from spotter_core.data import ImageSet
from spotter_core.embedding import common_embedding, with_prototypes
from spotter_core.files import settings_hash
from spotter_core.profiles import Cell
from spotter_core.runtime import seeded_generator
from spotter_core.sources import code_fingerprint
from spotter_core.study import Study

log = logging.getLogger(__name__)
SIDES = ("forget", "retain")
MOST = 1500
"""Test images in a map, drawn at random where there are more."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Held-out images of a cell as several models place them in one plane.

    Attributes:
        images: The N images, forget and retained ones, in random order.
        features: By model ``(N + F, D)`` at unit length; the last F are the forget classes' means.
        labels: ``(N + F,)``.
        coordinates: By model ``(N + F, 2)``, float64.
    """

    images: ImageSet
    features: dict[str, Tensor]
    labels: Tensor
    coordinates: dict[str, np.ndarray]


def map_path(study: Study, cell: Cell, methods: Sequence[str]) -> Path:
    """Return where the map of these models of a cell lies."""
    return study.root / "maps" / str(cell) / f"{settings_hash(list(methods))}.safetensors"


def map_settings(
    study: Study, cell: Cell, methods: Sequence[str], most: int = MOST, seed: int = 0
) -> str:
    """Return what identifies a map: its models, its draw and the code of the embedding."""
    made_of = [(m, study.fingerprint(cell, m)) for m in methods]
    return settings_hash([made_of, most, seed, code_fingerprint("spotter_core.embedding")])


def has_map(study: Study, cell: Cell, methods: Sequence[str]) -> bool:
    """Return whether the map of these models is there, with the draw and seed that are usual."""
    return _load(map_path(study, cell, methods), map_settings(study, cell, methods)) is not None


def embedding_map(
    study: Study, cell: Cell, methods: Sequence[str], *, most: int = MOST, seed: int = 0
) -> EmbeddingMap:
    """Return the models' test images in one plane; loaded if it is there and true, else made.

    Args:
        study: Its models and data.
        cell: Forget classes and seed.
        methods: Two models or more.
        most: Test images at most, drawn at random where there are more.
        seed: Of the draw and of the embedding.

    Raises:
        ValueError: If there are fewer than two models.
    """
    parts = [study.part(cell, f"{side}/test") for side in SIDES]
    both = ImageSet(
        torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    )
    keep = torch.randperm(len(both), generator=seeded_generator("picture", seed))[:most]
    features, labels = {}, both.labels.cpu()
    for method in methods:
        seen = [study.predictions(cell, method, f"{side}/test").features.cpu() for side in SIDES]
        rows, labels = with_prototypes(torch.cat(seen)[keep], both.labels.cpu()[keep], cell.forget)
        features[method] = rows
    path, settings = map_path(study, cell, methods), map_settings(study, cell, methods, most, seed)
    places = _load(path, settings)
    if places is None:
        places = common_embedding(features, labels, seed=seed)
        tensors = {name: torch.from_numpy(points) for name, points in places.items()}
        save_tensors(tensors, path, settings=settings, record=json.dumps({"seed": seed}))
    images = both.subset(keep.to(both.labels.device))
    return EmbeddingMap(images, features, labels, {name: places[name] for name in methods})


def _load(path: Path, settings: str) -> dict[str, np.ndarray] | None:
    if not path.is_file():
        return None
    try:
        tensors, _ = load_tensors(path, settings=settings)
    except ValueError as error:  # damaged, or of other models
        log.warning("%s; making it anew", error)
        return None
    return {name: tensor.numpy() for name, tensor in tensors.items()}
