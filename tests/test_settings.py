from dataclasses import replace

import pytest

from spotter_core.methods.spotter import Spotter
from spotter_core.neighborhoods import (
    BoundaryNeighborhood,
    GaussianNeighborhood,
    UniformNeighborhood,
)
from spotter_core.profiles import known_profiles, load_profile
from spotter_core.published import PublishedNeighborhood
from spotter_core.settings import (
    KINDS,
    build_neighborhood,
    configured_method,
    configured_neighborhood,
    configured_sweep,
    scaled,
)
from spotter_core.training import Recipe


@pytest.mark.parametrize(("kind", "cls"), KINDS.items())
def test_a_neighborhood_is_built_by_name(kind, cls):
    assert build_neighborhood(kind) == cls()


def test_a_neighborhood_is_built_with_settings():
    found = build_neighborhood("boundary", epsilon=0.2, direction="away")
    assert found == BoundaryNeighborhood(epsilon=0.2, direction="away")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("pgd", {}, "kind must be one of boundary, gaussian, published, uniform; got 'pgd'"),
        ("uniform", {"sigma": 1.0}, r"'uniform' has no setting \['sigma'\]; it has \['epsilon'\]"),
        ("uniform", {"epsilon": 0.0}, "epsilon must be above 0"),
        ("gaussian", {"sigma": -1.0}, "sigma must be above 0"),
        ("boundary", {"steps": 0}, "steps must be above 0"),
        ("boundary", {"direction": "up"}, "direction must be one of away, toward; got 'up'"),
        ("published", {"noise": "uniform"}, "noise must be one of gaussian, pgd"),
    ],
)
def test_settings_that_make_no_neighborhood_are_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        build_neighborhood(kind, **settings)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (UniformNeighborhood(epsilon=0.125), UniformNeighborhood(epsilon=0.5)),
        (GaussianNeighborhood(sigma=0.125), GaussianNeighborhood(sigma=0.5)),
        (
            BoundaryNeighborhood(epsilon=0.125, step=0.05, steps=4, direction="away"),
            BoundaryNeighborhood(epsilon=0.5, step=0.2, steps=4, direction="away"),
        ),
        (
            PublishedNeighborhood(epsilon=0.125, step=0.05, sigma=0.3),
            PublishedNeighborhood(epsilon=0.5, step=0.2, sigma=0.3),
        ),
    ],
    ids=repr,
)
def test_a_neighborhood_is_scaled_with_its_step(small, large):
    assert scaled(small, 0.5) == large
    assert scaled(small, 0.125) == small


@pytest.mark.parametrize("name", known_profiles())
def test_the_words_of_every_profile_mean_what_they_say(name):
    profile = load_profile(name)
    for method in profile.methods:
        assert configured_method(profile, method).name == method.partition("+")[0]
    assert configured_method(profile, "retrain").recipe == Recipe(**profile.recipe)
    for near in profile.neighborhoods:
        assert isinstance(configured_neighborhood(profile, near), tuple(KINDS.values()))
    for near in profile.curves:
        far = [scaled(configured_neighborhood(profile, near), e) for e in profile.epsilons]
        # of Gaussian noise the radius is its deviation
        assert [getattr(n, "epsilon", None) or n.sigma for n in far] == list(profile.epsilons)
    for variant in profile.attacks:
        sweep = configured_sweep(profile, **variant)
        assert (sweep.shots, sweep.alphas) == (profile.shots, profile.alphas)
        assert len(sweep.seeds) == profile.supports


@pytest.mark.parametrize("name", known_profiles())
def test_spotter_around_a_method_keeps_what_the_loss_of_that_method_depends_on(name):
    profile = load_profile(name)
    around = configured_method(profile, "spotter+random_label")
    assert isinstance(around, Spotter)
    assert around.base == configured_method(profile, "random_label")
    assert around.learning_rate == configured_method(profile, "spotter").learning_rate


def test_spotter_around_a_method_reads_as_large_a_share_of_the_retained_samples():
    base = {"retain_share": 0.2, "epochs": 2}
    methods = {"salun": base, "spotter+salun": {}, "spotter+finetune": {"retain_share": 0.5}}
    profile = replace(load_profile("digits"), methods=methods)
    around = configured_method(profile, "spotter+salun")
    assert (around.retain_share, around.base.retain_share, around.epochs) == (0.2, 0.2, 10)
    assert configured_method(profile, "spotter+finetune").retain_share == 0.5
