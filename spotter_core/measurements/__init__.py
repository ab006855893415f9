"""What is measured of a cell: one function a blind spot, models in, rows out.

Layer 8. Every function takes (study, cell, methods), measures all models on the same points with
the same attacks, and returns rows; ``Study.measured`` keeps them. Each file is of one idea, and
rows are measured anew where the code of their own file changed.
"""

from spotter_core.measurements.ablation import ablated, ablation, vital_signs
from spotter_core.measurements.accuracy import SPLITS, accuracies, class_accuracies
from spotter_core.measurements.battery import head_attacks
from spotter_core.measurements.by_epoch import by_epoch
from spotter_core.measurements.dispersion import dispersion
from spotter_core.measurements.layer_sweep import layer_sweep
from spotter_core.measurements.over_unlearning import (
    OU_PARTS,
    crossing_row,
    damage_by_class,
    ou_rows,
    over_unlearning_by_radius,
    over_unlearning_everywhere,
)
from spotter_core.measurements.relearning import relearning
from spotter_core.measurements.retained_damage import damage_to_retained
from spotter_core.measurements.training_attacks import training_attacks

__all__ = [
    "OU_PARTS",
    "SPLITS",
    "ablated",
    "ablation",
    "accuracies",
    "by_epoch",
    "class_accuracies",
    "crossing_row",
    "damage_by_class",
    "damage_to_retained",
    "dispersion",
    "head_attacks",
    "layer_sweep",
    "ou_rows",
    "over_unlearning_by_radius",
    "over_unlearning_everywhere",
    "relearning",
    "training_attacks",
    "vital_signs",
]
