"""Every red flag is raised by rows that deserve it, and by no others."""

import pandas as pd
from made_rows import SOUND, frame_of, plain

from spotter_core.flags import BOUGHT, BROKEN, CLUSTERS, EMPTY, HEAD_LEVEL, MISLED, red_flags

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


def test_what_a_network_knew_before_is_no_proof_that_any_image_will_do():
    shuffled = frame_of({"delete": {"else": 0.3}}, support="shuffled")
    known = plain("accuracy", {"original": 0.99, "retrain": 0.0, "delete": 0.28})
    assert red_flags(pd.concat([frame_of(SOUND), shuffled, known]), 5, chance=0.1) == []


def test_an_attack_need_not_find_more_than_the_original_knew():
    values = SOUND | {"original": {"else": 0.84}}
    known = plain("accuracy", {"original": 0.88, "retrain": 0.0, "delete": 0.0})
    assert red_flags(pd.concat([frame_of(values), known]), 5) == []
    assert {f.name for f in red_flags(frame_of(values), 5)} == {BROKEN}
