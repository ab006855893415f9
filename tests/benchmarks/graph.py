"""Rows of a study of 10,000 cells: how long the graph is planned, and the plan of it told."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.table import Alone, elapsed
from spotter_core.graph import NOTEBOOKS
from spotter_core.profiles import Cell

ROOT = Path(__file__).parents[2]
HUGE = "huge"
SETS, SEEDS = 1000, 10


def huge_profile(parts: int) -> dict[str, object]:
    """Return the digits' profile with 10,000 cells, every notebook in as many parts.

    One seed of ten is the ablation's, so that some cells are harder than the others.
    """
    content = yaml.safe_load((ROOT / "profiles" / "digits.yaml").read_text(encoding="utf-8"))
    sets = (list(s) for size in range(1, 10) for s in itertools.combinations(range(10), size))
    content["forget"] = list(itertools.islice(sets, SETS))
    content["seeds"] = list(range(SEEDS))
    content["attacked"], content["ablation_seeds"] = [], [0]
    content["jobs"] = dict.fromkeys(NOTEBOOKS, parts)
    return content


def huge_cells() -> list[Cell]:
    """Return all its cells."""
    content = huge_profile(1)
    return [Cell(tuple(f), s) for s in content["seeds"] for f in content["forget"]]


def huge_project(folder: Path, parts: int) -> None:
    """Make a project in which the study of 10,000 cells can be planned."""
    for name in ("spotter_core", "notebooks", "Snakefile"):
        (folder / name).symlink_to(ROOT / name)
    ignore = shutil.ignore_patterns("*.costs.json")
    shutil.copytree(ROOT / "profiles", folder / "profiles", symlinks=True, ignore=ignore)
    text = yaml.safe_dump(huge_profile(parts), sort_keys=False)
    (folder / "profiles" / f"{HUGE}.yaml").write_text(text, encoding="utf-8")
    costs = ROOT / "profiles" / "digits.costs.json"
    if costs.is_file():
        shutil.copy(costs, folder / "profiles" / f"{HUGE}.costs.json")


def graph_rows(parts: int) -> list[Alone]:
    """Snakemake's dry run and `make plan` of 10,000 cells in so many parts a notebook."""
    rows = []
    commands = {
        "planned by Snakemake (dry run)": (
            *("snakemake", "--nolock", "--dry-run", "--quiet", "all"),
            *("--config", f"profile={HUGE}"),
        ),
        "told by `make plan`": ("spotter_core.planning", HUGE),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        huge_project(folder, parts)
        for work, words in commands.items():
            environment = {**os.environ, "PYTHONPATH": str(folder)}

            def run(words: tuple[str, ...] = words, env: dict[str, str] = environment) -> None:
                command = [sys.executable, "-m", *words]
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                subprocess.run(command, cwd=folder, env=env, check=True, **quiet)

            title = f"10,000 cells in {parts:,} parts a notebook, {work}"
            rows.append(Alone(title, elapsed(run), 60.0 if words[0] == "snakemake" else 3.0))
    return rows
