"""Layer 8: rows along a run against the network that it left, and against single moments."""

from dataclasses import replace

import pytest
import torch
from test_study import CELL, TINY, tiny

from spotter_core.measurements import by_epoch, vital_signs
from spotter_core.methods import unlearn
from spotter_core.metrics import accuracy
from spotter_core.results import to_frame
from spotter_core.runtime import seeded_generator
from spotter_core.training import predict

LONG = {"epochs": 20, "batch_size": 64, "learning_rate": 0.0003}
METHODS = TINY.methods | {"delete": LONG, "ssd": {}}
MODELS = ["original", *METHODS]
SIGNS = [("forget/test", "accuracy"), ("retain/test", "accuracy")]
SIGNS += [("forget/test", "over_unlearning"), ("forget/test", "mean_cosine")]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("by_epoch"), methods=METHODS)


@pytest.fixture(scope="module")
def frame(study):
    return to_frame(by_epoch(study, CELL, MODELS))


def numbers(rows):
    return {(r.split, r.measure): r.value for r in rows.itertuples() if r.measure != "epochs"}


@pytest.mark.parametrize("method", ["neggrad", "spotter", "delete"])
def test_a_run_ends_with_the_numbers_of_the_studys_own_network(study, frame, method):
    own = frame[(frame["method"] == method) & frame["term"].isna() & frame["epoch"].notna()]
    ended = numbers(own[own["epoch"] == own["epoch"].max()])
    known = vital_signs(study, CELL, method, study.model(CELL, method))
    for row in known:
        if (row.split, row.measure) in SIGNS:
            assert ended.pop((row.split, row.measure)) == pytest.approx(row.value, abs=1e-9)
    assert ended == {}


def test_a_moment_on_the_way_is_that_of_a_run_stopped_there(study, frame):
    """Epoch 6 of 20 against a run of six, trained and measured here."""
    short = replace(study.method("delete"), epochs=6)
    generator = seeded_generator(study.profile.dataset, CELL.seed, "delete")
    result = unlearn(short, study.model(CELL, "original"), study.split(CELL), generator)
    row = frame[(frame["method"] == "delete") & (frame["epoch"] == 6)]
    for side in ("forget/test", "retain/test"):
        part = study.part(CELL, side)
        share = accuracy(predict(result.model, part.images).logits, part.labels)
        found = row[(row["split"] == side) & (row["measure"] == "accuracy")]["value"].item()
        assert found == share
    loss = row[row["measure"] == "training_loss"].set_index("term")["value"]
    assert loss.to_dict() == pytest.approx(result.history[-1])


def test_moments_are_dense_at_the_start_and_losses_begin_after_it(frame):
    own = frame[frame["method"] == "delete"]
    epochs = own[own["measure"] == "mean_cosine"]["epoch"].tolist()
    assert epochs[:6] == [0, 1, 2, 3, 4, 5]
    assert epochs[-1] == 20
    assert len(epochs) == 14
    assert own[own["measure"] == "training_loss"]["epoch"].tolist() == epochs[1:]
    terms = set(frame[frame["method"] == "spotter"]["term"].dropna())
    assert terms == {"loss", "unlearning", "over_unlearning", "dispersion"}


def test_yardsticks_have_four_numbers_and_no_epoch(study, frame):
    for method in ("original", "retrain"):
        own = frame[frame["method"] == method]
        assert list(zip(own["split"], own["measure"], strict=True)) == SIGNS
        assert own["epoch"].isna().all()
        hit = predict(study.model(CELL, method), study.part(CELL, "forget/test").images).logits
        assert own["value"].iloc[0] == (hit.argmax(1) == 3).double().mean()
    begin = frame[(frame["epoch"] == 0) & (frame["measure"] == "over_unlearning")]["value"]
    assert begin.nunique() == 1


def test_what_does_not_descend_is_left_out_and_said_so(study, frame, caplog):
    own = frame[frame["method"] == "ssd"]
    assert own[["measure", "value"]].to_numpy().tolist() == [["epochs", 0]]
    by_epoch(study, CELL, ["ssd"])
    assert "ssd is not followed" in caplog.text


def test_looking_draws_from_no_generator(study):
    before = torch.get_rng_state()
    by_epoch(study, CELL, ["original", "neggrad"])
    assert torch.equal(torch.get_rng_state(), before)
