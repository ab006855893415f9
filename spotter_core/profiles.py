"""Profiles: which data, model, methods and measurements a study consists of, one YAML file each.

Layer 1, without torch, because the graph reads it too. A key that nobody knows is refused here;
what the values mean is checked by ``study``, before any work.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from spotter_core.files import project_root

LISTS = {"forget", "seeds", "epsilons", "shots", "alphas", "ablation_seeds"} | {
    *("attacked", "by_stage", "by_training")
}
"""Keys of a profile whose values are lists."""


@dataclass(frozen=True)
class Cell:
    """One run: which classes are forgotten, and the seed; written ``forget3+8-seed0``."""

    forget: tuple[int, ...]
    seed: int

    @property
    def classes(self) -> str:
        """The forget classes, ``"3+8"``."""
        return "+".join(map(str, self.forget))

    def __str__(self) -> str:
        return f"forget{self.classes}-seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Return the cell that ``text`` names.

        Raises:
            ValueError: If it is not of the form ``forget3+8-seed0``.
        """
        match = re.fullmatch(r"forget(\d+(?:\+\d+)*)-seed(\d+)", str(text))
        if match is None:
            raise ValueError(f"cell must look like forget3-seed0 or forget3+8-seed0, got {text!r}")
        return cls(tuple(sorted(map(int, match[1].split("+")))), int(match[2]))


@dataclass(frozen=True)
class Profile:
    """The settings of one study, as its YAML file has them.

    Attributes:
        name: Of the file, and of the run's folder.
        label: What tables and figures call the data, such as ``CIFAR-10 (JPEG)``.
        dataset: For ``load_dataset``.
        model: For ``build_model``: ``name`` and ``width``.
        recipe: How original and retrained oracle are trained.
        forget: Sets of forget classes, one cell of the study each.
        seeds: Runs of every cell.
        methods: Settings of every method, in the order of the tables.
        neighborhoods: What OU@epsilon is measured on; the first is the headline's.
        epsilons: Radii of the curve of notebook 03, in pixel units.
        shots: The attacker's k.
        alphas: The attacker's alpha.
        supports: Draws of the attacker's samples, averaged over.
        attacks: Metric and scale of the attacks, beside shots and alphas.
        curves: Neighborhoods whose OU is followed over ``epsilons``.
        ablation: Values of Spotter's settings that notebook 07 varies one at a time.
        ablation_seeds: Runs that notebook 07 makes more models of; empty for all. What takes
            longest of the battery is measured of these alone, too.
        attacked: Sets of forget classes that the battery of notebook 04b attacks; empty for all.
        by_stage: Methods whose networks are attacked at every stage; all where it is not given.
        by_training: Methods whose networks are attacked by training; all where it is not given.
        tuning: Cells and candidates that ``methods`` were chosen from; see ``tuning.py``.
        size: Side that a folder's images are resized to.
        evaluated: Retained training images that measurements read at most; empty for all.
        jobs: Parallel parts of a notebook's cells in the graph; one where not named.
        threads: Of one job.
        minutes: Limit of one job.
        memory: That one job may need, in MB; a scheduler ends what takes more.
        gpus: That one job takes; jobs on one GPU take turns.
    """

    name: str
    label: str
    dataset: str
    model: dict[str, Any]
    recipe: dict[str, Any]
    forget: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...]
    methods: dict[str, dict[str, Any]]
    neighborhoods: dict[str, dict[str, Any]]
    epsilons: tuple[float, ...]
    shots: tuple[int, ...]
    alphas: tuple[float, ...]
    supports: int
    attacks: list[dict[str, Any]]
    curves: list[str]
    ablation: dict[str, list[Any]]
    tuning: dict[str, Any]
    ablation_seeds: tuple[int, ...] = ()
    attacked: tuple[tuple[int, ...], ...] = ()
    by_stage: tuple[str, ...] | None = None
    by_training: tuple[str, ...] | None = None
    size: int | None = None
    evaluated: int | None = None
    jobs: Mapping[str, int] | None = None
    threads: int = 1
    minutes: int = 10
    memory: int = 2000
    gpus: int = 0

    @property
    def headline(self) -> str:
        """Name of the neighborhood that the headline OU is measured on."""
        return next(iter(self.neighborhoods))

    @property
    def cells(self) -> list[Cell]:
        """All cells of the study, by seed, so that neighbors share their original."""
        return [Cell(tuple(sorted(f)), seed) for seed in self.seeds for f in self.forget]


def profiles_folder() -> Path:
    """Return the folder of the profile files."""
    return project_root() / "profiles"


def known_profiles() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        ValueError: If there is none (lists those there are), or its keys are unknown or missing.
    """
    path = profiles_folder() / f"{name}.yaml"
    if name not in known_profiles():
        raise ValueError(f"unknown profile {name!r}; known: {', '.join(known_profiles())}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no valid YAML: {error}") from error
    known = {f.name for f in fields(Profile)} - {"name"}
    if not isinstance(content, dict):
        raise ValueError(f"{path} must consist of keys and values; known keys: {sorted(known)}")
    if unknown := sorted(map(str, set(content) - known)):
        raise ValueError(f"{path} has unknown keys {unknown}; known: {sorted(known)}")
    for key in LISTS & set(content):
        if not isinstance(content[key], list):
            raise ValueError(f"{path}: {key} must be a list, got {content[key]!r}")
        content[key] = tuple(tuple(v) if isinstance(v, list) else v for v in content[key])
    for key in ("forget", "attacked"):
        if not all(isinstance(classes, tuple) for classes in content.get(key, ())):
            raise ValueError(f"{path}: {key} must be a list of lists, such as [[0], [3, 8]]")
    if unknown := sorted(set(content.get("attacked", ())) - set(content.get("forget", ()))):
        raise ValueError(f"{path}: attacked holds {unknown}, which forget does not")
    try:
        return Profile(name=name, **content)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
