"""One bit of a file on disk is another: found when it is read, and what it held is made anew."""

import pytest
import torch
from tiny import CELL, tiny_study

from spotter_core import measurements

MODELS = ["original", "delete"]


@pytest.fixture
def study(tmp_path):
    """A study of two models and one table."""
    made = tiny_study(tmp_path / "run", methods={"delete": {"batch_size": 32, "epochs": 1}})
    made.measured(measurements.accuracies, CELL, MODELS)
    return made


def again(study):
    """The study as another process sees it."""
    return tiny_study(study.root, methods=study.profile.methods)


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("model", MODELS)
def test_a_flipped_bit_in_weights_is_found_and_they_are_made_anew(study, caplog, model, share):
    path = study.path(CELL, model)
    before = study.model(CELL, model).state_dict()
    flip(path, int(share * path.stat().st_size))
    found = again(study).model(CELL, model).state_dict()
    assert all(torch.equal(found[name], value) for name, value in before.items())
    assert path.name in caplog.text


def test_a_flipped_bit_in_a_number_of_a_table_is_found_and_it_is_measured_anew(study, caplog):
    path = study.rows_path("accuracies", CELL)
    before = path.read_bytes()
    digits = [i for i, byte in enumerate(before) if chr(byte) in "2468"]
    flip(path, digits[-1])  # still a number
    again(study).measured(measurements.accuracies, CELL, MODELS)
    assert path.read_bytes() == before
    assert path.name in caplog.text
