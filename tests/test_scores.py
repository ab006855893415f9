"""Scores and red flags from made rows, against the same arithmetic by hand."""

import math

import pandas as pd
import pytest
from made_rows import RUNS, SOUND, frame_of, plain

from spotter_core.results import bootstrap_interval
from spotter_core.scores import against_oracles, excess_of_images, regained, side

# --- scores ---------------------------------------------------------------------------------------


def test_what_is_regained_is_a_line_for_each_cell_and_its_worst_is_the_largest():
    frame = pd.concat(
        [
            frame_of(SOUND | {"delete": {"pra": 0.1, "linear_probe": 0.9, "else": 0.4}}),
            frame_of(SOUND, shots=1),
            frame_of(SOUND, split="retain/test"),
        ]
    )
    table = regained(frame, 5)
    assert len(table) == 4 * len(RUNS)
    line = table.loc[("delete", "8", 1)]
    assert line["pra"] == 0.1
    assert line["worst"] == 0.9
    with pytest.raises(ValueError, match=r"no attack with shots=50: there are \[1, 5\]"):
        regained(frame, 50)


def test_excess_is_over_the_oracles_of_the_same_class_in_units_of_their_spread():
    table = regained(frame_of(SOUND), 5)
    found = against_oracles(table).loc[("delete", "pra")]
    excess = [0.6 - 0.6, 0.6 - 0.6, 0.6 - 0.25, 0.6 - 0.25]
    assert found["mean"] == pytest.approx(sum(excess) / 4)
    assert (found["low"], found["high"]) == pytest.approx(bootstrap_interval(excess))
    # within class 3 the variance is 0.02, within 8 it is 0.005; one degree of freedom each
    assert found["spread"] == pytest.approx(math.sqrt((0.02 + 0.005) / 2))
    assert found["units"] == pytest.approx(found["mean"] / found["spread"])
    own = against_oracles(table).loc[("retrain", "pra")]
    assert own["mean"] == pytest.approx(0.0)
    assert own["side"] == "like"


def test_far_below_the_oracles_has_a_side_as_far_above_has():
    values = SOUND | {"hidden": {"else": 0.01}, "left": {"else": 0.98}}
    found = against_oracles(regained(frame_of(values), 5))["side"]
    assert found["hidden", "worst"] == "below"
    assert found["left", "worst"] == "above"
    assert [side(*pair) for pair in ((-0.1, 0.1), (math.nan, math.nan))] == ["like", "open"]
    # an interval over cells knows nothing of how oracles differ
    assert [side(0.01, 0.02, units) for units in (1.9, 2.1, math.nan)] == ["like", "above", "above"]


def test_one_oracle_of_a_class_has_no_spread_and_one_cell_no_interval():
    runs = [("3", 0)]
    values = {m: {"else": 0.5} for m in ("original", "retrain", "delete")}
    found = against_oracles(regained(frame_of(values, runs=runs), 5)).loc[("delete", "pra")]
    assert math.isnan(found["spread"])
    assert math.isnan(found["units"])
    assert found["side"] == "open"


def test_without_an_oracle_there_is_no_excess():
    table = regained(frame_of({m: SOUND[m] for m in ("original", "delete")}), 5)
    with pytest.raises(ValueError, match="without a retrained oracle"):
        against_oracles(table)


def test_attacks_that_need_no_image_stand_beside_every_k():
    free = frame_of({m: {"else": 0.9} for m in SOUND}, shots=0)
    free = free[free["attack"] == "pra"].assign(attack="int8")
    table = regained(pd.concat([frame_of(SOUND), free]), 5)
    assert table["int8"].unique().tolist() == [0.9]
    assert table.loc["delete", "worst"].unique().tolist() == [0.6]  # of the head-level ones
    stage = frame_of({m: {"else": 1.0} for m in SOUND}).assign(stage="body.0")
    assert regained(pd.concat([frame_of(SOUND), stage]), 5).loc["delete", "pra"].max() == 0.6


def test_the_excess_over_images_is_read_from_its_rows():
    ends = {"excess": 0.2, "excess_low": 0.1, "excess_high": 0.3}
    at = {"attack": "worst", "shots": 5}
    frame = pd.concat([plain(m, {"delete": v}, **at) for m, v in ends.items()])
    frame = pd.concat([frame, plain("excess", {"delete": 0.9}, attack="pra", shots=5)])
    assert excess_of_images(frame, 5).loc["delete"].to_dict() == {
        "mean": pytest.approx(0.2),
        "low": pytest.approx(0.1),
        "high": pytest.approx(0.3),
    }
