"""Layer 8: the common embedding, kept. UMAP itself, which compiles long, is tested on its own."""

import numpy as np
import pytest
import torch
from tiny import CELL, tiny_study

from spotter_core import maps
from spotter_core.maps import embedding_map, has_map, map_path
from spotter_core.training import predict

MODELS = ["original", "retrain", "delete"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny_study(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def fits(monkeypatch, study):
    """Every call of the embedding, which is two of the features; no map is there yet."""
    calls = []

    def embed(features, labels, *, seed):
        calls.append(seed)
        return {name: rows[:, :2].double().numpy() for name, rows in features.items()}

    monkeypatch.setattr(maps, "common_embedding", embed)
    map_path(study, CELL, MODELS).unlink(missing_ok=True)
    return calls


def same(one, other):
    return (
        torch.equal(one.images.images, other.images.images)
        and torch.equal(one.labels, other.labels)
        and list(one.coordinates) == list(other.coordinates)
        and all(np.array_equal(p, other.coordinates[m]) for m, p in one.coordinates.items())
        and all(torch.equal(f, other.features[m]) for m, f in one.features.items())
    )


def test_a_map_is_fitted_once_and_equal_when_it_is_loaded(study, fits):
    assert not has_map(study, CELL, MODELS)
    first = embedding_map(study, CELL, MODELS)
    assert has_map(study, CELL, MODELS)
    assert same(first, embedding_map(study, CELL, MODELS))
    assert fits == [0]


@pytest.mark.parametrize("keep", [0, 20, 500])
def test_a_map_that_is_cut_short_is_made_anew(study, fits, keep):
    first = embedding_map(study, CELL, MODELS)
    path = map_path(study, CELL, MODELS)
    path.write_bytes(path.read_bytes()[:keep])
    assert not has_map(study, CELL, MODELS)
    assert same(first, embedding_map(study, CELL, MODELS))
    assert fits == [0, 0]


def test_a_map_with_a_flipped_bit_is_made_anew_with_a_word(study, fits, caplog):
    first = embedding_map(study, CELL, MODELS)
    path = map_path(study, CELL, MODELS)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert not has_map(study, CELL, MODELS)
    assert same(first, embedding_map(study, CELL, MODELS))
    assert fits == [0, 0]
    assert "does not match its digest" in caplog.text


def test_a_map_of_a_model_that_has_changed_is_made_anew(study, fits, monkeypatch):
    embedding_map(study, CELL, MODELS)
    own = study.fingerprint
    monkeypatch.setattr(study, "fingerprint", lambda cell, m: own(cell, m) + "+" * (m == "delete"))
    assert not has_map(study, CELL, MODELS)


def test_another_seed_or_draw_is_another_map(study, fits):
    first = embedding_map(study, CELL, MODELS)
    other = embedding_map(study, CELL, MODELS, seed=1)
    assert not torch.equal(first.images.labels, other.images.labels)
    few = embedding_map(study, CELL, MODELS, most=50)
    assert len(few.images) == 50
    assert fits == [0, 1, 0]
    assert torch.equal(few.images.images, first.images.images[:50])


def test_rows_belong_to_their_images_and_the_last_are_prototypes(study):
    found = embedding_map(study, CELL, MODELS)
    count = len(found.images)
    for method in MODELS:
        own = predict(study.model(CELL, method), found.images.images).features
        rows = torch.nn.functional.normalize(own, dim=1)
        torch.testing.assert_close(found.features[method][:count], rows, atol=1e-5, rtol=0)
        mean = torch.nn.functional.normalize(own[found.images.labels == 3].mean(dim=0), dim=0)
        torch.testing.assert_close(found.features[method][count], mean, atol=1e-5, rtol=0)
        assert found.coordinates[method].shape == (count + 1, 2)
    assert found.labels[count] == 3
    assert torch.equal(found.labels[:count], found.images.labels.cpu())
