"""The table of settings says what classes, docstrings and profiles say."""

from dataclasses import fields, replace

import pytest

from spotter_core.documented import in_words, settings_table, value_in_words
from spotter_core.methods import METHODS
from spotter_core.neighborhoods import GaussianNeighborhood
from spotter_core.profiles import known_profiles, load_profile

ALL = replace(load_profile("digits"), methods={name: {} for name in METHODS})


def line_of(profile, name):
    return settings_table(profile).set_index("method").loc[name]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_described_and_unchanged_without_settings(name):
    line = line_of(ALL, name)
    assert line["source"] == METHODS[name].source
    expected = {"retrain": "the original's recipe"}.get(name, "as the default")
    assert line["here"] == ("as Spotter alone" if "+" in name else expected)
    if name != "retrain":
        assert len(line["official"]) > 20
        assert not line["official"].startswith("Official")
        assert line["official"].count("(") == line["official"].count(")")
    for field in fields(METHODS[name]):
        value = getattr(METHODS[name], field.name)
        if isinstance(value, float | int) and not isinstance(value, bool):
            assert f"{field.name} {value:g}" in line["default"]


def test_what_the_profile_changes_stands_beside_the_default():
    changed = {"learning_rate": 0.003, "epochs": 10, "bound": 0.3}
    profile = replace(ALL, methods={"boundary_shrink": changed})
    line = line_of(profile, "boundary_shrink")
    assert line["here"] == "learning_rate 0.003, bound 0.3"  # ten epochs are the default
    assert "learning_rate 1e-05" in line["default"]
    assert "bound 0.1" in line["default"]
    assert "SGD 1e-5" in line["official"]


def test_methods_stand_in_the_order_of_what_they_read():
    table = settings_table(ALL).drop_duplicates("reads")
    assert table["reads"].tolist() == ["forget only", "retained only", "forget and retained"]
    reads = settings_table(ALL).set_index("method")["reads"]
    assert reads["spotter+salun"] == reads["salun"] == "forget and retained"
    assert reads["spotter+delete"] == "forget only"


def test_spotter_around_a_method_with_settings_of_its_own_says_them():
    own = {"lambda_2": 0.5}
    profile = replace(ALL, methods={"spotter": own, "spotter+delete": own | {"epochs": 3}})
    assert line_of(profile, "spotter")["here"] == "lambda_2 0.5"
    assert line_of(profile, "spotter+delete")["here"] == "epochs 3, lambda_2 0.5"


def test_a_neighborhood_is_said_with_its_settings():
    assert value_in_words(GaussianNeighborhood(sigma=0.05)) == "GaussianNeighborhood (sigma 0.05)"
    assert in_words({}) == ""


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_has_its_table(name):
    profile = load_profile(name)
    table = settings_table(profile)
    assert set(table["method"]) == set(profile.methods)
    assert not table.isna().any(axis=None)
    assert not table.map(lambda text: "|" in text).any(axis=None)
