"""What the words of a profile mean: methods, neighborhoods and attacks with its settings.

Layer 5: words in, frozen objects out; a word that means nothing is refused with those that do.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from spotter_core._checks import check_choice
from spotter_core.attacks import PrototypeSweep
from spotter_core.methods import ForgetOnlyMethod, RetainMethod, find_method
from spotter_core.methods.retrain import Retrain
from spotter_core.neighborhoods import (
    BoundaryNeighborhood,
    GaussianNeighborhood,
    Neighborhood,
    UniformNeighborhood,
)
from spotter_core.profiles import Profile
from spotter_core.published import PublishedNeighborhood
from spotter_core.training import Recipe

KINDS: dict[str, type[Any]] = {
    "uniform": UniformNeighborhood,
    "gaussian": GaussianNeighborhood,
    "boundary": BoundaryNeighborhood,
    "published": PublishedNeighborhood,
}


def build_neighborhood(kind: str, **settings: Any) -> Neighborhood:
    """Return the neighborhood of that kind, as a profile or a notebook names it.

    Args:
        kind: ``"uniform"``, ``"gaussian"``, ``"boundary"`` or ``"published"``.
        **settings: Fields of the class.

    Raises:
        ValueError: If the kind or a setting is unknown.
    """
    check_choice("kind", kind, KINDS)
    known = [f.name for f in fields(KINDS[kind])]
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"neighborhood {kind!r} has no setting {unknown}; it has {known}")
    neighborhood: Neighborhood = KINDS[kind](**settings)
    return neighborhood


def scaled(neighborhood: Neighborhood, epsilon: float) -> Neighborhood:
    """Return the neighborhood at another radius, its step scaled with it."""
    if hasattr(neighborhood, "sigma") and not hasattr(neighborhood, "epsilon"):
        return replace(neighborhood, sigma=epsilon)  # type: ignore[type-var]
    if hasattr(neighborhood, "step"):
        step = neighborhood.step * (epsilon / neighborhood.epsilon)  # type: ignore[attr-defined]
        return replace(neighborhood, epsilon=epsilon, step=step)  # type: ignore[type-var]
    return replace(neighborhood, epsilon=epsilon)  # type: ignore[type-var]


def configured_method(
    profile: Profile, name: str, **settings: Any
) -> ForgetOnlyMethod | RetainMethod:
    """Return a method with the profile's settings, then with ``settings`` over them.

    A base method under Spotter has the settings that the profile gives it alone, and reads as
    large a share of the retained samples.

    Raises:
        ValueError: If the method is not in the profile, or a setting is unknown.
    """
    check_named("method", name, profile.methods, profile)
    ready = {**profile.methods[name], **settings}
    if isinstance(ready.get("neighborhood"), Mapping):
        ready["neighborhood"] = build_neighborhood(**ready["neighborhood"])
    method = find_method(name)
    if isinstance(method, Retrain):  # the oracle is trained as the original was
        ready["recipe"] = Recipe(**profile.recipe)
    base = getattr(method, "base", None)
    if base is not None and base.name in profile.methods and name != base.name:
        # of these only what the base's loss depends on counts; the steps are Spotter's
        ready["base"] = alone = configured_method(profile, base.name)
        if hasattr(alone, "retain_share"):
            ready.setdefault("retain_share", alone.retain_share)
    return method.with_settings(**ready)


def configured_neighborhood(profile: Profile, name: str) -> Neighborhood:
    """Return a neighborhood of the profile by its name there; ``ValueError`` if there is none."""
    check_named("neighborhood", name, profile.neighborhoods, profile)
    return build_neighborhood(**profile.neighborhoods[name])


def configured_sweep(profile: Profile, **settings: Any) -> PrototypeSweep:
    """Return the profile's grid of attacks, the same for every model."""
    seeds = tuple(range(profile.supports))
    return PrototypeSweep(shots=profile.shots, alphas=profile.alphas, seeds=seeds, **settings)


def check_named(what: str, name: str, known: Mapping[str, Any], profile: Profile) -> None:
    """Raise ``ValueError`` unless the profile has a method or neighborhood of that name."""
    if name not in known:
        raise ValueError(
            f"{what} {name!r} is not in profile {profile.name!r}; it has {', '.join(known)}"
        )
