"""The notebooks on photographs' terms: colour, a forget set of two, a method that has diverged.

Their code cells run in this process, on a made folder of tiny images; 05 is left to `make study`,
since UMAP takes longer than all the others together. In 05b, where it is only for the film, two
principal components stand in for it.
"""

import json
import logging
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from PIL import Image

mpl.use("Agg")
import matplotlib.pyplot as plt

from spotter_core import motion
from spotter_core.results import load_rows

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
NAMES = ("airplane", "automobile", "bird", "cat")
CELLS = ["forget1-seed0", "forget0+2-seed0"]
SHORT = {"epochs": 1, "batch_size": 16}
PROFILE = {
    "label": "Made colour",
    "model": {"name": "small_cnn", "width": 4},
    "recipe": {"epochs": 15, "batch_size": 16, "learning_rate": 0.05},
    "forget": [[1], [0, 2]],
    "seeds": [0],
    "methods": {
        "retrain": {},
        "finetune": SHORT,
        "random_label": {**SHORT, "learning_rate": 1e30},
        "ssd": {},
        "delete": SHORT,
        "spotter": {**SHORT, "epochs": 2},
        "spotter+salun": SHORT,
    },
    "neighborhoods": {
        "PGD toward": {"kind": "boundary", "epsilon": 0.03, "step": 0.01, "steps": 3},
        "Gaussian": {"kind": "gaussian", "sigma": 0.01},
        "published PGD": {
            "kind": "published",
            "noise": "pgd",
            "epsilon": 0.03,
            "step": 0.01,
            "steps": 3,
        },
    },
    "curves": ["PGD toward"],
    "epsilons": [0.01, 0.03],
    "shots": [1, 5],
    "alphas": [0.5, 0.8, 1.0],
    "supports": 3,
    "attacks": [{"metric": "cosine"}, {"metric": "l2"}, {"metric": "cosine", "scale": 1.0}],
    "evaluated": 30,
    "ablation": {"lambda_1": [1.0], "lambda_2": [0.0], "neighborhood.epsilon": [0.01]},
    "tuning": {"cells": [], "candidates": {}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder with a profile of its own, its images and its run."""
    root, draw = tmp_path_factory.mktemp("project"), np.random.default_rng(0)
    patterns = draw.uniform(0.1, 0.9, (len(NAMES), 8, 8, 3))
    for (c, name), (part, count) in ((x, y) for x in enumerate(NAMES) for y in SIZES):
        folder = root / "images" / part / name
        folder.mkdir(parents=True)
        for i in range(count):
            picture = (patterns[c] + draw.normal(0, 0.15, patterns[c].shape)).clip(0, 1)
            Image.fromarray((255 * picture).astype(np.uint8)).save(folder / f"{i:02}.png")
    for name in ("notebooks", "spotter_core", "profiles"):
        (root / name).mkdir()
    profile = {**PROFILE, "dataset": f"folder:{root / 'images'}"}
    (root / "profiles" / "made.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    return root


SIZES = (("train", 24), ("test", 8))


def principal(features_by_model, labels, **_):
    axes = np.linalg.svd(next(iter(features_by_model.values())).double().numpy())[2][:2].T
    return {name: rows.double().numpy() @ axes for name, rows in features_by_model.items()}


@pytest.fixture
def run(project, monkeypatch):
    """``run("03")`` executes the code cells of a notebook; returns its names at the end."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(motion, "common_embedding", principal)

    def call(number, cells):
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        names = {"__name__": path.stem}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                source = compile("".join(cell["source"]), f"{path.stem}, {cell['id']}", "exec")
                exec(source, names)
                if "parameters" in cell["metadata"].get("tags", []):
                    names |= {"profile": "made", "cells": cells, "run": "run", "figures": "drawn"}
        return names

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "An input array is constant")  # ranks of equal numbers
        yield call
    plt.close("all")


@pytest.mark.parametrize("number", ["00", "01", "03", "04", "05b", "06", "07", "09"])
def test_a_notebook_runs_on_a_folder_of_colour_images(run, project, number):
    names = run(number, CELLS)
    assert [str(cell) for cell in names["cells"]] == CELLS
    found = (project / "drawn").glob(f"{number}_*.json")
    (kept,) = (path for path in found if not path.name.endswith("keyframes.json"))
    shown = {row.method for row in load_rows(kept) if row.measure != "diverged"}
    assert {"original", "retrain"} <= shown
    assert "random_label" not in shown
    assert list((project / "drawn").glob(f"{number}_*.png"))


def test_a_notebook_runs_on_one_cell_of_several_forget_classes_and_claims_no_more(run, capsys):
    names = run("04", CELLS[1:])
    assert set(names["shown"]["verdict", ""]) == {"open: one cell"}
    assert "random_label" not in names["left"]
