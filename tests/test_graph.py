"""The graph, in a copy of its own: what it plans, what a failure or a kill leaves, what re-runs.

The notebooks are replaced by tiny ones that write a line for each cell of the study, out of the
lines of the notebooks that they need. Where papermill itself is not the question, a few lines stand
in for it, so that a job takes a fraction of a second.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import jump
from test_notebooks import NEEDS, ROOT

from spotter_core.profiles import known_profiles, load_profile

pytestmark = pytest.mark.slow

PARAMETERS = """profile: str = "digits"
cells: list = []
run: str = ""
figures: str = ""
"""
WORK = """import time
from pathlib import Path

import spotter_core
from spotter_core.files import write_text_atomically

assert Path(spotter_core.__file__).is_relative_to(Path.cwd())
for cell in cells:
    before = [Path(run, "rows", need, cell).read_text() for need in {needs}]
    path = Path(run, "rows", "{name}", cell)
    if not path.exists():
        time.sleep({pause})
        write_text_atomically(path, "({name} " + " ".join([cell, *before]) + ")")
"""
# Imports that are never carried out: they count for what a notebook depends on, and cost nothing.
IMPORTS = {
    "05_embedding_dispersion": "embedding",
    "00_tour": "toy",
    "03_over_unlearning": "_checks",
}
FETCHED = '''"""Says that the images are there."""
import sys
from pathlib import Path

path = Path(sys.argv[sys.argv.index("--out") + 1])
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text("{}")
'''
STAND_IN = '''"""Runs the code cells of a notebook in this process."""
import json
import sys
from pathlib import Path

arguments = sys.argv[1:]
notebook, output, log = arguments[0], arguments[1], arguments[arguments.index("--log") + 1]
given = [i for i, argument in enumerate(arguments) if argument == "-p"]
parameters = {arguments[i + 1]: json.loads(arguments[i + 2]) for i in given}
names = {}
for cell in json.loads(Path(notebook).read_text())["cells"]:
    if cell["cell_type"] == "code":
        exec(cell["source"], names)
        if "parameters" in cell["metadata"].get("tags", []):
            names |= parameters
'''


class Graph:
    """A copy of the graph in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.run = folder / "runs" / "digits"

    def notebook(self, name):
        return self.folder / "notebooks" / f"{name}.ipynb"

    def write(self, name, *extra, pause=0.0):
        """Write a tiny notebook; ``extra`` are cells behind its work, text if they begin with #."""
        never = (
            f"if False:\n    from spotter_core import {IMPORTS[name]}" if name in IMPORTS else ""
        )
        work = WORK.format(name=name, needs=NEEDS[name], pause=pause)
        cells = []
        for source in (f"# {name}", PARAMETERS, work, never, *extra):
            kind = "markdown" if source.startswith("#") else "code"
            about = {"tags": ["parameters"]} if source == PARAMETERS else {}
            cell = {"cell_type": kind, "id": f"c{len(cells)}", "metadata": about, "source": source}
            cells.append(
                cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})
            )
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        about = {"kernelspec": kernel, "language_info": {"name": "python"}}
        content = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        self.notebook(name).write_text(json.dumps(content), encoding="utf-8")

    def command(self, *options):
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))
        }
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        # as `make study` calls it, whose own lock stands in for Snakemake's
        command = [sys.executable, "-m", "snakemake", "--nolock", "--rerun-incomplete", *options]
        return {"args": command, "cwd": self.folder, "env": environment}

    def start(self, *options, **process):
        """Start and wait; return exit status and what was printed."""
        together = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        ended = subprocess.run(**self.command(*options), **together, **process, check=False)
        return ended.returncode, ended.stdout

    def planned(self):
        """The jobs that a start would run, as ``notebook (job)``, besides data and last message."""
        status, text = self.start("--dry-run")
        assert status == 0, text
        return set(re.findall(r"^ *Job \d+: (\w+ \(\w+\))$", text, flags=re.MULTILINE))

    def done(self):
        """The jobs that ended well."""
        return {f"{p.parent.name} ({p.stem})" for p in self.run.glob("jobs/*/*.done")}

    def rows(self, *names):
        """What the notebooks made, cell by cell."""
        paths = [p for name in names or NEEDS for p in (self.run / "rows" / name).glob("forget*")]
        return {f"{path.parent.name}/{path.name}": path.read_text() for path in paths}


def jobs(*names):
    """All jobs of notebooks, as the profile of the digits divides them."""
    parts = [f"02_unlearn (part{i})" for i in range(2)] if "02_unlearn" in names else []
    return {f"{name} (all)" for name in names} | set(parts)


