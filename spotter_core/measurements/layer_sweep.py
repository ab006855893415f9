"""The attacks that look at features alone, on the way through the network.

Layer 8.
"""

from collections.abc import Sequence

from spotter_core.attacks import (
    AllMeans,
    HeadAttack,
    LinearProbe,
    NearestMean,
    Seen,
    WhitenedMean,
)
from spotter_core.measurements.battery import (
    OWN,
    battery_of,
    model_of,
    predictions_of,
    rows_of,
    run,
    some_of,
)
from spotter_core.profiles import Cell
from spotter_core.results import UNTRAINED, Row
from spotter_core.stages import stage_features
from spotter_core.study import Study

FEATURE_ATTACKS: tuple[HeadAttack, ...] = (
    NearestMean(),
    WhitenedMean(),
    LinearProbe(),
    AllMeans(),
)
"""Those that look neither at the head nor at its scale."""


def layer_sweep(study: Study, cell: Cell, methods: Sequence[str]) -> list[Row]:
    """The attacks that look at features alone, on the pooled output of every stage.

    Protocol and control network as in ``head_attacks``; a row names its ``stage``. Retained answers
    stay the network's own.
    """
    battery, rows = battery_of(study, cell, FEATURE_ATTACKS), []
    for method in [*methods, UNTRAINED]:
        model, parts = model_of(study, cell, method), predictions_of(study, cell, method)
        by_stage: dict[str, dict[str, Seen]] = {}
        for where, seen in parts.items():
            found = stage_features(model, some_of(study.part(cell, where), where).pixels())
            for stage, features in found.items():
                own = seen._replace(features=features.double())
                by_stage.setdefault(stage, {})[where] = own
        for stage, own_parts in by_stage.items():
            outcomes = run(battery, model.head, cell, own_parts["forget/train"], own_parts)
            rows += rows_of(outcomes, study, cell, method, support=OWN, stage=stage)
    return rows
