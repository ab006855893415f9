"""Distances from oracles and the verdict, from made rows, against the same arithmetic by hand."""

import numpy as np
import pandas as pd
import pytest

from spotter_core.equivalence import RESOLUTION, Band, relearned, verdicts

RUNS = [(forget, seed) for forget in ("3", "8") for seed in range(4)]
COLUMNS = pd.MultiIndex.from_tuples([("pra", 1), ("pra", 5), ("lda", 5)], names=["attack", "shots"])


def table_of(values):
    """Lines of each method in all runs; ``values[method]`` is ``(8, 3)`` or one number."""
    parts = []
    for method, value in values.items():
        index = pd.MultiIndex.from_tuples(
            [(method, *run) for run in RUNS], names=["method", "forget", "seed"]
        )
        parts.append(pd.DataFrame(np.broadcast_to(value, (8, 3)), index, COLUMNS))
    return pd.concat(parts)


@pytest.fixture
def oracles():
    level = np.repeat([[0.3], [0.7]], 4, axis=0)
    return level + 0.1 * np.random.default_rng(5).standard_normal((8, 3))


def test_the_spread_is_within_classes_and_pooled(oracles):
    table = table_of({"retrain": oracles})
    band = Band.of(table.loc["retrain"], table.loc["retrain"].index)
    within = [oracles[:4].var(axis=0, ddof=1), oracles[4:].var(axis=0, ddof=1)]
    np.testing.assert_allclose(band.spread, np.sqrt(np.mean(within, axis=0)))
    np.testing.assert_allclose(band.center, [oracles[:4].mean(0), oracles[4:].mean(0)])


def test_a_distance_does_not_let_one_cell_make_up_for_another(oracles):
    means = np.repeat([oracles[:4].mean(0), oracles[4:].mean(0)], 4, axis=0)
    signs = np.tile([[1.0], [-1.0]], (4, 1))
    table = table_of({"retrain": oracles, "swinging": means + 0.2 * signs, "exact": means})
    band = Band.of(table.loc["retrain"], table.loc["retrain"].index)
    np.testing.assert_allclose(band.distances(table.loc["swinging"]), 0.2 / band.spread)
    np.testing.assert_allclose(band.distances(table.loc["exact"]), 0.0, atol=1e-12)


def test_below_the_oracles_fails_as_above_does(oracles):
    table = table_of(
        {"retrain": oracles, "above": oracles + 0.4, "below": oracles - 0.4, "like": oracles}
    )
    found = verdicts(table)
    assert found["equivalent"].to_dict() == {"like": True, "above": False, "below": False}
    assert found.index[0] == "like"
    assert (found["allowed"] == found["allowed"].iloc[0]).all()


def test_other_oracles_pass_about_as_often_as_is_said():
    rng, passed = np.random.default_rng(1), []
    twelve = [("retrain", forget, seed) for forget in ("3", "8") for seed in range(12)]
    index = pd.MultiIndex.from_tuples(twelve, names=["method", "forget", "seed"])
    for _ in range(50):
        known = pd.DataFrame(rng.normal(0.5, 0.1, (24, 3)), index, COLUMNS)
        found = verdicts(table_of({"another": rng.normal(0.5, 0.1, (8, 3))}), known.loc["retrain"])
        passed.append(found.loc["another", "equivalent"])
    assert np.mean(passed) >= 0.9
    found = verdicts(
        table_of({"another": 0.6}), known.loc["retrain"]
    )  # a spread above in all cells
    assert found["allowed"].item() < 2.0


def test_oracles_that_agree_leave_the_resolution():
    table = table_of({"retrain": 1.0, "one image off": 1.0 - RESOLUTION})
    band = Band.of(table.loc["retrain"], table.loc["retrain"].index)
    assert (band.spread == RESOLUTION).all()
    np.testing.assert_allclose(band.distances(table.loc["one image off"]), 1.0)
    assert band.allowed == 0.0  # oracles that are all alike leave no room


def test_more_oracles_than_the_table_has_can_be_given(oracles):
    table = table_of({"delete": oracles})
    found = verdicts(table, table_of({"retrain": oracles}).loc["retrain"])
    assert found.loc["delete", "equivalent"]


def test_too_few_oracles_are_refused():
    table = table_of({"retrain": 0.5, "delete": 0.5})
    lone = table.loc[[("retrain", "3", 0), ("retrain", "8", 0), ("retrain", "8", 1)]].loc["retrain"]
    with pytest.raises(ValueError, match="class 3 needs three oracles at least"):
        verdicts(table.loc[["delete"]], lone)


def test_rows_become_a_table_by_attack_and_k_and_by_stage_where_there_is_one():
    base = {"method": "retrain", "forget": "3", "seed": 0, "measure": "relearned"}
    base |= {"split": "forget/test", "support": "own", "attack": "lda", "shots": 5}
    frame = pd.DataFrame(
        [
            base | {"value": 0.25},
            base | {"value": 0.5, "support": "shuffled"},
            base | {"value": 0.75, "split": "forget/train"},
        ]
    )
    assert relearned(frame).to_numpy().tolist() == [[0.25]]
    assert relearned(frame, "forget/train").to_numpy().tolist() == [[0.75]]
    assert relearned(frame.assign(stage="body.0")).columns.tolist() == [("body.0", "lda", 5)]
    with pytest.raises(ValueError, match="no row of the measure 'relearned' on 'retain/test'"):
        relearned(frame, "retain/test")
