"""The search for an objective that no attack tells from an oracle: candidates, ablations, verdicts.

Layer 9. ``python -m spotter_core.search digits`` scores all candidates on *validation* images of
the profile's tuning cells, takes one by the rule, and then scores that one, what becomes of it
without each of its ingredients, Spotter and DELETE once on *test* images of the reported cells.
Rows and a table are left in the figures of the profile.

What an ablation on test images suggests was not chosen by any rule; ``--confirm`` scores it where
nobody has looked yet: on test images of classes that are neither reported nor tuned on, with seeds
of their own.

The rule: of the candidates that are sound (see :mod:`~spotter_core.tuning`) and shift the
neighborhood no more than Spotter does, the one of least largest distance from the oracles over all
attacks and k (:mod:`~spotter_core.equivalence`).

Where candidates are scored on validation images, the attacker has one half of them to choose
settings and threshold on and is scored on the other, and the reverse. An oracle counts if it is
sound as well: a training that went wrong does not tell what ignorance looks like.
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from spotter_core.attacks import HEAD_ATTACKS, Seen
from spotter_core.attacks.battery import HeadBattery
from spotter_core.equivalence import Scored, compared, in_markdown, regained_table
from spotter_core.files import project_root, settings_hash, write_text_atomically
from spotter_core.measurements.layer_sweep import FEATURE_ATTACKS
from spotter_core.methods import ForgetOnlyMethod, unlearn
from spotter_core.methods.adversarial_probe import AdversarialProbe
from spotter_core.metrics import accuracy, conditional_shift, mean_cosine_similarity
from spotter_core.models import Classifier
from spotter_core.profiles import Cell, Profile
from spotter_core.results import Row, load_rows, save_rows
from spotter_core.runtime import describe_run, seeded_generator
from spotter_core.scores import ORACLE
from spotter_core.settings import build_neighborhood
from spotter_core.stages import stage_features
from spotter_core.study import Study
from spotter_core.training import predict

GRID = {"probe": (0.3, 0.5, 0.7), "mixture": (0.3, 0.5, 1.0)}
WITHOUT: dict[str, dict[str, float]] = {
    "probe": {"probe": 0.0},
    "mixture": {"mixture": 0.0},
    "own deviation": {"deviation": 0.0},
    "stand-ins' distillation": {"distil": 0.0},
    "stand-ins' features kept": {"keep": 0.0},
    "twins": {"lambda_1": 1.0},
}
"""Ingredients, and the settings that leave each out."""
CONFIRMED: dict[str, dict[str, float]] = {
    "probe 0.5, mixture 0.3": {"probe": 0.5, "mixture": 0.3},
    "probe 0.3, mixture 0.3": {"probe": 0.3, "mixture": 0.3},
    "probe 0, mixture 0.3": {"probe": 0.0, "mixture": 0.3},
    "probe 0, mixture 1": {"probe": 0.0, "mixture": 1.0},
}
"""What was asked of classes never used, before any of their images was looked at: the choice, and
the mixture alone."""
FRESH_SEED = 200
REFERENCES = ("spotter", "delete")
ORACLES = 12
"""Trained for each set of forget classes."""
DRAWS = 10
SHOTS = (1, 5, 10, 50)


def configured(profile: Profile, **settings: Any) -> ForgetOnlyMethod:
    """Return the method with the profile's optimisation and twins of Spotter, and ``settings``."""
    shared = ("learning_rate", "epochs", "batch_size", "twins", "neighborhood")
    ready = {k: v for k, v in profile.methods["spotter"].items() if k in shared}
    if isinstance(ready.get("neighborhood"), Mapping):
        ready["neighborhood"] = build_neighborhood(**ready["neighborhood"])
    return AdversarialProbe().with_settings(**(ready | settings))


def candidates() -> dict[str, dict[str, float]]:
    """Return every candidate's settings by name."""
    found = {}
    for values in itertools.product(*GRID.values()):
        settings = dict(zip(GRID, values, strict=True))
        found[", ".join(f"{name} {value:g}" for name, value in settings.items())] = settings
    return found


# --- one model ------------------------------------------------------------------------------------


