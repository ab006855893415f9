"""The study as a graph: every job executes one notebook through papermill on a list of cells.

    make study                     all local cores, embedded data
    make study PROFILE=...         another file of profiles/
    snakemake --config profile=... the same without make

What a job makes (models, rows) is kept cell by cell below runs/<profile>/ by the notebook itself, so
a job that is started again does only what is missing. A job's `.done` file says that it ended well.
A job depends on the code of its notebook and of the core files that this imports, directly or not:
comments and text count for nothing, outputs saved into a notebook neither.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir)))
from spotter_core.profiles import load_profile
from spotter_core.files import content_hash, settings_hash
from spotter_core.sources import notebook_fingerprint

# For all jobs, wherever they run, since each reads this file: a thread that waits for another sleeps.
# By default it spins, which costs the other the core that it needs: of two training processes of two
# threads each, on two cores with a third one busy, each then does less than half as many steps, in
# three times the processor time. (Read as a process starts; a policy of the caller's own stays.)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

config.setdefault("profile", "digits")
try:
    PROFILE = load_profile(config["profile"])
except ValueError as error:
    sys.exit(str(error))
RUN = f"runs/{PROFILE.name}"
FIGURES = f"figures/{PROFILE.name}"
CELLS = [str(cell) for cell in PROFILE.cells]
# How a study is divided among jobs changes nothing that is made.
MEANING = {k: v for k, v in asdict(PROFILE).items() if k not in ("jobs", "minutes", "gpus")}
TUNING_LOG = Path(f"profiles/{PROFILE.name}.tuning.json")

# A notebook and those whose models or rows it needs. Where a notebook's cells are divided among
# jobs, one job more runs over all of them once they are there, and draws.
NEEDS = {
    "00_tour": [],
    "01_train_and_retrain": [],
    "02_unlearn": ["01_train_and_retrain"],
    "03_over_unlearning": ["02_unlearn"],
    "04_prototypical_relearning": ["02_unlearn"],
    "04b_relearning_battery": ["02_unlearn"],
    "05_embedding_dispersion": ["02_unlearn"],
    "05b_forgetting_by_epoch": ["02_unlearn"],
    "06_neighborhood_damage": ["02_unlearn"],
    "07_ablation": ["02_unlearn"],
    "08_summary": [
        "03_over_unlearning",
        "04_prototypical_relearning",
        "04b_relearning_battery",
        "05_embedding_dispersion",
        "06_neighborhood_damage",
        "07_ablation",
    ],
    "09_audit": ["02_unlearn"],
    "10_demo": ["02_unlearn", "05_embedding_dispersion"],
}
# The longest way to the end goes first.
URGENT = {
    "01_train_and_retrain": 30,
    "02_unlearn": 20,
    "04b_relearning_battery": 15,
    "07_ablation": 12,
    "05_embedding_dispersion": 10,
}
PARTS = {name: min((PROFILE.jobs or {}).get(name, 1), len(CELLS)) for name in NEEDS}


def jobs_of(notebook):
    """Names of the jobs that make a notebook's models and rows."""
    if PARTS[notebook] == 1:
        return ["all"]
    return [f"part{i}" for i in range(PARTS[notebook])]


def cells_for(notebook, job):
    """The cells of one job: all of them, or an even share."""
    if job == "all":
        return CELLS
    i, n = int(job.removeprefix("part")), PARTS[notebook]
    return CELLS[len(CELLS) * i // n : len(CELLS) * (i + 1) // n]


def needs(wildcards):
    """The jobs that a job waits for."""
    notebook, job = wildcards.notebook, wildcards.job
    if job == "all" and PARTS[notebook] > 1:
        before = [(notebook, part) for part in jobs_of(notebook)]
    else:
        # the same share of the cells if both are divided alike, else all of them
        before = [
            (other, part)
            for other in NEEDS[notebook]
            for part in ([job] if job in jobs_of(other) and PARTS[other] == PARTS[notebook] else jobs_of(other))
        ]
    return [f"{RUN}/jobs/{other}/{part}.done" for other, part in before]


def parameters(wildcards):
    """A job's parameters as command line options."""
    values = {"profile": PROFILE.name, "run": RUN, "cells": cells_for(wildcards.notebook, wildcards.job)}
    if wildcards.job == "all":
        values["figures"] = FIGURES
    return " ".join(f"-p {name} '{json.dumps(value)}'" for name, value in values.items())


def settings_of(wildcards):
    """What a job depends on besides code: the profile, and for notebook 02 how it was tuned."""
    if wildcards.notebook == "02_unlearn" and TUNING_LOG.is_file():
        return settings_hash([MEANING, content_hash(TUNING_LOG)])
    return settings_hash(MEANING)


onsuccess:
    claims = Path(FIGURES) / "08_claims.md"
    if claims.is_file():
        print(claims.read_text(encoding="utf-8"))


wildcard_constraints:
    notebook="|".join(NEEDS),
    job=r"all|part\d+",


rule study:
    input:
        [f"{RUN}/jobs/{name}/all.done" for name in NEEDS],
    message:
        "The study is done: pictures in figures/{config[profile]}/, executed notebooks in runs/."


rule notebook:
    input:
        needs,
    output:
        touch(RUN + "/jobs/{notebook}/{job}.done"),
    log:
        notebook=RUN + "/jobs/{notebook}/{job}.ipynb",
        text=RUN + "/jobs/{notebook}/{job}.log",
    params:
        code=lambda w: notebook_fingerprint(Path(f"notebooks/{w.notebook}.ipynb")),
        settings=settings_of,
        parameters=parameters,
    threads: PROFILE.threads
    priority: lambda w: URGENT.get(w.notebook, 0)
    resources:
        runtime=PROFILE.minutes,
        gpu=PROFILE.gpus,
    message:
        "{wildcards.notebook} ({wildcards.job})"
    shell:
        "python -m spotter_core.execute notebooks/{wildcards.notebook}.ipynb {log.notebook}"
        " --log {log.text} --timeout $((60 * {resources.runtime})) {params.parameters}"
