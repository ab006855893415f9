"""Seconds of the attacks on features, at a study's own size: algebra that is no convolution.

Timed here, on one thread of a processor, on made features; a GPU should be faster, and
nobody has measured by how much.
"""

import time
from collections.abc import Sequence

import torch
from torch import Generator, nn

from spotter_core.attacks import HEAD_ATTACKS, HeadAttack, Seen
from spotter_core.attacks.battery import HeadBattery
from spotter_core.measurements.battery import MOST, Parts, run
from spotter_core.measurements.layer_sweep import FEATURE_ATTACKS
from spotter_core.models import Classifier
from spotter_core.profiles import Cell
from spotter_core.stages import stage_features

KINDS = 3
"""Attackers of ``head_attacks``: with own images, with shuffled ones, with a class never seen."""


def made_features(dims: int, classes: int, samples: int) -> tuple[nn.Linear, Parts]:
    """Return a head and features of that many dimensions, each class about a mean of its own."""
    draw = Generator().manual_seed(0)
    means = torch.randn(classes, dims, generator=draw)
    head = nn.Linear(dims, classes)
    parts = {}
    for side in ("forget", "retain"):
        for part in ("train", "validation", "test"):
            index = torch.arange(samples)
            labels = index * 0 if side == "forget" else index % (classes - 1) + 1
            features = means[labels] + torch.randn(samples, dims, generator=draw)
            with torch.no_grad():
                logits = head(features.relu())
            parts[f"{side}/{part}"] = Seen(features.relu().double(), logits.double(), labels)
    return head, parts


def battery_seconds(
    attacks: Sequence[HeadAttack], dims: int, *, draws: int, classes: int = 10, samples: int = MOST
) -> float:
    """Return seconds of processor time of a battery on one network.

    Args:
        attacks: Of the battery.
        dims: Of the features.
        draws: Of the attacker's images.
        classes: Of the data set.
        samples: Of every part that the attacker holds or is scored on.
    """
    head, parts = made_features(dims, classes, samples)
    battery = HeadBattery(tuple(attacks), seeds=tuple(range(draws)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time is then what the clock says on an idle machine
    try:
        start = time.process_time()
        run(battery, head, Cell((0,), 0), parts["forget/train"], parts)
        return time.process_time() - start
    finally:
        torch.set_num_threads(threads)


def attack_seconds(model: Classifier, side: int, *, draws: int) -> tuple[float, float]:
    """Return seconds of all attacks on a network's head, and of those on each of its stages.

    Args:
        model: Of the study's width.
        side: Of an image, in pixels.
        draws: Of the attacker's images.
    """
    stages = stage_features(model.eval(), torch.zeros(2, 3, side, side))
    dims = [features.shape[1] for features in stages.values()]
    known = {d: battery_seconds(FEATURE_ATTACKS, d, draws=draws) for d in sorted(set(dims))}
    last = model.head.in_features
    head = KINDS * battery_seconds(tuple(HEAD_ATTACKS.values()), last, draws=draws)
    return head, sum(known[d] for d in dims)
