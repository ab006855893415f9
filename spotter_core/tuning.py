"""How the settings of a profile's methods are chosen: one rule, the same budget, no test image.

Layer 8. The rule, for every method alike, on the *validation* images of cells that are not reported
(a profile says whether they share a forget class or a seed with those that are):

1. A candidate is *sound* if forget accuracy is at most 1 % and retain accuracy within one point of
   the original's.
2. Of the sound candidates the one with the least OU / ln 2 + PRA is taken: over-unlearning in the
   headline neighborhood, plus the accuracy regained by the attacker's best alpha at any k.
3. If none is sound, the one that misses step 1 by the least.

``python -m spotter_core.tuning digits`` runs all candidates (``... digits neggrad`` those of one
method, ``... digits --go-on`` those that the log does not have), keeps a log beside the profile and
prints what the profile should say. It needs retained validation images, for every method alike; no
*method* reads them.
"""

import argparse
import itertools
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spotter_core.files import project_root, read_sealed, write_sealed
from spotter_core.methods import unlearn
from spotter_core.metrics import accuracy, over_unlearning
from spotter_core.profiles import Cell, Profile, load_profile, profiles_folder
from spotter_core.runtime import describe_run, seeded_generator
from spotter_core.study import Study
from spotter_core.training import Diverged, predict

log = logging.getLogger(__name__)
FORMAT = "spotter-tuning-1"
FORGET_AT_MOST = 0.01
RETAIN_LOSS_AT_MOST = 0.01


def candidates(profile: Profile, method: str) -> Iterator[dict[str, Any]]:
    """Yield every combination of a method's candidate values."""
    grid: dict[str, list[Any]] = profile.tuning["candidates"].get(method, {})
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def violation(score: Mapping[str, float]) -> float:
    """Return by how much a candidate misses soundness; 0 if it does not. Fractions."""
    forget = max(score["forget_accuracy"] - FORGET_AT_MOST, 0.0)
    return forget + max(score["retain_loss"] - RETAIN_LOSS_AT_MOST, 0.0)


def rank(score: Mapping[str, float]) -> tuple[float, float]:
    """Return what the rule minimises: soundness first, then OU and PRA together."""
    return violation(score), score["over_unlearning"] / math.log(2.0) + score["pra_accuracy"]


