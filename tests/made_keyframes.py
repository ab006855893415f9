"""Keyframes as they could have been stored: two short runs of 24 samples in three classes."""

import numpy as np

from spotter_core.keyframes import SIGNS, Keyframes, Run

COUNT = 24


def numbers(value):
    return dict.fromkeys(SIGNS, value)


def made_run(epochs, *, seed, count=COUNT):
    steps = np.random.default_rng(seed).normal(0, 0.05, (len(epochs), count, 2))
    steps[0] = 0.0
    start = np.random.default_rng(9).uniform(-0.6, 0.6, (count, 2))
    values = tuple(numbers(1.0 - i / len(epochs)) for i in range(len(epochs)))
    return Run(tuple(epochs), (start + steps.cumsum(axis=0)).round(4), values)


def made_keyframes(**changes):
    runs = {"delete": made_run([0, 1, 2], seed=1), "spotter": made_run([0, 1, 2, 5], seed=2)}
    fields = {
        "title": "Digits, forgetting one",
        "class_names": ("zero", "one", "two"),
        "forget_classes": (1,),
        "labels": np.arange(COUNT) % 3,
        "oracle": runs["delete"].points[0] + 0.01,
        "yardsticks": {"original": numbers(1.0), "retrain": numbers(0.25)},
        "runs": runs,
        "about": {"cell": "forget1-seed0"},
    }
    return Keyframes(**(fields | changes))
