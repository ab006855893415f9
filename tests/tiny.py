"""A study that is made in seconds: the digits, a small network, a few epochs."""

import json
from dataclasses import asdict, replace

import yaml

from spotter_core.profiles import Cell, load_profile
from spotter_core.study import Study

CELL = Cell((3,), 0)
SHORT = {"batch_size": 32, "epochs": 4, "learning_rate": 0.001}
METHODS = {
    "retrain": {},
    "delete": SHORT,
    "spotter": {**SHORT, "epochs": 3, "twins": 2},
    "ssd": {},
    "random_label": {**SHORT, "learning_rate": 1e30},  # diverges
}


def tiny_profile(**changes):
    """The digits' profile with less of everything."""
    profile = load_profile("digits")
    small = {
        "model": {"name": "small_cnn", "width": 12},
        "recipe": profile.recipe | {"epochs": 5, "batch_size": 32},
        "methods": METHODS,
    }
    return replace(profile, **(small | changes))


def tiny_study(root, **changes):
    """A study of it."""
    return Study(tiny_profile(**changes), root=root)


def make_project(root):
    """A project folder whose profile ``mini`` is smaller still, with a method that diverges."""
    for name in ("notebooks", "spotter_core", "profiles"):
        (root / name).mkdir()
    methods = {"retrain": {}, "delete": SHORT, "random_label": METHODS["random_label"]}
    once = {"epochs": 1, "batch_size": 128, "learning_rate": 0.1}
    about = asdict(tiny_profile(methods=methods, recipe=once, jobs=None, name="mini"))
    del about["name"]
    plain = json.loads(json.dumps({k: v for k, v in about.items() if v is not None}))
    text = yaml.safe_dump(plain, sort_keys=False)
    (root / "profiles" / "mini.yaml").write_text(text, encoding="utf-8")
    return root
