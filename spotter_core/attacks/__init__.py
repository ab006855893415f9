"""Attacks that bring a forgotten class back; head-level ones are arithmetic on cached predictions.

Layer 4. :class:`PrototypeAttack` is the published one, :class:`PrototypeSweep` a grid of it.
``HEAD_ATTACKS`` are the battery's: each finds the forgotten class in its own way, and all are
tuned alike, on what the attacker holds (:mod:`~spotter_core.attacks.detection`).
"""

from spotter_core.attacks.all_means import AllMeans, Novelty
from spotter_core.attacks.class_means import NearestMean, WhitenedMean
from spotter_core.attacks.detection import Attacker, Found, HeadAttack, Reference, Seen
from spotter_core.attacks.neighbors import NearestImage
from spotter_core.attacks.probe import LinearProbe
from spotter_core.attacks.prototype import (
    PrototypeAttack,
    PrototypeSweep,
    blend,
    draw_support,
    prototype_rows,
    rewrite_rows,
)
from spotter_core.attacks.rows import CalibratedRow, PublishedRow

HEAD_ATTACKS: dict[str, HeadAttack] = {
    attack.name: attack
    for attack in (
        PublishedRow(),
        CalibratedRow(),
        NearestMean(),
        WhitenedMean(),
        NearestImage(),
        LinearProbe(),
        AllMeans(),
        Novelty(),
    )
}
"""Every head-level attack of the battery with its grid."""

__all__ = [
    "HEAD_ATTACKS",
    "AllMeans",
    "Attacker",
    "CalibratedRow",
    "Found",
    "HeadAttack",
    "LinearProbe",
    "NearestImage",
    "NearestMean",
    "Novelty",
    "PrototypeAttack",
    "PrototypeSweep",
    "PublishedRow",
    "Reference",
    "Seen",
    "WhitenedMean",
    "blend",
    "draw_support",
    "prototype_rows",
    "rewrite_rows",
]
