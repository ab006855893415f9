"""Layer 9: two runs on one line of moments. A plain projection stands in for UMAP but once."""

import numpy as np
import pytest
import torch
from test_study import CELL, TINY, tiny

from spotter_core import motion
from spotter_core.keyframes import load_keyframes, save_keyframes
from spotter_core.motion import keyframes
from spotter_core.training import predict

METHODS = TINY.methods | {
    "delete": {"epochs": 4, "batch_size": 64, "learning_rate": 0.0003},
    "ssd": {},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("motion"), methods=METHODS)


def plane(rows):
    """Not the first two features: those of a tiny network may be dead."""
    draw = torch.Generator().manual_seed(0)
    return (rows.double() @ torch.randn(rows.shape[1], 2, generator=draw).double()).numpy()


@pytest.fixture
def asked(monkeypatch):
    """What the embedding was asked; its answer is a random projection, the same for all."""
    calls = []

    def projected(tables, labels, **options):
        calls.append((list(tables), len(labels), options))
        return {name: plane(rows) for name, rows in tables.items()}

    monkeypatch.setattr(motion, "common_embedding", projected)
    return calls


def test_the_line_goes_from_one_end_through_the_original_to_the_other(study, asked):
    frames = keyframes(study, CELL, ["delete", "spotter"])
    ((names, count, _),) = asked
    assert names == [
        *("retrain", "delete 4", "delete 3", "delete 2", "delete 1", "original"),
        *("spotter 1", "spotter 2"),
    ]
    assert frames.runs["delete"].epochs == (0, 1, 2, 3, 4)
    assert frames.runs["spotter"].epochs == (0, 1, 2)
    starts = [run.points[0] for run in frames.runs.values()]
    np.testing.assert_array_equal(*starts)
    assert count == len(frames.labels) == len(frames.oracle)


def test_points_and_numbers_are_those_of_the_networks(study, asked):
    frames = keyframes(study, CELL, ["delete", "spotter"])
    images, labels = motion.pictured(study, CELL)
    ends = {"spotter": frames.runs["spotter"].points[-1], "retrain": frames.oracle}
    raw = [plane(predict(study.model(CELL, m), images).features) for m in ends]
    rise = [np.linalg.norm(x - x[0], axis=1) for x in raw]
    drawn = [np.linalg.norm(x - x[0], axis=1) for x in ends.values()]
    scale = rise[0].max() / drawn[0].max()  # one for all of them
    for a, b in zip(rise, drawn, strict=True):
        np.testing.assert_allclose(a, scale * b, atol=2e-3 * a.max())
    np.testing.assert_array_equal(frames.labels, labels.numpy())
    forget = study.part(CELL, "forget/test")
    hit = predict(study.model(CELL, "delete"), forget.images).logits.argmax(1) == forget.labels
    assert frames.runs["delete"].numbers[-1]["forget_accuracy"] == hit.double().mean().item()
    assert frames.runs["delete"].numbers[0] == frames.yardsticks["original"]


def test_both_sides_are_sampled_and_the_draw_stays(study):
    images, labels = motion.pictured(study, CELL)
    assert (labels == 3).sum() == min(motion.FORGET, len(study.part(CELL, "forget/test")))
    assert (labels != 3).sum() == motion.RETAIN
    assert torch.equal(images, motion.pictured(study, CELL)[0])


def test_kept_keyframes_are_loaded_while_they_are_true(study, asked, tmp_path):
    path = tmp_path / "frames.json"
    frames = keyframes(study, CELL, ["spotter"], kept=path)
    save_keyframes(path, frames)
    assert keyframes(study, CELL, ["spotter"], kept=path).about == frames.about
    assert len(asked) == 1
    assert asked[0][0] == ["retrain", "spotter 2", "spotter 1", "original"]
    keyframes(study, CELL, ["spotter"], kept=path, seed=1)
    path.write_text("{", encoding="utf-8")
    keyframes(study, CELL, ["spotter"], kept=path)
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([], "methods must be one or two that differ"),
        (["spotter", "spotter"], "methods must be one or two that differ"),
        (["spotter", "delete", "neggrad"], "methods must be one or two that differ"),
        (["original"], "'original' does not: leave it out"),
        (["spotter", "retrain"], "'retrain' does not: leave it out"),
        (["ssd"], "'ssd' does not: leave it out"),
    ],
)
def test_what_has_no_way_is_refused_before_any_work(study, asked, methods, message):
    with pytest.raises(ValueError, match=message):
        keyframes(study, CELL, methods)
    assert asked == []


@pytest.mark.slow
def test_equal_seeds_give_equal_files_though_umap_ran_between(study, tmp_path):
    for name in ("a", "b"):
        save_keyframes(tmp_path / name, keyframes(study, CELL, ["delete", "spotter"], moments=3))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = load_keyframes(tmp_path / "a")
    assert found.about["trustworthiness"] > 0.8
    assert np.abs(found.oracle).max() <= 1.0