def folds(parts: Mapping[str, Seen], cell: Cell, scored: Scored) -> Iterator[tuple[Seen, Seen]]:
    """Yield forget and retained samples that the attacker chooses on, and those of his score."""
    if scored == "test":
        yield joined(parts, "validation"), joined(parts, "test")
        return
    both, generator = joined(parts, "validation"), seeded_generator("folds", cell.classes)
    side = torch.isin(both.labels, torch.tensor(cell.forget, device=both.labels.device))
    first = torch.zeros_like(side)
    for mask in (side, ~side):
        index = mask.nonzero()[:, 0]
        order = torch.randperm(len(index), generator=generator).to(index.device)
        first[index[order[: len(index) // 2]]] = True
    yield both.pick(first), both.pick(~first)
    yield both.pick(~first), both.pick(first)


def joined(parts: Mapping[str, Seen], name: str) -> Seen:
    """Return forget and retained samples of a part in one."""
    pair = zip(parts[f"forget/{name}"], parts[f"retain/{name}"], strict=True)
    return Seen(*(torch.cat(values) for values in pair))


def attacked(
    model: Classifier, parts: Mapping[str, Seen], cell: Cell, scored: Scored, stage: str | None
) -> dict[tuple[str, int], float]:
    """Return accuracy regained on forget samples by (attack, k), mean over folds and draws."""
    attacks = tuple(HEAD_ATTACKS.values()) if stage is None else FEATURE_ATTACKS
    pool = parts["forget/train"]
    fewest = int(pool.labels.unique(return_counts=True)[1].min())
    battery = HeadBattery(
        attacks, shots=tuple(k for k in SHOTS if k <= fewest), seeds=tuple(range(DRAWS))
    )
    sums: dict[tuple[str, int], float] = {}
    weights = 0
    for validation, target in folds(parts, cell, scored):
        own = torch.isin(target.labels, torch.tensor(cell.forget, device=target.labels.device))
        outcomes = battery(
            model.head,
            cell.forget,
            pool=pool,
            reference=parts["retain/train"],
            validation=validation,
            targets={"forget/test": target.pick(own), "retain/test": target.pick(~own)},
        )
        count = int(own.sum())
        weights += count
        for o in outcomes:
            key, mean = (o.attack, o.shots), o.accuracy["forget/test"].mean().item()
            sums[key] = sums.get(key, 0.0) + count * mean
    return {key: total / weights for key, total in sums.items()}


def measured(study: Study, cell: Cell, name: str, model: Classifier, scored: Scored) -> list[Row]:
    """Return all rows of one model; no test image is looked at unless ``scored`` says so."""
    used = ("train", "validation") + (("test",) if scored == "test" else ())
    where = [f"{side}/{part}" for side in ("forget", "retain") for part in used]
    images = {w: study.part(cell, w).pixels() for w in where}
    labels = {w: study.part(cell, w).labels for w in where}
    parts = {w: Seen.of(predict(model, images[w]), labels[w]) for w in where}
    rows: list[Row] = []

    def add(measure: str, value: float, unit: str, split: str, **at: Any) -> None:
        known = settings_hash(["search", name])
        of = (study.profile.label, study.arch, name, cell.classes, cell.seed)
        rows.append(Row(*of, split, measure, value, unit, known, at))

    def regained(by: dict[tuple[str, int], float], **at: Any) -> None:
        for (attack, k), value in by.items():
            own = {"attack": attack, "shots": k, "support": "own", **at}
            add("relearned", value, "fraction", f"forget/{scored}", **own)

    regained(attacked(model, parts, cell, scored, None))
    if scored == "test":  # the choice is made at the head; what lies before it is reported
        found = {w: stage_features(model, images[w]) for w in where}
        for stage in found[where[0]]:
            own = {w: parts[w]._replace(features=found[w][stage].double()) for w in where}
            regained(attacked(model, own, cell, scored, stage), stage=stage)
    original = study.model(cell, "original")
    for part in used[1:]:
        retain, forget = parts[f"retain/{part}"], parts[f"forget/{part}"]
        before = accuracy(predict(original, images[f"retain/{part}"]).logits, retain.labels)
        lost = before - accuracy(retain.logits, retain.labels)
        add("retain_loss", lost, "fraction", f"retain/{part}")
        add("accuracy", accuracy(forget.logits, forget.labels), "fraction", f"forget/{part}")
        cosine = mean_cosine_similarity(forget.features, forget.labels)
        add("mean_cosine", cosine, "cosine", f"forget/{part}")
    near = study.near(cell, study.profile.headline, f"forget/{scored}")
    shift = conditional_shift(near.logits, predict(model, near.images).logits, cell.forget)
    add("conditional_shift", shift.item(), "nats", f"forget/{scored}")
    return rows


# --- many -----------------------------------------------------------------------------------------


def of_oracles(study: Study, cells: Sequence[Cell], scored: Scored) -> list[Row]:
    """Return rows of the oracles of the cells' classes; each is one more seed's."""
    first = min(cell.seed for cell in cells)
    rows = []
    for forget in dict.fromkeys(cell.forget for cell in cells):
        for seed in tqdm(range(first, first + ORACLES), desc=f"oracles without {forget}"):
            cell = Cell(forget, seed)
            rows += measured(study, cell, ORACLE, study.model(cell, ORACLE), scored)
    return rows


def of_methods(
    study: Study, cells: Sequence[Cell], methods: Mapping[str, ForgetOnlyMethod], scored: Scored
) -> list[Row]:
    """Return rows of methods by name, and of the references."""
    rows = []
    for cell in tqdm(cells, desc="cells"):
        for name in REFERENCES:
            rows += measured(study, cell, name, study.model(cell, name), scored)
        for name, method in tqdm(methods.items(), desc=str(cell), leave=False):
            generator = seeded_generator(study.profile.dataset, cell.seed, "search")
            made = unlearn(method, study.model(cell, "original"), study.split(cell), generator)
            rows += measured(study, cell, name, made.model, scored)
    return rows


def chosen(table: pd.DataFrame, known: Mapping[str, Any]) -> str:
    """Return the candidate that the rule takes; of none that is eligible the nearest."""
    own = table[table.index.isin(list(known))]
    return str(own.sort_values(["eligible", "largest"], ascending=[False, True]).index[0])


def search(profile: str, root: Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score, choose, report; return the tables on validation and on test images."""
    study = Study(profile, root=root)
    folder = project_root() / "figures" / study.profile.name
    about = {"profile": study.profile.name, "versions": describe_run()}
    cells = [Cell.parse(cell) for cell in study.profile.tuning["cells"]]
    known = candidates()
    methods = {name: configured(study.profile, **own) for name, own in known.items()}
    rows = of_oracles(study, cells, "validation")
    rows += of_methods(study, cells, methods, "validation")
    save_rows(folder / "beyond_validation.json", rows, about=about)
    tried = compared(rows, "validation")
    best = chosen(tried, known)
    report = {best: methods[best]}
    for name, without in WITHOUT.items():
        report[f"without {name}"] = configured(study.profile, **(known[best] | without))
    cells = study.profile.cells
    final = of_oracles(study, cells, "test") + of_methods(study, cells, report, "test")
    save_rows(folder / "beyond_test.json", final, about=about | {"chosen": best})
    return report_on(folder)


def fresh_cells(study: Study) -> list[Cell]:
    """Return cells, four at most, of classes that are neither reported nor tuned on."""
    known = [*study.profile.cells, *map(Cell.parse, study.profile.tuning["cells"])]
    used = {c for cell in known for c in cell.forget}
    left = [c for c in range(study.dataset.num_classes) if c not in used]
    return [Cell((c,), FRESH_SEED + i) for i, c in enumerate(left[:4])]


def confirm(profile: str, root: Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score what is to be confirmed in fresh cells, and write all tables anew."""
    study = Study(profile, root=root)
    folder = project_root() / "figures" / study.profile.name
    cells = fresh_cells(study)
    methods = {name: configured(study.profile, **own) for name, own in CONFIRMED.items()}
    rows = of_methods(study, cells, methods, "test") + of_oracles(study, cells, "test")
    about = {"profile": study.profile.name, "versions": describe_run()}
    save_rows(folder / "beyond_confirmed.json", rows, about=about)
    return report_on(folder)


def report_on(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write and print the tables from the rows in a folder, and return the first of either kind."""
    parts, verdict = {}, []
    heads = {
        "validation": "All candidates, tuning cells, validation images",
        "test": "Chosen and without each ingredient, reported cells, test images",
        "confirmed": "Classes never used, test images",
    }
    for name, head in heads.items():
        path = folder / f"beyond_{name}.json"
        scored: Scored = "validation" if name == "validation" else "test"
        if path.is_file():
            rows = load_rows(path)
            verdict.append(compared(rows, scored))
            parts[f"{head}: distances from the oracles"] = verdict[-1]
            parts[f"{head}: percent regained"] = regained_table(rows, scored)
    text = "\n".join(f"### {title}\n\n{in_markdown(table)}" for title, table in parts.items())
    write_text_atomically(folder / "beyond_spotter.md", text)
    print(text)
    return verdict[0], verdict[1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m spotter_core.search", description="Search.")
    parser.add_argument("profile")
    parser.add_argument("--run", type=Path, help="run folder; default runs/<profile>")
    parser.add_argument("--redraw", action="store_true", help="tables from the rows that are there")
    parser.add_argument("--confirm", action="store_true", help="score in fresh cells instead")
    given = parser.parse_args()
    if given.redraw:
        report_on(project_root() / "figures" / given.profile)
    elif given.confirm:
        confirm(given.profile, given.run)
    else:
        search(given.profile, given.run)
