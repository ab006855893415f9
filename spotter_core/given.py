"""A study whose models are given instead of made, so that all measurements work on them unchanged.

Layer 8. One cell: the original, the unlearned network, and oracles if there are any. Every oracle
is measured with the same points and the same attacker as the others; in rows they are ``retrain``
with a seed of their own, from which their spread is taken.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spotter_core.data import Dataset, ImageSet
from spotter_core.files import settings_hash
from spotter_core.models import Classifier
from spotter_core.profiles import Cell, Profile
from spotter_core.results import UNTRAINED, Row
from spotter_core.scores import ORACLE, ORIGINAL
from spotter_core.study import Study
from spotter_core.workshop import Made, fixed_sample

RESERVED = (ORIGINAL, ORACLE, UNTRAINED)
ALPHAS = (0.2, 0.4, 0.6, 0.8, 1.0)
PUBLISHED_SHOTS = (1, 2, 3, 5, 10)


def oracle_name(number: int) -> str:
    """Return what a study calls its n-th oracle, from 0."""
    return ORACLE if number == 0 else f"{ORACLE}#{number}"


def given_profile(
    dataset: Dataset,
    forget: Sequence[int],
    *,
    shots: int,
    epsilon: float,
    supports: int,
    evaluated: int,
    arch: str,
    label: str = "",
) -> Profile:
    """Return the settings of an audit as those of a study.

    Args:
        dataset: The images.
        forget: Classes that were to be forgotten.
        shots: The attacker's k of the main numbers.
        epsilon: Radius of the neighborhoods, in pixel units.
        supports: Draws of the attacker's images.
        evaluated: Retained images of a part that are read at most.
        arch: Name of the architecture.
        label: What tables call the data; default the data set's name.

    Raises:
        ValueError: If a forget class has fewer training images than k, or a part has none.
    """
    check_parts(dataset, forget, shots)
    counts = dataset.train.labels.bincount(minlength=dataset.num_classes)
    most = min(int(counts[c]) for c in forget)
    push = {"kind": "boundary", "epsilon": epsilon, "step": epsilon / 3, "steps": 3}
    return Profile(
        name="audit",
        label=label or dataset.name,
        dataset=dataset.name,
        model={"name": arch, "width": 0},
        recipe={},
        forget=(tuple(forget),),
        seeds=(0,),
        methods={},
        neighborhoods={
            "PGD toward": {**push, "direction": "toward"},
            "Gaussian": {"kind": "gaussian", "sigma": epsilon / 2},
            "uniform": {"kind": "uniform", "epsilon": epsilon},
        },
        epsilons=(epsilon,),
        shots=tuple(sorted({k for k in PUBLISHED_SHOTS if k <= most} | {shots})),
        alphas=ALPHAS,
        supports=supports,
        attacks=[{"metric": "cosine"}, {"metric": "l2"}, {"metric": "cosine", "scale": 1.0}],
        curves=[],
        ablation={},
        tuning={},
        evaluated=evaluated,
        threads=torch.get_num_threads(),
    )


def check_parts(dataset: Dataset, forget: Sequence[int], shots: int) -> None:
    """Raise ``ValueError`` unless every class to be forgotten has images for what is measured."""
    for c in forget:
        own = {
            part: int((getattr(dataset, part).labels == c).sum())
            for part in ("train", "validation", "test")
        }
        name = f"forget class {dataset.class_names[c]!r}"
        if own["train"] < shots:
            raise ValueError(
                f"shots is {shots}, but {name} has {own['train']} training images: add images or "
                "lower shots"
            )
        if own["test"] < 2 or own["validation"] < 1:
            raise ValueError(
                f"{name} has {own['test']} test and {own['validation']} validation images; "
                "expected two and one at least: add images"
            )


class GivenStudy(Study):
    """Given models on given images, as a study of one cell.

    Args:
        profile: As from :func:`given_profile`.
        dataset: The images.
        models: ``original``, the unlearned network by its name, oracles by :func:`oracle_name`.
        untrained: The architecture with weights that mean nothing.
        root: Folder for rows.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
    """

    def __init__(
        self,
        profile: Profile,
        dataset: Dataset,
        models: Mapping[str, Classifier],
        untrained: Classifier,
        *,
        root: Path,
        device: str = "auto",
    ) -> None:
        super().__init__(profile, root=root, device=device)
        self.dataset = dataset.to(self.device)
        self.blank = untrained.eval().to(self.device)
        self._models = {name: given.eval().to(self.device) for name, given in models.items()}
        self._prints: dict[str, str] = {}

    @property
    def cell(self) -> Cell:
        """The one cell."""
        return self.profile.cells[0]

    @property
    def methods(self) -> list[str]:
        """All models by name: the original, the oracles, then the unlearned network."""
        first = [name for name in self._models if name.startswith(RESERVED)]
        return [*first, *(name for name in self._models if name not in first)]

    @property
    def arch(self) -> str:
        """Architecture, as rows name it."""
        return str(self.profile.model["name"])

    def fingerprint(self, cell: Cell, method: str, **settings: Any) -> str:
        """Return what identifies a model: its weights, its normalisation, the images."""
        if method not in self._prints:
            model = self._models[method]
            weights = hashlib.sha256()
            for name, value in model.state_dict().items():
                weights.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
            about = [weights.hexdigest(), model.mean.tolist(), model.std.tolist()]
            basis = [self.dataset.digest(), cell.forget, self.device.type, torch.__version__]
            self._prints[method] = settings_hash([*about, *basis])
        return self._prints[method]

    def made(self, cell: Cell, method: str, **settings: Any) -> Made:
        """Return a given model; what it read in its making, nobody said."""
        return Made(self._models[method], {"reads": {}})

    def part(self, cell: Cell, where: str) -> ImageSet:
        """Return the samples that are measured on; of many retained ones a fixed random sample."""
        most = self.profile.evaluated if where.startswith("retain/") else None
        return fixed_sample(super().part(cell, where), most, "given", where)

    def measured(
        self,
        compute: Callable[[Study, Cell, Sequence[str]], list[Row]],
        cell: Cell,
        methods: Sequence[str],
    ) -> list[Row]:
        """Return rows as a study does, every oracle a run of its own of one recipe."""
        return [as_oracle(row) for row in super().measured(compute, cell, methods)]


def as_oracle(row: Row) -> Row:
    """Return the row of an oracle that is not the first as one of ``retrain``, its number as seed.

    Afterwards, for a measurement may fill in the method itself.
    """
    name, _, number = row.method.partition("#")
    return replace(row, method=name, seed=int(number)) if name == ORACLE and number else row
