"""Layer 4: several models in one common picture."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spotter_core.embedding import common_embedding, with_prototypes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clouds():
    """90 points of three well separated directions in 12 dimensions, as two models see them."""
    labels = torch.arange(90) % 3
    centres = torch.eye(12)[:3] * 3
    base = centres[labels] + 0.25 * torch.randn(90, 12, generator=seeded(1))
    return {
        "original": base,
        "unlearned": base + 0.05 * torch.randn(90, 12, generator=seeded(2)),
    }, labels


@pytest.mark.slow
def test_one_common_space_is_finite_faithful_aligned_and_repeatable(clouds):
    """One test, because the first call of a process compiles for many seconds."""
    from sklearn.manifold import trustworthiness

    features, labels = clouds
    threads = torch.get_num_threads()
    space, again = (
        common_embedding(features, labels, seed=0, neighbors=10, epochs=60) for _ in range(2)
    )
    assert torch.get_num_threads() == threads
    assert list(space) == ["original", "unlearned"]
    for name, points in space.items():
        assert points.shape == (len(labels), 2)
        assert points.dtype == np.float64
        assert np.isfinite(points).all()
        assert np.array_equal(points, again[name])
        table = F.normalize(features[name], dim=1).numpy()
        assert trustworthiness(table, points, n_neighbors=10, metric="cosine") > 0.85
    moved = np.linalg.norm(space["original"] - space["unlearned"], axis=1).mean()
    assert moved < 0.3 * space["original"].std()


def test_prototypes_are_the_mean_direction_of_their_class():
    features = torch.tensor([[2.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    rows, labels = with_prototypes(features, torch.tensor([5, 5, 1]), [5])
    assert labels.tolist() == [5, 5, 1, 5]
    torch.testing.assert_close(rows[3], F.normalize(torch.tensor([1.0, 1.0]), dim=0))
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    with pytest.raises(ValueError, match="forget class 2"):
        with_prototypes(features, torch.tensor([5, 5, 1]), [2])


def test_bad_input_is_refused_before_umap_is_asked(clouds):
    features, labels = clouds
    with pytest.raises(ValueError, match="two models"):
        common_embedding({"original": features["original"]}, labels, seed=0)
    with pytest.raises(ValueError, match=r"got 15 for N = 10 samples"):
        common_embedding({n: f[:10] for n, f in features.items()}, labels[:10], seed=0)
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        common_embedding(features, labels, seed=0, window=0)
    with pytest.raises(ValueError, match="one row a label"):
        common_embedding(features, labels[:-1], seed=0)
    broken = {**features, "unlearned": features["unlearned"] * torch.nan}
    with pytest.raises(ValueError, match="NaN"):
        common_embedding(broken, labels, seed=0)


def test_importing_the_module_does_not_import_umap():
    code = "import sys, spotter_core.embedding; sys.exit('umap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
