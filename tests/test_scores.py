"""Scores and red flags from made rows, against the same arithmetic by hand."""

import math

import pandas as pd
import pytest

from spotter_core.results import bootstrap_interval
from spotter_core.scores import (
    BOUGHT,
    BROKEN,
    CLUSTERS,
    EMPTY,
    HEAD_LEVEL,
    MISLED,
    against_oracles,
    red_flags,
    regained,
    side,
)

ATTACKS = ("pra", "pra_calibrated", "nearest_mean", "nearest_image", "linear_probe")
RUNS = [("3", 0), ("3", 1), ("8", 0), ("8", 1)]


def frame_of(values, *, shots=5, runs=RUNS, support="own", split="forget/test"):
    """Rows of ``relearned``: ``values[method][attack]`` is a number, or one for each run."""
    lines = []
    for method, by_attack in values.items():
        for attack in ATTACKS:
            found = by_attack.get(attack, by_attack.get("else", 0.5))
            each = found if isinstance(found, list) else [found] * len(runs)
            for (forget, seed), value in zip(runs, each, strict=True):
                lines.append(
                    {
                        "method": method,
                        "forget": forget,
                        "seed": seed,
                        "split": split,
                        "measure": "relearned",
                        "attack": attack,
                        "shots": shots,
                        "support": support,
                        "value": value,
                    }
                )
    return pd.DataFrame(lines)


def plain(measure, values, split="forget/test", **more):
    lines = [
        {"method": m, "forget": f, "seed": s, "split": split, "measure": measure, "value": v} | more
        for m, v in values.items()
        for f, s in RUNS
    ]
    return pd.DataFrame(lines)


SOUND = {
    "original": {"else": 0.99},
    "retrain": {"else": [0.5, 0.7, 0.2, 0.3]},
    "delete": {"else": 0.6},
    "untrained": {"else": 0.3},
}


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


def test_one_oracle_of_a_class_has_no_spread_and_one_cell_no_interval():
    runs = [("3", 0)]
    values = {m: {"else": 0.5} for m in ("original", "retrain", "delete")}
    found = against_oracles(regained(frame_of(values, runs=runs), 5)).loc[("delete", "pra")]
    assert math.isnan(found["spread"])
    assert math.isnan(found["units"])
    assert found["side"] == "open"


# --- red flags ------------------------------------------------------------------------------------


def names(flags):
    return {(flag.name, flag.method) for flag in flags}


def test_sound_rows_raise_no_flag():
    frame = pd.concat(
        [
            frame_of(SOUND),
            frame_of({m: {"else": 0.95} for m in SOUND}, split="retain/test"),
            plain("accuracy", dict.fromkeys(SOUND, 0.955), "retain/test"),
            plain("mean_cosine", {"original": 0.8, "retrain": 0.6, "delete": 0.7}),
            plain("crossing", {"original": 0.4}, neighborhood="PGD toward"),
            frame_of({m: {"else": 0.12} for m in SOUND}, support="shuffled"),
        ]
    )
    assert red_flags(frame, 5, chance=0.1) == []


def test_a_probe_that_beats_the_mean_means_head_level_robustness_only():
    values = SOUND | {"delete": {"linear_probe": 0.9, "else": 0.65}}
    (flag,) = red_flags(frame_of(values), 5)
    assert (flag.name, flag.method) == (HEAD_LEVEL, "delete")
    assert flag.reason == "a linear probe regains 90%, the best mean of images 65%"
    values["delete"]["pra_calibrated"] = 0.75
    assert red_flags(frame_of(values), 5) == []


def test_low_cosine_with_near_neighbors_means_clusters():
    cosine = {"original": 0.8, "retrain": 0.6, "delete": 0.2}
    frame = pd.concat([frame_of(SOUND), plain("mean_cosine", cosine)])
    assert names(red_flags(frame, 5)) == {(CLUSTERS, "delete")}
    values = SOUND | {"delete": {"nearest_image": 0.3, "else": 0.4}}
    frame = pd.concat([frame_of(values), plain("mean_cosine", cosine)])
    assert red_flags(frame, 5) == []


def test_an_attack_that_gains_little_on_the_original_is_broken():
    values = SOUND | {"original": {"nearest_image": 0.9, "else": 0.97}}
    assert names(red_flags(frame_of(values), 5)) == {(BROKEN, "")}


def test_a_neighborhood_of_which_nothing_crosses_is_said():
    shares = [("near", 0.005), ("far", 0.3)]
    crossing = [plain("crossing", {"original": v}, neighborhood=n) for n, v in shares]
    (flag,) = red_flags(pd.concat([frame_of(SOUND), *crossing]), 5)
    assert flag.name == EMPTY
    assert flag.reason == "0.50% of the points of near lie across the boundary"


def test_what_was_bought_with_retained_accuracy_is_said():
    frame = pd.concat(
        [
            frame_of(SOUND),
            frame_of({"delete": {"pra": 0.9, "else": 0.95}}, split="retain/test"),
            plain("accuracy", {"delete": 0.96}, "retain/test"),
        ]
    )
    (flag,) = red_flags(frame, 5)
    assert (flag.name, flag.method) == (BOUGHT, "delete")
    assert flag.reason == "pra costs 6.0 points of retained test accuracy"


def test_an_attack_that_any_image_feeds_is_said():
    shuffled = frame_of({"delete": {"nearest_mean": 0.3, "else": 0.1}}, support="shuffled")
    frame = pd.concat([frame_of(SOUND), shuffled])
    assert names(red_flags(frame, 5, chance=0.1)) == {(MISLED, "delete")}
