"""All head-level attacks on one network: same samples, same budget, same rule for everybody.

Layer 4. From cached predictions alone; what the attacker draws depends on the seed and the labels,
so every network is attacked with the same images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from spotter_core._checks import check_positive
from spotter_core.attacks.detection import Attacker, HeadAttack, Reference, Seen
from spotter_core.attacks.prototype import draw_support


@dataclass(frozen=True)
class Outcome:
    """What one attack with one k came to, draw by draw.

    Attributes:
        attack: Its name.
        shots: Samples of each forget class that the attacker held.
        settings: What each draw's attacker chose from the grid.
        thresholds: ``(S,)`` where they answer "the forgotten class".
        accuracy: By target, ``(S,)`` in [0, 1]; ``"forget/train"`` is the pool without the samples
            of the draw, NaN where nothing is left.
        auroc: ``(S,)``, of the margin, forgotten against retained test samples; 0.5 is chance.
        rates: ``(N,)`` by forget test sample, the share of draws in which it is regained.
    """

    attack: str
    shots: int
    settings: list[dict[str, Any]]
    thresholds: Tensor
    accuracy: dict[str, Tensor]
    auroc: Tensor
    rates: Tensor


@dataclass(frozen=True)
class HeadBattery:
    """Head-level attacks with every k and every draw.

    Attributes:
        attacks: To run.
        shots: Values of k.
        seeds: Draws of the attacker's samples.
        allowed: Retained accuracy that he is ready to lose on his validation samples.
    """

    attacks: tuple[HeadAttack, ...]
    shots: tuple[int, ...] = (1, 5, 10, 50)
    seeds: tuple[int, ...] = tuple(range(20))
    allowed: float = 0.01

    def __post_init__(self) -> None:
        for k in self.shots:
            check_positive(shots=k)

    @torch.no_grad()
    def __call__(
        self,
        head: nn.Linear,
        forget_classes: Sequence[int],
        *,
        pool: Seen,
        reference: Seen,
        validation: Seen,
        targets: Mapping[str, Seen],
    ) -> list[Outcome]:
        """Return an outcome for each k and attack.

        Args:
            head: Left as it is.
            forget_classes: The classes to bring back.
            pool: Forget samples that the attacker's are drawn from.
            reference: His retained samples.
            validation: His samples of both kinds to choose settings and threshold on.
            targets: Samples to score on; ``"forget/test"`` and ``"retain/test"`` among them.

        Raises:
            ValueError: If a class has fewer samples than ``shots``.
        """
        classes = tuple(sorted(forget_classes))
        retained, outcomes = Reference(reference), []
        draws = [
            draw_support(pool.labels, classes, max(self.shots), Generator().manual_seed(seed))
            for seed in self.seeds
        ]
        drawn = torch.stack(draws).to(pool.labels.device)  # (S, F, largest k)
        for k in self.shots:
            held = drawn[:, :, :k]
            left = torch.ones(len(held), len(pool.labels), dtype=torch.bool, device=held.device)
            left.scatter_(1, held.flatten(1), value=False)
            support = pool.features[held]
            attacker = Attacker(head, classes, support, retained, validation, self.allowed)
            for attack in self.attacks:
                found = attack(attacker)
                margins = {where: found.margins(seen) for where, seen in targets.items()}
                hits = {w: found.hits(seen, margins[w]).double() for w, seen in targets.items()}
                accuracy = {where: values.mean(dim=1) for where, values in hits.items()}
                right = (found.hits(pool) & left).sum(dim=1)
                accuracy["forget/train"] = right / left.sum(dim=1).double()
                area = auroc(margins["forget/test"], margins["retain/test"])
                rates = hits["forget/test"].mean(dim=0)
                taken = found.settings, found.thresholds
                outcomes.append(Outcome(attack.name, k, *taken, accuracy, area, rates))
        return outcomes


def auroc(forgotten: Tensor, retained: Tensor) -> Tensor:
    """Return ``(S,)`` chances that a forgotten sample's margin is the larger one, ties half.

    Args:
        forgotten: ``(S, N, F)`` margins of forgotten samples.
        retained: ``(S, M, F)`` of retained ones.
    """
    own, others = forgotten.amax(dim=2), retained.amax(dim=2).sort(dim=1).values
    below = torch.searchsorted(others, own)
    up_to = torch.searchsorted(others, own, right=True)
    return (below + up_to).double().mean(dim=1) / (2 * others.shape[1])
