"""All head-level attacks on one network: same samples, same budget, same rule for everybody.

Layer 4. From cached predictions alone; what the attacker draws depends on the seed and the labels,
so every network is attacked with the same images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, nn

from spotter_core._checks import check_positive
from spotter_core.attacks.detection import Attacker, Found, HeadAttack, Reference, Seen
from spotter_core.attacks.prototype import draw_support


@dataclass(frozen=True)
class Outcome:
    """What one attack with one draw of samples came to.

    Attributes:
        attack: Its name.
        shots: Samples of each forget class that the attacker held.
        seed: Of their draw.
        settings: What the attacker chose from the grid.
        threshold: And where he answers "the forgotten class".
        accuracy: By target, in [0, 1]; ``"forget/train"`` is the pool without his samples.
        auroc: Of the margin, forgotten against retained test samples; 0.5 is chance.
    """

    attack: str
    shots: int
    seed: int
    settings: dict[str, Any]
    threshold: float
    accuracy: dict[str, float]
    auroc: float


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
        """Return an outcome for each attack, k and draw.

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
        for seed in self.seeds:
            draw = Generator().manual_seed(seed)
            drawn = draw_support(pool.labels, classes, max(self.shots), draw).to(pool.labels.device)
            for k in self.shots:
                held = drawn[:, :k].flatten()
                rest = torch.ones(len(pool.labels), dtype=torch.bool, device=held.device)
                rest[held] = False
                attacker = Attacker(
                    head, classes, pool.pick(held), retained, validation, self.allowed
                )
                scored = {**targets, "forget/train": pool.pick(rest)}
                for attack in self.attacks:
                    found = attack(attacker)
                    outcomes.append(
                        Outcome(
                            attack.name,
                            k,
                            seed,
                            found.settings,
                            found.threshold,
                            {w: found.accuracy(s) for w, s in scored.items() if len(s.labels)},
                            auroc(found, targets["forget/test"], targets["retain/test"]),
                        )
                    )
        return outcomes


def auroc(found: Found, forgotten: Seen, retained: Seen) -> float:
    """Return the chance that a forgotten sample's margin exceeds a retained one's, ties half."""
    own, others = (found.detector(seen).amax(dim=1) for seen in (forgotten, retained))
    ordered = others.sort().values
    below = torch.searchsorted(ordered, own)
    up_to = torch.searchsorted(ordered, own, right=True)
    return ((below + up_to).double() / (2 * len(others))).mean().item()