def choose(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return each method's settings by the rule, from the entries of a log."""
    chosen: dict[str, dict[str, Any]] = {}
    best: dict[str, tuple[float, float]] = {}
    for entry in entries:
        method, value = entry["method"], rank(entry["score"])
        if method not in best or value < best[method]:
            best[method], chosen[method] = value, entry["settings"]
    return chosen


def score(study: Study, cell: Cell, method: str, settings: dict[str, Any]) -> dict[str, float]:
    """Return a candidate's numbers on validation images, mean over nothing: one cell."""
    original, split = study.model(cell, "original"), study.split(cell)
    generator = seeded_generator(study.profile.dataset, cell.seed, method)
    model = unlearn(study.method(method, **settings), original, split, generator).model
    forget, retain = split.forget.validation, split.retain.validation
    pool = predict(model, split.forget.train.images).features
    target = predict(model, forget.images)
    known = study.predictions(cell, "original", "retain/validation").logits
    before = accuracy(known, retain.labels)
    after = accuracy(predict(model, retain.images).logits, retain.labels)
    near = study.near(cell, study.profile.headline, "forget/validation")
    shifted = predict(model, near.images).logits
    attacks = study.sweep()(
        model.head, pool, split.forget.train.labels, target, forget.labels, cell.forget
    )
    return {
        "forget_accuracy": accuracy(target.logits, forget.labels),
        "retain_loss": before - after,
        "over_unlearning": over_unlearning(near.logits, shifted, cell.forget).item(),
        "pra_accuracy": attacks.mean(dim=2).max().item(),
    }


def mean_score(study: Study, method: str, settings: dict[str, Any]) -> dict[str, float]:
    """Return a candidate's numbers, mean over the tuning cells; a diverged run is the worst."""
    try:
        scores = [
            score(study, Cell.parse(cell), method, settings)
            for cell in study.profile.tuning["cells"]
        ]
    except Diverged:
        return dict(
            forget_accuracy=1.0, retain_loss=1.0, over_unlearning=math.log(2.0), pra_accuracy=1.0
        )
    return {name: sum(s[name] for s in scores) / len(scores) for name in scores[0]}


def candidate(method: str, settings: Mapping[str, Any], score: object = None) -> str:
    """Return what identifies an entry of a log: all but its score."""
    return json.dumps([method, settings], sort_keys=True)


def log_path(profile: str) -> Path:
    """Return where the log of a profile's tuning is kept."""
    return profiles_folder() / f"{profile}.tuning.json"


def unfinished_path(profile: str) -> Path:
    """Return where the log is kept while a profile is being tuned."""
    return project_root() / "runs" / profile / "tuning.json"


def tune(
    name: str, methods: Sequence[str] = (), *, go_on: bool = False
) -> dict[str, dict[str, Any]]:
    """Run all candidates of a profile, write the log, and return the chosen settings.

    What is there after each candidate is kept in the run folder until the log is complete.

    Args:
        name: Of the profile.
        methods: Those to tune anew, the other methods' entries being kept; default all.
        go_on: Keep the entries of candidates that are still on offer.

    Entries are kept of the log and of a run that was killed, if they are of the profile's tuning
    cells; the code that made them is taken to be the same.
    """
    study = Study(load_profile(name))
    grid, cells = study.profile.tuning["candidates"], study.profile.tuning["cells"]
    asked = methods or list(grid)
    known: dict[str, Any] = {}
    if methods or go_on:
        kept = [*read_log(log_path(name), cells), *read_unfinished(name, cells)]
        known = {candidate(**e): e for e in kept}
    entries = [e for e in known.values() if e["method"] not in asked and e["method"] in grid]
    work = [
        (method, settings) for method in asked for settings in candidates(study.profile, method)
    ]
    about = {"cells": cells, **describe_run()}
    for method, settings in tqdm(work, desc="candidates"):
        entry = known.get(candidate(method, settings)) if go_on else None
        if entry is None:
            result = mean_score(study, method, settings)
            entry = {"method": method, "settings": settings, "score": result}
        entries.append(entry)
        save_log(unfinished_path(name), entries, about)
    save_log(log_path(name), entries, about)
    unfinished_path(name).unlink(missing_ok=True)
    return choose(entries)


def save_log(path: Path, entries: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write a log, one line a candidate."""
    lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries)
    head = json.dumps({"about": about, "format": FORMAT}, sort_keys=True)
    write_sealed(path, f'{head[:-1]}, "candidates": [\n{lines}\n]}}\n')


def read_unfinished(profile: str, cells: Sequence[str]) -> list[dict[str, Any]]:
    """Return the entries of a tuning that was killed; none, with a warning, of a damaged log."""
    try:
        return read_log(unfinished_path(profile), cells)
    except ValueError as error:
        log.warning("%s; its candidates are tried again", error)
        return []


def load_log(profile: str) -> list[dict[str, Any]]:
    """Return the entries of a profile's tuning log; none where there is no log."""
    return read_log(log_path(profile))


def read_log(path: Path, cells: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the entries of the log at ``path``; none where there is no file, or of other cells.

    Raises:
        ValueError: If it is cut short or damaged.
    """
    if not path.is_file():
        return []
    advice = "delete it and tune again"
    content = read_sealed(path, kind="tuning log", name=FORMAT, advice=advice)
    if cells is not None and content["about"]["cells"] != list(cells):
        return []
    entries: list[dict[str, Any]] = content["candidates"]
    return entries


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m spotter_core.tuning", description="Tune.")
    parser.add_argument("profile")
    parser.add_argument("methods", nargs="*", help="those to tune; default all")
    parser.add_argument("--go-on", action="store_true", help="keep what the log has")
    given = parser.parse_args()
    for method, settings in tune(given.profile, given.methods, go_on=given.go_on).items():
        print(f"  {method}: {json.dumps(settings)}")
