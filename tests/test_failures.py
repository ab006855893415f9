"""Layer 1: why a model could not be made, kept."""

import json

import pytest
from damage import damages

from spotter_core.failures import FORMAT, failure_path, load_failure, read_failure, save_failure
from spotter_core.files import write_sealed


@pytest.fixture
def model(tmp_path):
    return tmp_path / "deep" / "delete.safetensors"


def test_a_reason_comes_back_for_the_same_settings_alone(model):
    assert load_failure(model, settings="abc") is None
    save_failure(model, settings="abc", reason="the loss is not finite: ε")
    assert failure_path(model).name == "delete.diverged.json"
    assert load_failure(model, settings="abc") == "the loss is not finite: ε"
    assert load_failure(model, settings="abd") is None


def test_with_any_byte_changed_or_cut_off_it_is_tried_again_with_a_word(model, caplog):
    save_failure(model, settings="abc", reason="x")
    for data in damages(failure_path(model).read_bytes()):
        caplog.clear()
        failure_path(model).write_bytes(data)
        assert load_failure(model, settings="abc") is None
        assert "the model is tried again" in caplog.text


@pytest.mark.parametrize("told", [{}, {"settings": "abc"}, {"settings": "abc", "reason": None}])
def test_a_record_without_its_keys_is_refused_and_counts_as_none(model, caplog, told):
    write_sealed(failure_path(model), json.dumps({"format": FORMAT, **told}))
    with pytest.raises(ValueError, match=r"delete.diverged.json lacks its settings or its reason"):
        read_failure(failure_path(model))
    assert load_failure(model, settings="abc") is None
    assert "the model is tried again" in caplog.text
