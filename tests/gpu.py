"""What the paper's experiment takes on a GPU, in one call: `python tests/gpu.py --out results`.

Trains original and retrained oracle of a profile for one class and seed, runs every method that
reads forget samples alone, makes all measurements of notebooks 01 to 06, then takes the benchmark's
rows of whole networks. Prints Markdown and writes `gpu.md`, `gpu.json` (seconds, rates) and
`rows.json` (measured values) to the folder of `--out`, after every part, so that a run that is cut
off leaves what it had. On one H100 it should end well within ten minutes.

It needs neither papermill nor Snakemake, umap or matplotlib, and runs from the source: no install.
Where cachetools is missing as well, a stand-in serves that forgets nothing. Without a network, put
the archive of the images into a folder and name that in `SPOTTER_DATA`:

    SPOTTER_DATA=data python tests/gpu.py --dataset folder:cifar10-jpeg --out results

`--small` proves on a CPU that it all runs (two minutes), `--dataset made` needs no data at all.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from benchmarks.network import (
    Stage,
    made_images,
    neighborhood_row,
    spotter_rows,
)
from benchmarks.table import HEAD, RATES, Rate, elapsed, seconds
from benchmarks.whole import attacks_row, training_rate

from spotter_core import measurements
from spotter_core.data import Dataset, ImageSet, load_dataset
from spotter_core.methods import METHODS, ForgetOnlyMethod
from spotter_core.metrics import accuracy
from spotter_core.profiles import Cell, Profile, load_profile
from spotter_core.results import Row, save_rows
from spotter_core.runtime import describe_run
from spotter_core.study import Study

MEASUREMENTS = (
    "accuracies",
    "class_accuracies",
    "over_unlearning_everywhere",
    "over_unlearning_by_radius",
    "damage_by_class",
    "relearning",
    "dispersion",
)
SIGNS = ("accuracy", "over_unlearning", "pra_accuracy", "mean_cosine")


@dataclass(frozen=True)
class Took:
    """Seconds of one part of the study, what they may be, and what came out."""

    work: str
    seconds: float
    target: float | None = None
    found: str = ""

    def __str__(self) -> str:
        met = "met" if self.target is None or self.seconds <= self.target else "**missed**"
        target = "–" if self.target is None else f"{seconds(self.target)}, {met}"
        return f"| {self.work} | {seconds(self.seconds)} | {target} | {self.found} |"


@dataclass
class Report:
    """All that was measured so far, kept in the folder ``out``."""

    out: Path
    about: dict[str, str]
    took: list[Took] = field(default_factory=list)
    signs: dict[str, list[float]] = field(default_factory=dict)
    bench: list[object] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def text(self) -> str:
        """Return all tables."""
        about = ", ".join(f"{key} {value}" for key, value in self.about.items())
        lines = [about, "", "| part | seconds | target | found |", "|---|---|---|---|"]
        lines += map(str, self.took)
        if self.signs:
            names = "forget test | retain test | OU | PRA, best α | mean cosine"
            lines += ["", f"| model | {names} |", "|---|---|---|---|---|---|"]
            for model, values in self.signs.items():
                lines.append(f"| {model} | {' | '.join(f'{v:.4f}' for v in values)} |")
        if self.rates:
            lines += ["", RATES, *map(str, self.rates)]
        if self.bench:
            lines += ["", HEAD, *map(str, self.bench)]
        return "\n".join(lines) + "\n"

    def keep(self) -> None:
        """Write everything to the folder."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "gpu.md").write_text(self.text(), encoding="utf-8")
        parts = {name: [asdict(x) for x in getattr(self, name)] for name in ("took", "rates")}
        parts["bench"] = [asdict(row) for row in self.bench]
        content = {"about": self.about, "signs": self.signs, **parts}
        (self.out / "gpu.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        save_rows(self.out / "rows.json", self.rows, about=self.about)

    def add(self, took: Took) -> None:
        """Note a part, say so at once, and keep all."""
        self.took.append(took)
        print(took, flush=True)
        self.keep()


# --- what is measured -----------------------------------------------------------------------------


def made_dataset(train: int = 40, test: int = 10) -> Dataset:
    """Return ten classes of noise around a brightness, for a look at whether it all runs."""

    def part(count: int, shift: int) -> ImageSet:
        labels = torch.arange(10 * count) % 10
        noise = made_images(10 * count + shift)[shift:] // 4
        return ImageSet(noise + 16 * labels[:, None, None, None].to(torch.uint8), labels)

    names = tuple(f"class {c}" for c in range(10))
    return Dataset("made", names, part(train, 0), part(test, 1), part(test, 2))


def first_of_each_class(part: ImageSet, count: int) -> ImageSet:
    """Return the first ``count`` samples of every class."""
    picked = [(part.labels == c).nonzero().flatten()[:count] for c in part.labels.unique()]
    return part.subset(torch.cat(picked).sort().values)


def small(profile: Profile, dataset: Dataset) -> tuple[Profile, Dataset]:
    """Return the same experiment at a hundredth of its size."""
    methods = {
        name: {**given, "epochs": 1} if isinstance(METHODS[name], ForgetOnlyMethod) else given
        for name, given in profile.methods.items()
    }
    profile = replace(
        profile,
        model={**profile.model, "width": 16},
        recipe={**profile.recipe, "epochs": 1, "batch_size": 64, "learning_rate": 0.05},
        methods=methods,
        epsilons=profile.epsilons[:1],
        evaluated=100,
        supports=2,
    )
    parts = (dataset.train, dataset.validation, dataset.test)
    few = [first_of_each_class(p, n) for p, n in zip(parts, (20, 10, 10), strict=True)]
    return profile, Dataset(dataset.name, dataset.class_names, *few)


def train_yardsticks(study: Study, cell: Cell, report: Report) -> None:
    """Train original and oracle; their test accuracy, the retained classes' for the oracle."""
    data, epochs = study.dataset, study.recipe.epochs
    for method, where in (("original", "all"), ("retrain", "retain")):
        taken = elapsed(lambda m=method: study.model(cell, m))
        sides = ("forget", "retain") if where == "all" else ("retain",)
        logits = torch.cat([study.predictions(cell, method, f"{s}/test").logits for s in sides])
        labels = torch.cat([study.part(cell, f"{s}/test").labels for s in sides])
        found = f"test accuracy {accuracy(logits, labels):.2%} of {where} classes"
        work = f"{method}: {epochs} epochs of {len(data.train):,} images"
        report.add(Took(work, taken, 90.0 if method == "original" else None, found))


def row_of_methods(study: Study, cell: Cell, report: Report) -> None:
    """Every forget-only method of the profile and all measurements."""
    names = [n for n in study.profile.methods if isinstance(METHODS[n], ForgetOnlyMethod)]
    start = time.perf_counter()
    for name in names:
        taken = elapsed(lambda n=name: study.surviving(cell, [n]))
        report.add(Took(f"method {name}", taken))
    left = ["original", "retrain", *names]
    for name in MEASUREMENTS:
        measure = getattr(measurements, name)
        taken = elapsed(lambda f=measure: report.rows.extend(study.measured(f, cell, left)))
        report.add(Took(f"measurement {name}, {len(left)} models", taken))
    total = time.perf_counter() - start
    report.add(Took(f"{len(names)} forget-only methods and all measurements", total, 300.0))
    for name in study.surviving(cell, left):
        rows = measurements.vital_signs(study, cell, name, study.model(cell, name))
        report.signs[name] = [row.value for row in rows if row.measure in SIGNS]
    report.keep()


def bench(device: torch.device, report: Report, *, tiny: bool) -> None:
    """The benchmark's rows of whole networks, on this device."""
    width, images = (16, 16) if tiny else (64, 128)
    stage = Stage(device, width, images, runs=1 if tiny else 9)
    report.bench.append(neighborhood_row(stage))
    row, rate = spotter_rows(stage)
    report.bench.append(row)
    report.rates.append(rate)
    report.keep()
    count, batch = (64, 32) if tiny else (20_480, 512)
    report.rates.append(training_rate(device, width, count, batch))
    report.bench.append(attacks_row(device, 1 if tiny else 3, images=500 if tiny else 10_000))
    report.keep()


def measure(profile: Profile, dataset: Dataset, cell: Cell, out: Path, *, tiny: bool) -> Report:
    """Do all of it; what is made on the way lies in a temporary folder."""
    report = Report(out, {"profile": profile.name, "data": profile.label, **describe_run("auto")})
    with tempfile.TemporaryDirectory() as root:
        study = Study(profile, root=Path(root))
        taken = elapsed(lambda: setattr(study, "dataset", dataset.to(study.device)))
        report.add(Took(f"{len(dataset.train):,} training images to the device", taken))
        train_yardsticks(study, cell, report)
        row_of_methods(study, cell, report)
        bench(study.device, report, tiny=tiny)
    if torch.cuda.is_initialized():
        report.about["peak GPU memory"] = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    report.keep()
    return report


def main(arguments: list[str] | None = None) -> None:
    """Read the arguments, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cifar10")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and numbers")
    parser.add_argument("--dataset", help="in place of the profile's; 'made' for random images")
    parser.add_argument("--cell", default="forget0-seed0")
    parser.add_argument("--small", action="store_true", help="a hundredth of it, for a CPU")
    given = parser.parse_args(arguments)
    profile = load_profile(given.profile)
    if given.dataset:
        label = {"made": "made images", "folder:cifar10-jpeg": "CIFAR-10 (JPEG)"}
        known = label.get(given.dataset, given.dataset)
        profile = replace(profile, dataset=given.dataset, label=known)
    made = profile.dataset == "made"
    start = time.perf_counter()
    dataset = made_dataset() if made else load_dataset(profile.dataset, size=profile.size)
    print(f"data set loaded in {seconds(time.perf_counter() - start)}", flush=True)
    if given.small:
        profile, dataset = small(profile, dataset)
    report = measure(profile, dataset, Cell.parse(given.cell), given.out, tiny=given.small)
    print(f"\n{report.text()}")


if __name__ == "__main__":
    main()
