"""What E1 is about: the points near the forget images, and what every model says there.

Layer 10: the numbers that the answers of the exercise are held against.
"""

from functools import cached_property

import pandas as pd
from torch import Tensor

from spotter_core.divergence import masked_log_softmax
from spotter_core.exercises.by_hand import divergence_slips, masked_slips
from spotter_core.exercises.sheet import MODELS
from spotter_core.measurements import OU_PARTS
from spotter_core.metrics import mass_floor
from spotter_core.profiles import Cell
from spotter_core.settings import scaled
from spotter_core.study import Study
from spotter_core.training import predict
from spotter_core.workshop import Near

HARMED = "random_label"
"""The method whose damage is looked at."""


class NearPoints:
    """The points near a cell's held-out forget images, and OU there.

    Args:
        study: Whose models are asked.
        cell: Of one forgotten class.
    """

    def __init__(self, study: Study, cell: Cell) -> None:
        self.study, self.cell = study, cell

    @cached_property
    def near(self) -> Near:
        """The points near the held-out forget images, by the headline's neighborhood."""
        return self.study.near(self.cell, self.study.profile.headline, "forget/test")

    @cached_property
    def logits(self) -> dict[str, Tensor]:
        """What every model says on these points."""
        return {m: predict(self.study.model(self.cell, m), self.near.images).logits for m in MODELS}

    @cached_property
    def each(self) -> dict[str, dict[str, Tensor]]:
        """OU and its two parts, by model, of every point."""
        pair = self.near.logits, self.cell.forget
        return {
            model: {n: f(pair[0], z, pair[1], reduction="none") for n, f in OU_PARTS.items()}
            for model, z in self.logits.items()
        }

    def ou(self, model: str) -> float:
        """Return a model's OU, the mean over the points."""
        return self.each[model]["over_unlearning"].mean().item()

    @cached_property
    def point(self) -> int:
        """The point to be computed by hand: where the usual slips are easiest to tell apart."""
        gaps = [self._gap(i) for i in range(len(self.near.labels))]
        return gaps.index(max(gaps))

    def _gap(self, i: int) -> float:
        """Return how far the nearest slip is from what is right, at one point."""
        (own,), before, after = self.cell.forget, *self.pair_at(i)
        masked = masked_log_softmax(before[None].double(), [own]).exp()[0]
        ou = self.each[HARMED]["over_unlearning"][i].item()
        gaps = [float((s.value - masked).abs().max()) for s in masked_slips(before, own)]
        slips = divergence_slips(before, after, own, self.ou(HARMED))
        return min(gaps + [abs(float(s.value) - ou) for s in slips])

    def pair_at(self, i: int) -> tuple[Tensor, Tensor]:
        """Return logits of the original and of the harmed model at a point, ``(C,)`` each."""
        return self.near.logits[i].cpu(), self.logits[HARMED][i].cpu()

    @cached_property
    def pair(self) -> tuple[Tensor, Tensor]:
        """What is given of that point."""
        return self.pair_at(self.point)

    @cached_property
    def bill(self) -> pd.DataFrame:
        """Near points by the retained class that the original sees in them, and the damage there.

        Columns: ``points``, ``mean shift`` of the harmed model, and ``share`` of all its shift.
        """
        land = masked_log_softmax(self.near.logits.double(), self.cell.forget).argmax(dim=1)
        shift = self.each[HARMED]["conditional_shift"]
        frame = pd.DataFrame({"class": land.tolist(), "shift": shift.tolist()})
        table = frame.groupby("class")["shift"].agg(["size", "mean", "sum"])
        table["sum"] /= table["sum"].sum()
        return table.set_axis(["points", "mean shift", "share"], axis=1)

    def part_of(self, model: str) -> str:
        """Return which part a model's OU consists of, ``"mass"`` or ``"shift"``: the larger one."""
        parts = self.each[model]
        floor = mass_floor(parts["residual_forget_mass"].clamp(0.0, 1.0)).mean().item()
        return "mass" if floor > parts["conditional_shift"].mean().item() else "shift"

    def accuracy(self, model: str) -> float:
        """Return a model's accuracy on retained test images."""
        logits = self.study.predictions(self.cell, model, "retain/test").logits
        labels = self.study.part(self.cell, "retain/test").labels
        return (logits.argmax(dim=1) == labels).double().mean().item()

    def at_half_radius(self) -> float:
        """Return the oracle's OU where the neighborhood's radius is halved."""
        profile = self.study.profile
        radius = profile.neighborhoods[profile.headline]["epsilon"] / 2
        closer = scaled(self.study.neighborhood(profile.headline), radius)
        near = self.study.near(self.cell, closer, "forget/test")
        logits = predict(self.study.model(self.cell, "retrain"), near.images).logits
        return OU_PARTS["over_unlearning"](near.logits, logits, self.cell.forget).item()
