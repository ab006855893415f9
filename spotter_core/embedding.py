"""Features of several models in one common picture, by AlignedUMAP.

Layer 4: arrays in, coordinates out. Two UMAPs fitted apart can't be compared: each is free to
rotate, mirror and stretch. Here the same sample of two models is one point seen twice, and the fit
holds the two close. A picture is an illustration; the numbers come from the features themselves.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spotter_core._checks import check_labels

KNOWN_WARNINGS = (
    "n_jobs value .* overridden to 1 by setting random_state",  # as wanted: seeds need one thread
    "Embedding a total of .* separate connected components",  # classes far apart: as it may be
)
"""Of umap, matched by their text; any other warning comes through."""


def with_prototypes(
    features: Tensor, labels: Tensor, forget_classes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return features and labels with one row more for each forget class: its normalised mean.

    So that a prototype can be placed in a picture: UMAP has no place for a point it has not seen.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)``.
        forget_classes: Rows are appended in sorted order; each needs a sample.

    Returns:
        ``(N + F, D)`` rows of unit length, and ``(N + F,)`` labels.

    Raises:
        ValueError: If a forget class has no sample.
    """
    check_labels(labels, len(features))
    classes = sorted(forget_classes)
    if missing := [c for c in classes if not bool((labels == c).any())]:
        raise ValueError(f"labels holds no sample of forget class {missing[0]}")
    means = torch.stack([features[labels == c].mean(dim=0) for c in classes])
    rows = F.normalize(torch.cat([features, means]), dim=1)
    return rows, torch.cat([labels, torch.tensor(classes, device=labels.device)])


def common_embedding(
    features_by_model: Mapping[str, Tensor],
    labels: Tensor,
    *,
    seed: int,
    neighbors: int = 15,
    alignment: float = 0.01,
    window: int | None = None,
    epochs: int = 100,
) -> dict[str, np.ndarray]:
    """Return two-dimensional coordinates of every model's features in one common space.

    Distance is the cosine's, on which prototypes, mean cosine and kNN purity rest, too.

    Args:
        features_by_model: ``{model: (N, D)}`` of two models or more, the same N samples in the same
            order; D may differ.
        labels: ``(N,)``; checked, not used: the picture is not told the classes.
        seed: Equal seeds give equal coordinates on one machine.
        neighbors: Of every point; must be below N.
        alignment: How strongly a sample is held to itself in the other models.
        window: How far apart, in their order, models are still held together; default: all are.
        epochs: Of the fit.

    Returns:
        ``{model: (N, 2)}`` float64.

    Raises:
        ValueError: If shapes do not match, values are not finite, or there are too few samples.
    """
    tables = {name: as_table(name, rows, len(labels)) for name, rows in features_by_model.items()}
    if len(tables) < 2:
        raise ValueError(f"features_by_model must hold two models or more, got {list(tables)}")
    check_labels(labels, len(labels))
    if not 2 <= neighbors < len(labels):
        raise ValueError(
            f"neighbors must lie in [2, N - 1], got {neighbors} for N = {len(labels)} samples: "
            "pass more samples or lower neighbors"
        )
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    with warnings.catch_warnings():
        for text in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=text)
        reach = len(tables) if window is None else window
        threads = torch.get_num_threads()
        try:
            parts = aligned(list(tables.values()), seed, neighbors, alignment, reach, epochs)
        finally:
            torch.set_num_threads(threads)  # numba sets OpenMP's, and sums of two threads differ
    return dict(zip(tables, parts, strict=True))


def as_table(name: str, features: Tensor, count: int) -> np.ndarray:
    """Return ``(N, D)`` features as unit rows in float32; raises if they are not usable."""
    if features.ndim != 2 or len(features) != count:
        raise ValueError(
            f"features of {name!r} must be ({count}, D), one row a label, "
            f"got {tuple(features.shape)}"
        )
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"features of {name!r} hold NaN or inf: the network has diverged")
    table: np.ndarray = F.normalize(features.detach().float().cpu(), dim=1).numpy()
    return table


def aligned(
    tables: list[np.ndarray],
    seed: int,
    neighbors: int,
    alignment: float,
    window: int,
    epochs: int,
) -> list[np.ndarray]:
    """Return the coordinates of AlignedUMAP; neighbors are exact below 4,096 samples.

    Layouts are one thread's work, so equal seeds give equal coordinates.
    """
    import umap

    same = {i: i for i in range(len(tables[0]))}
    reducer = umap.AlignedUMAP(
        n_neighbors=neighbors,
        metric="cosine",
        random_state=seed,
        n_epochs=epochs,
        alignment_regularisation=alignment,
        alignment_window_size=window,
    )
    fitted = reducer.fit(tables, relations=[same] * (len(tables) - 1))
    return [np.asarray(points, dtype=np.float64) for points in fitted.embeddings_]
