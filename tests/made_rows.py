"""Rows of attacks as they could have been measured: made up, to test what is read from them."""

import pandas as pd

ATTACKS = ("pra", "pra_calibrated", "nearest_mean", "nearest_image", "linear_probe")
RUNS = [("3", 0), ("3", 1), ("8", 0), ("8", 1)]


def frame_of(values, *, shots=5, runs=RUNS, support="own", split="forget/test"):
    """Rows of ``relearned``: ``values[method][attack]`` is a number, or one for each run."""
    lines = []
    for method, by_attack in values.items():
        for attack in ATTACKS:
            found = by_attack.get(attack, by_attack.get("else", 0.5))
            each = found if isinstance(found, list) else [found] * len(runs)
            for (forget, seed), value in zip(runs, each, strict=True):
                lines.append(
                    {
                        "method": method,
                        "forget": forget,
                        "seed": seed,
                        "split": split,
                        "measure": "relearned",
                        "attack": attack,
                        "shots": shots,
                        "support": support,
                        "value": value,
                    }
                )
    return pd.DataFrame(lines)


def plain(measure, values, split="forget/test", **more):
    lines = [
        {"method": m, "forget": f, "seed": s, "split": split, "measure": measure, "value": v} | more
        for m, v in values.items()
        for f, s in RUNS
    ]
    return pd.DataFrame(lines)


SOUND = {
    "original": {"else": 0.99},
    "retrain": {"else": [0.5, 0.7, 0.2, 0.3]},
    "delete": {"else": 0.6},
    "untrained": {"else": 0.3},
}
