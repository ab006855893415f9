"""Dispersion: how tightly the embeddings of a class sit together.

Layer 8.
"""

from collections.abc import Sequence

import torch

from spotter_core.metrics import knn_purity, mean_cosine_similarity
from spotter_core.profiles import Cell
from spotter_core.results import Row
from spotter_core.study import Study


def dispersion(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """How tightly the forget class sits together: mean cosine, and purity of its neighbors."""
    rows = []
    forget, retain = (study.part(cell, f"{side}/test") for side in ("forget", "retain"))
    labels = torch.cat([forget.labels, retain.labels])
    for method in methods:
        parts = [
            study.predictions(cell, method, f"{s}/test").features for s in ("forget", "retain")
        ]
        for side, features, own in zip(
            ("forget", "retain"), parts, (forget.labels, retain.labels), strict=True
        ):
            value = mean_cosine_similarity(features, own)
            rows.append(study.row(cell, method, f"{side}/test", "mean_cosine", value, "cosine"))
        purity = knn_purity(torch.cat(parts), labels, cell.forget)
        rows.append(study.row(cell, method, "forget/test", "knn_purity", purity, "fraction", k=10))
    return rows