def copy_of_the_graph(folder):
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("spotter_core", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", folder)
    profile = folder / "profiles" / "digits.yaml"  # what is tested here is not how it divides jobs
    text = re.sub(r"^jobs:.*\n", "", profile.read_text(encoding="utf-8"), flags=re.MULTILINE)
    profile.write_text(text + "jobs: {02_unlearn: 2}\n", encoding="utf-8")
    (folder / "notebooks").mkdir()
    (folder / "spotter_core" / "fetch.py").write_text(FETCHED, encoding="utf-8")
    graph = Graph(folder)
    for name in NEEDS:
        graph.write(name)
    return graph


@pytest.fixture
def fresh(tmp_path):
    """A graph of tiny notebooks, executed by papermill, in which nothing is done yet."""
    return copy_of_the_graph(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A graph of tiny notebooks that has run to its end; not to be changed."""
    graph = copy_of_the_graph(tmp_path_factory.mktemp("graph"))
    (graph.folder / "spotter_core" / "execute.py").write_text(STAND_IN, encoding="utf-8")
    status, text = graph.start()
    assert status == 0, text
    return graph


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy of the graph that has run to its end."""
    shutil.copytree(undisturbed.folder, tmp_path, dirs_exist_ok=True)
    return Graph(tmp_path)


# --- planning -------------------------------------------------------------------------------------


def test_the_graph_of_this_repository_plans_every_notebook_on_all_cells(tmp_path):
    missing = [name for name in NEEDS if not (ROOT / "notebooks" / f"{name}.ipynb").is_file()]
    if missing:
        pytest.skip(f"not written yet: {', '.join(missing)}")
    for name in ("spotter_core", "profiles", "notebooks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "Snakefile", tmp_path)
    status, text = Graph(tmp_path).start("--dry-run", "--printshellcmds")
    assert status == 0, text
    cells = {}
    for line in re.findall(r"python -m spotter_core\.execute .*", text):
        name, job = re.search(r"--log runs/digits/jobs/(\w+)/(\w+)\.log", line).groups()
        cells[name, job] = json.loads(re.search(r"-p cells '([^']*)'", line)[1])
        figures = json.loads(re.search(r"-p figures '([^']*)'", line)[1])
        assert figures == ("figures/digits" if job == "all" else f"runs/digits/jobs/{name}/{job}")
    assert {name for name, _ in cells} == set(NEEDS)
    whole = cells["01_train_and_retrain", "all"]
    assert len(whole) >= 6
    for name in NEEDS:
        assert cells[name, "all"] == whole
        parts = [cells[key] for key in sorted(cells) if key[0] == name and key[1] != "all"]
        assert [cell for part in parts for cell in part] in ([], whole)  # none left out


@pytest.mark.parametrize("name", known_profiles())
def test_every_profile_is_planned_where_there_is_no_data(tmp_path, monkeypatch, name):
    for variable in ("SPOTTER_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    graph = copy_of_the_graph(tmp_path / "project")
    status, text = graph.start("--dry-run", "--printshellcmds", "--config", f"profile={name}")
    assert status == 0, text
    lines = re.findall(r"python -m spotter_core\.execute .*", text)
    whole = [str(cell) for cell in load_profile(name).cells]
    asked = [json.loads(re.search(r"-p cells '([^']*)'", line)[1]) for line in lines]
    assert asked.count(whole) >= len(NEEDS)
    assert all(cell in whole for cells in asked for cell in cells)
    assert not (tmp_path / "nothing" / "spotter").exists()  # beside it lies what Snakemake keeps
    assert not (tmp_path / "project" / "runs").exists()


def test_an_unknown_profile_is_refused_in_a_sentence(fresh):
    status, text = fresh.start("--config", "profile=digit")
    assert status != 0
    known = ", ".join(known_profiles())
    assert text.splitlines()[-1] == f"unknown profile 'digit'; known: {known}"
    assert "Traceback" not in text
    assert not (fresh.folder / "runs").exists()


def test_a_profile_with_an_unknown_key_is_refused_in_a_sentence(fresh):
    profile = fresh.folder / "profiles" / "digits.yaml"
    profile.write_text(profile.read_text(encoding="utf-8") + "sedes: [3]\n", encoding="utf-8")
    status, text = fresh.start()
    assert status != 0
    assert "has unknown keys ['sedes']; known: " in text.splitlines()[-1]
    assert "Traceback" not in text


def test_a_run_makes_everything_from_what_it_needs(undisturbed):
    assert undisturbed.done() == jobs(*NEEDS)
    rows = undisturbed.rows()
    assert len(rows) % len(NEEDS) == 0
    assert len(rows) >= 6 * len(NEEDS)
    cell = "forget3-seed0"
    trained = f"(01_train_and_retrain {cell})"
    unlearned = f"(02_unlearn {cell} {trained})"
    assert rows[f"03_over_unlearning/{cell}"] == f"(03_over_unlearning {cell} {unlearned})"
    assert rows[f"08_summary/{cell}"].count(unlearned) == 6


NOTED = """import os
import time
from pathlib import Path

start = time.time()
time.sleep(0.5)
spins = os.environ["OMP_WAIT_POLICY"]
Path(run, f"{start}.txt").write_text(f"{start} {time.time()} {spins}")"""


@pytest.mark.parametrize(("threads", "gpus"), [(1, 0), (2, 0), (1, 1)])
def test_jobs_take_turns_on_two_cores_or_one_gpu_and_sleep_while_they_wait(fresh, threads, gpus):
    (fresh.folder / "spotter_core" / "execute.py").write_text(STAND_IN, encoding="utf-8")
    profile = fresh.folder / "profiles" / "digits.yaml"
    text = profile.read_text(encoding="utf-8")
    text = text.replace("\nthreads: 1\n", f"\nthreads: {threads}\ngpus: {gpus}\n")
    profile.write_text(text, encoding="utf-8")
    names = ("03_over_unlearning", "04_prototypical_relearning")
    for name in names:
        fresh.write(name, NOTED)
    targets = [f"runs/digits/jobs/{name}/all.done" for name in names]
    status, text = fresh.start("--cores", "2", *targets)
    assert status == 0, text
    (_, end, first), (start, _, second) = sorted(
        path.read_text().split() for path in fresh.run.glob("*.txt")
    )
    assert {first, second} == {"passive"}
    if threads == 2 or gpus == 1:  # one GPU is what profiles/local offers
        assert float(end) <= float(start)


@pytest.mark.parametrize(
    ("more", "options", "refused"),
    [
        ("gpus: 2", [], "a job takes 2 gpus, but may hold 1 here"),
        ("gpus: 2", ["--resources", "gpu=2"], None),
        ("threads: 3", ["--cores", "2"], None),  # of this machine: fewer, as Snakemake says
    ],
)
def test_more_than_a_job_may_hold_is_refused_not_given_in_part(fresh, more, options, refused):
    profile = fresh.folder / "profiles" / "digits.yaml"
    text = re.sub(
        rf"^{more.split(':')[0]}:.*\n", "", profile.read_text("utf-8"), flags=re.MULTILINE
    )
    profile.write_text(f"{text}{more}\n", encoding="utf-8")
    status, text = fresh.start("--dry-run", *options)
    assert (status != 0) == bool(refused), text
    assert (refused or "") in text


# --- what runs again ------------------------------------------------------------------------------

LATE = [name for name in NEEDS if name > "02_unlearn"] + ["00_tour"]
EMBEDDING = ("05_embedding_dispersion", "08_summary", "10_demo")  # the demo shows its map
# What is added to a file of the core, and the notebooks that must run again.
CORE_EDITS = {
    "nobody's": ("claims.py", "NEW = 1", ()),
    "one's": ("embedding.py", "NEW = 1", EMBEDDING),
    "another's": ("toy.py", "NEW = 1", ("00_tour",)),
    "a comment": ("embedding.py", "# why", ()),
    "a text": ("embedding.py", '"""What NEW is."""', ()),
    "below three": ("_checks.py", "NEW = 1", ("00_tour", "03_over_unlearning", *EMBEDDING)),
    "below all": ("files.py", "NEW = 1", tuple(NEEDS)),
}


def test_what_a_job_may_take_changes_nothing_that_is_made(finished):
    profile = finished.folder / "profiles" / "digits.yaml"
    text = re.sub(r"^(minutes|threads):.*\n", "", profile.read_text("utf-8"), flags=re.MULTILINE)
    text += "minutes: 20\nmemory: 3000\nthreads: 1\ngpus: 1\n"
    profile.write_text(text, encoding="utf-8")
    assert finished.planned() == set()


def test_a_second_start_has_nothing_to_do(finished):
    before = {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")}
    assert finished.planned() == set()
    status, text = finished.start()
    assert status == 0
    assert "Nothing to be done" in text
    assert {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")} == before


def test_a_second_start_does_what_is_missing(finished):
    (finished.run / "jobs" / "06_neighborhood_damage" / "all.done").unlink()
    assert finished.planned() == jobs("06_neighborhood_damage", "08_summary")
    rows = {path: path.stat().st_mtime_ns for path in (finished.run / "rows").rglob("forget*")}
    status, text = finished.start()
    assert status == 0, text
    assert finished.planned() == set()
    assert {path: path.stat().st_mtime_ns for path in rows} == rows  # cells that are done stay


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("08_summary", ["08_summary"]),
        ("03_over_unlearning", ["03_over_unlearning", "08_summary"]),
        ("02_unlearn", ["02_unlearn", *LATE]),
    ],
)
def test_changed_code_of_a_notebook_runs_it_and_what_depends_on_it(finished, name, again):
    finished.write(name, "print('changed')")
    assert finished.planned() == jobs(*again)


def test_changed_text_and_outputs_of_a_notebook_run_nothing(finished):
    finished.write("01_train_and_retrain", "# Another paragraph")
    path = finished.notebook("02_unlearn")
    content = json.loads(path.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            output = {"output_type": "stream", "name": "stdout", "text": ["ran"]}
            cell |= {"outputs": [output], "execution_count": 3, "metadata": cell["metadata"]}
            cell["source"] += "\n# a comment"
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    assert finished.planned() == set()


@pytest.mark.parametrize("edit", CORE_EDITS)
def test_changed_code_of_the_core_runs_the_notebooks_that_import_it(finished, edit):
    name, new, again = CORE_EDITS[edit]
    path = finished.folder / "spotter_core" / name
    path.write_text(path.read_text(encoding="utf-8") + f"\n\n{new}\n", encoding="utf-8")
    assert finished.planned() == jobs(*again)


def test_changed_settings_run_all_notebooks(finished):
    profile = finished.folder / "profiles" / "digits.yaml"
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace("label: Digits", "label: Figures"), encoding="utf-8")
    assert finished.planned() == jobs(*NEEDS)


def test_a_change_reaches_what_was_not_begun_when_a_study_was_stopped(finished):
    finished.write("03_over_unlearning", "print('changed')")
    status, text = finished.start("runs/digits/jobs/03_over_unlearning/all.done")
    assert status == 0, text  # and here it was stopped
    assert finished.planned() == jobs("08_summary")


def test_runs_without_snakemakes_records_are_believed_as_far_as_their_plan_is_this_one(finished):
    shutil.rmtree(finished.folder / ".snakemake")  # or `runs` was copied without it
    assert finished.planned() == set()
    finished.write("03_over_unlearning", "print('changed')")
    assert finished.planned() == jobs("03_over_unlearning", "08_summary")
    finished.write("03_over_unlearning")  # changed back
    assert finished.start()[0] == 0
    assert finished.planned() == set()


@pytest.mark.parametrize("left", [0, 1, 200])
def test_records_of_snakemake_that_are_cut_short_hide_no_change(finished, left):
    records = list((finished.folder / ".snakemake" / "metadata").iterdir())
    assert len(records) > len(NEEDS)
    for record in records:
        record.write_bytes(record.read_bytes()[:left])
    finished.write("03_over_unlearning", "print('changed')")
    assert finished.planned() == jobs("03_over_unlearning", "08_summary")


@pytest.mark.parametrize(("days", "first", "step"), [(-365, 0, 2), (1, 0, 2), (1, 1, 2), (1, 0, 1)])
def test_a_clock_that_jumped_runs_nothing_again_and_hides_no_change(finished, days, first, step):
    jump(finished.run, days, slice(first, None, step))  # one half was made before it, or all was
    assert finished.planned() == set()
    finished.write("03_over_unlearning", "print('changed')")
    assert finished.planned() == jobs("03_over_unlearning", "08_summary")
    assert finished.start()[0] == 0
    assert finished.planned() == set()


def test_a_done_file_that_is_empty_is_made_anew_unless_it_is_vouched_for(finished):
    (finished.run / "jobs" / "03_over_unlearning" / "all.done").write_bytes(b"")
    assert finished.planned() == set()
    shutil.rmtree(finished.folder / ".snakemake")
    assert finished.planned() == jobs("03_over_unlearning", "08_summary")


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_failing_notebook_is_named_and_keeps_its_copy_and_the_others_go_on(fresh):
    fresh.write("07_ablation", "print('half way')", "raise KeyError('weights')")
    status, text = fresh.start("--cores", "1")
    assert status == 1
    assert fresh.done() == jobs(*NEEDS) - jobs("07_ablation", "08_summary")
    assert "FAILED 07_ablation.ipynb: cell [5] raised KeyError: 'weights'" in text
    folder = fresh.run / "jobs" / "07_ablation"
    assert f"executed copy: {folder.relative_to(fresh.folder) / 'all.ipynb'}" in text
    copy = json.loads((folder / "all.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in copy["cells"] for output in cell.get("outputs", [])]
    assert "KeyError" in [output.get("ename") for output in outputs]
    log = (folder / "all.log").read_text(encoding="utf-8")
    assert "half way" in log
    assert "KeyError: 'weights'" in log

    fresh.write("07_ablation")  # mended: what ended well is not run again
    assert fresh.planned() == jobs("07_ablation", "08_summary")


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (
            "folder:tiny-imagenet-200",
            r"image folder 'tiny-imagenet-200' is not there, .*: put train/<class>/ and test/<clas",
        ),
        (
            "cifar100",
            r"data set 'cifar100' is not in .*: put cifar-100-python/ there .*SPOTTER_DATA",
        ),
    ],
    ids=["folder", "torchvision"],
)
def test_missing_data_stops_the_study_before_its_first_job_with_what_to_put_where(
    tmp_path, monkeypatch, dataset, told
):
    for variable in ("SPOTTER_DATA", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    graph = copy_of_the_graph(tmp_path / "project")
    shutil.copy(ROOT / "spotter_core" / "fetch.py", graph.folder / "spotter_core")
    profile = graph.folder / "profiles" / "digits.yaml"
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace("dataset: digits", f"dataset: {dataset}"), encoding="utf-8")
    status, text = graph.start("--cores", "1")
    assert status == 1
    assert re.search(rf"FAILED data: {told}", text), text
    assert "Traceback" not in text
    assert graph.done() == set()  # nothing was begun


EDITS = """path = Path("spotter_core", "_checks.py")
path.write_text(path.read_text() + "\\n\\nNEW = 1\\n")"""


def test_a_job_that_finds_other_code_than_was_planned_stops_in_a_sentence(fresh):
    core = fresh.folder / "spotter_core" / "_checks.py"
    before = core.read_bytes()
    fresh.write("01_train_and_retrain", EDITS)
    status, text = fresh.start("--config", "profile=digits", "--cores", "1", "--until", "tour")
    assert status == 1
    assert re.search(
        r"FAILED 00_tour.ipynb: its code or the core's was changed after the study", text
    )
    # neither imports it; the tour waits for the part that makes the first cell
    assert fresh.done() == jobs("01_train_and_retrain") | {"02_unlearn (part0)"}
    core.write_bytes(before)  # changed back: nobody could tell
    assert "00_tour (all)" in fresh.planned()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are of Unix")
def test_killed_in_the_middle_a_second_start_completes_with_equal_results(fresh, undisturbed):
    names = ("01_train_and_retrain", "02_unlearn", "03_over_unlearning")
    for name in names:
        fresh.write(name, pause=0.5)
    target = "runs/digits/jobs/03_over_unlearning/all.done"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(**fresh.command(target), **quiet, start_new_session=True)
    while not fresh.rows("02_unlearn") and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert fresh.done() == jobs("01_train_and_retrain")

    kept = {path: path.stat().st_mtime_ns for path in (fresh.run / "rows").rglob("forget*")}
    assert len(kept) < len(undisturbed.rows(*names))
    status, text = fresh.start(target)
    assert status == 0, text
    assert fresh.rows() == undisturbed.rows(*names)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_read_only_run_folder_is_told_in_a_sentence(fresh):
    fresh.run.mkdir(parents=True)
    fresh.run.chmod(0o500)
    if os.access(fresh.run, os.W_OK):
        pytest.skip("root may write anywhere")
    try:
        status, text = fresh.start()
    finally:
        fresh.run.chmod(0o700)
    assert status != 0
    assert "Failed to create output directory runs/digits/jobs" in text
    assert "Permission denied" in text
    assert "Traceback" not in text
    assert list(fresh.run.iterdir()) == []


def test_a_full_disk_is_told_in_a_sentence_and_what_is_done_stays(fresh):
    resource = pytest.importorskip("resource")

    def no_large_file():  # what a process may write to a file, as if the rest were not there
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    fresh.write("02_unlearn", "print('x' * 200_000)")
    target = "runs/digits/jobs/02_unlearn/part0.done"
    status, text = fresh.start("--cores", "1", target, preexec_fn=no_large_file)
    assert status == 1
    assert "FAILED 02_unlearn.ipynb: a file can't be read or written" in text
    assert "File too large" in text
    assert "Traceback" not in text
    assert fresh.done() == jobs("01_train_and_retrain")
    assert fresh.planned() == jobs(*NEEDS) - jobs("01_train_and_retrain")
    assert fresh.start("--cores", "1", target)[0] == 0
    assert fresh.done() == jobs("01_train_and_retrain") | {"02_unlearn (part0)"}
