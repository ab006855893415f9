"""Profiles: which data, model, methods and measurements a study consists of, one YAML file each.

Layer 5. Read by the notebooks and by the graph; a key that nobody knows is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from spotter_core.attacks import PrototypeSweep
from spotter_core.methods import ForgetOnlyMethod, RetainMethod, find_method
from spotter_core.methods.retrain import Retrain
from spotter_core.neighborhoods import Neighborhood, build_neighborhood
from spotter_core.runtime import project_root
from spotter_core.training import Recipe


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
        tuning: Cell and candidates that ``methods`` were chosen from; see ``tuning.py``.
        size: Side that a folder's images are resized to.
        jobs: Parallel parts of a notebook's cells in the graph; one where not named.
        threads: Of one job.
        minutes: Limit of one job.
    """

    name: str
    label: str
    dataset: str
    model: dict[str, Any]
    recipe: Recipe
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
    size: int | None = None
    jobs: Mapping[str, int] | None = None
    threads: int = 1
    minutes: int = 10

    def method(self, name: str, **settings: Any) -> ForgetOnlyMethod | RetainMethod:
        """Return a method with this profile's settings, then with ``settings`` over them.

        Raises:
            ValueError: If the method is not in this profile, or a setting is unknown.
        """
        if name not in self.methods:
            raise ValueError(
                f"method {name!r} is not in profile {self.name!r}; it has {', '.join(self.methods)}"
            )
        return configured(name, {**self.methods[name], **settings}, self.recipe)

    def neighborhood(self, name: str) -> Neighborhood:
        """Return a neighborhood of this profile by its name there."""
        if name not in self.neighborhoods:
            raise ValueError(
                f"neighborhood {name!r} is not in profile {self.name!r}; "
                f"it has {', '.join(self.neighborhoods)}"
            )
        return build_neighborhood(**self.neighborhoods[name])

    @property
    def headline(self) -> str:
        """Name of the neighborhood that the headline OU is measured on."""
        return next(iter(self.neighborhoods))

    def sweep(self, **settings: Any) -> PrototypeSweep:
        """Return the grid of attacks, the same for every model."""
        return PrototypeSweep(
            shots=self.shots, alphas=self.alphas, seeds=tuple(range(self.supports)), **settings
        )


def configured(
    name: str, settings: Mapping[str, Any], recipe: Recipe
) -> ForgetOnlyMethod | RetainMethod:
    """Return a method with settings as YAML has them; ``retrain`` gets the recipe."""
    method = find_method(name)
    if isinstance(method, Retrain):
        return method.with_settings(recipe=recipe, **settings)
    ready = dict(settings)
    if isinstance(ready.get("neighborhood"), Mapping):
        ready["neighborhood"] = build_neighborhood(**ready["neighborhood"])
    return method.with_settings(**ready)


def profiles_folder() -> Path:
    """Return the folder of the profile files."""
    return project_root() / "profiles"


def known_profiles() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Return the profile of that name.

    Raises:
        ValueError: If there is none (lists those that are), or its file has unknown or missing keys.
    """
    path = profiles_folder() / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"unknown profile {name!r}; known: {', '.join(known_profiles())}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {f.name for f in fields(Profile)} - {"name"}
    if unknown := sorted(set(content) - known):
        raise ValueError(f"{path} has unknown keys {unknown}; known: {sorted(known)}")
    for key in ("forget", "seeds", "epsilons", "shots", "alphas"):
        content[key] = tuple(tuple(v) if isinstance(v, list) else v for v in content.get(key, ()))
    try:
        profile = Profile(name=name, **{**content, "recipe": Recipe(**content["recipe"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    for method in profile.methods:  # refuse a wrong setting now, not in the third hour
        profile.method(method)
    for neighborhood in profile.neighborhoods:
        profile.neighborhood(neighborhood)
    return profile
