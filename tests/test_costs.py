"""Costs of jobs: kept, read from a run made here, turned into seconds of every job."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import torch
from safetensors.torch import save_file

from spotter_core.graph import NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.planning import measured as measured_costs
from spotter_core.planning.costs import (
    Costs,
    StepCost,
    Work,
    disk_space,
    expected,
    load_costs,
    save_costs,
    to_make,
)
from spotter_core.planning.measured import AGAIN, Reader, main
from spotter_core.profiles import load_profile
from spotter_core.results import Row, save_rows

STEPS = [ORIGINALS, *NOTEBOOKS]
COSTS = Costs(
    "measured", {"hardware": "a machine"}, {s: StepCost(Work(10), Work(1), Work(5)) for s in STEPS}
)


@pytest.fixture
def graph():
    return Graph(load_profile("digits"))


# --- the file -------------------------------------------------------------------------------------


def test_costs_are_read_as_they_were_written(tmp_path):
    costs = replace(COSTS, kind="derived", rate=20.0, disk={"cell": 1.5})
    save_costs(costs, tmp_path / "x.costs.json")
    assert load_costs(tmp_path / "x.costs.json") == costs


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(format="spotter-costs-0"),
        lambda c: c.pop("steps"),
        lambda c: c["steps"]["00_tour"].pop("made"),
        lambda c: c["steps"]["00_tour"].update(minutes=3),
        lambda c: c.update(kind="guessed"),
        lambda c: c.update(owner="nobody"),
    ],
)
def test_a_file_of_costs_that_is_none_is_refused_with_advice(tmp_path, change):
    path = tmp_path / "x.costs.json"
    save_costs(COSTS, path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"x\.costs\.json.*delete it, or have it made anew"):
        load_costs(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="can't be used"):
        load_costs(path)


# --- seconds of every job -------------------------------------------------------------------------


def test_a_job_takes_what_starting_showing_and_making_take():
    step = StepCost(Work(10), Work(1, 4), Work(5, 20), Work(7))
    assert step.seconds(3, 2, 1, rate=2.0) == 10 + 3 * (1 + 2) + 2 * (5 + 10) + 7
    with pytest.raises(ValueError, match=r"rate in TFLOP/s is needed.*got None"):
        step.seconds(1, 1)


def test_parts_make_their_cells_and_what_draws_shows_all_of_them(graph):
    found = expected(graph, COSTS)
    assert set(found) == set(graph.jobs)
    assert found[Job("02_unlearn", "part0")] == 10 + 3 * 1 + 3 * 5
    assert found[Job("02_unlearn", "all")] == 10 + 6 * 1
    assert found[Job("03_over_unlearning", "all")] == 10 + 6 * 1 + 6 * 5
    assert found[Job("00_tour", "all")] == 10 + 6 * 1 + 5  # it looks at one cell
    assert found[Job("07_ablation", "all")] == 10 + 6 * 1 + 2 * 5  # of one seed
    oracles = found[Job("01_train_and_retrain", "all")]
    assert oracles == 10 + 6 * 1 + 6 * 5 + 3 * 5  # and the originals


def test_a_divided_first_notebook_leaves_the_originals_to_jobs_of_their_own():
    profile = replace(load_profile("digits"), jobs={"01_train_and_retrain": 3})
    found = expected(Graph(profile), COSTS)
    assert found[Job(ORIGINALS, "seed1")] == 10 + 1 + 5
    assert found[Job("01_train_and_retrain", "part1")] == 10 + 2 * 1 + 2 * 5


def test_a_division_changes_what_is_made_by_whom_and_not_how_much():
    whole = Graph(load_profile("digits"))
    parts = {name: 4 for name in NOTEBOOKS}
    divided = Graph(replace(whole.profile, jobs=parts))
    for name in NOTEBOOKS:
        made = [
            tuple(map(sum, zip(*(to_make(g, j) for j in g.jobs if j.step == name), strict=True)))
            for g in (whole, divided)
        ]
        assert made[0] == made[1]


def test_hard_cells_are_told_from_the_others_where_the_battery_is_divided():
    profile = replace(load_profile("cifar10"), jobs={"04b_relearning_battery": 10})
    graph = Graph(profile)
    assert {to_make(graph, job) for job in graph.parts("04b_relearning_battery")} == {(1, 2)}
    assert to_make(graph, Job("04b_relearning_battery", "all")) == (0, 0)


def test_a_step_of_unknown_cost_is_named(graph):
    steps = {name: cost for name, cost in COSTS.steps.items() if name != "09_audit"}
    with pytest.raises(ValueError, match="no cost is known of 09_audit"):
        expected(graph, replace(COSTS, steps=steps))


def test_disk_space_grows_with_cells_seeds_and_jobs_and_the_ablations_models(graph):
    costs = replace(COSTS, disk={"rows": 10.0, "model": 2.0, "original": 1.0, "job": 0.5})
    models = 6 * 8 + 2 * 5  # eight methods of six cells, five settings of the ablation's two
    assert disk_space(graph, costs) == 3 * 1 + models * 2 + 6 * 10 + 0.5 * len(graph.jobs)
    assert disk_space(graph, replace(costs, disk={"job": 0.5})) is None


# --- read from a run ------------------------------------------------------------------------------


def copy_of(path, processor, seconds=None, memory=500.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    took = {"seconds": seconds or 2 * processor, "processor": processor, "memory": memory}
    now = datetime.now(UTC)
    when = {"start_time": (now - timedelta(seconds=60)).isoformat()}
    when["end_time"] = (now + timedelta(seconds=60)).isoformat()
    content = {"cells": [], "metadata": {"spotter": took, "papermill": when}}
    path.write_text(json.dumps(content))


@pytest.fixture
def run(tmp_path, graph):
    """A run whose jobs took 10 s to start, 1 s a cell to show, 5 s a cell to make, 7 an original.

    By the clock all of it took twice as long: the machine was busy.
    """
    for name in NOTEBOOKS:
        copy_of(tmp_path / AGAIN / name / "one.ipynb", 10 + 1)
        copy_of(tmp_path / AGAIN / name / "all.ipynb", 10 + 6)
        for job in graph.jobs:
            if job.step == name:
                cells = len(graph.cells(job))
                originals = 3 * 7 if name == "01_train_and_retrain" else 0
                made = 5 * to_make(graph, job)[0]
                copy_of(
                    tmp_path / "jobs" / name / f"{job.name}.ipynb", 10 + cells + made + originals
                )
    copy_of(tmp_path / AGAIN / ORIGINALS / "one.json", 4)
    for seed in range(3):
        path = tmp_path / "models" / f"seed{seed}" / "original.safetensors"
        path.parent.mkdir(parents=True)
        save_file({"x": torch.zeros(1)}, path, metadata={"record": json.dumps({"seconds": 14.0})})
    method = tmp_path / "models" / "forget0-seed0" / "retrain.safetensors"
    method.parent.mkdir()
    save_file({"x": torch.zeros(100_000)}, method)
    row = Row("d", "a", "m", "0", 0, "s", "x", 1.0, "u", "h")
    about = {"hardware": "CPU, 2 cores", "torch": "2", "python": "3", "platform": "p"}
    save_rows(tmp_path / "rows" / "x" / "forget0-seed0.json", [row], about=about)
    return tmp_path


def test_the_costs_of_a_run_are_what_it_was_made_of(run, graph):
    costs = Reader(graph, run).costs("a note")
    assert costs.kind == "measured"
    assert costs.steps[ORIGINALS] == StepCost(Work(4), Work(), Work(7), jobs=3)
    for name in NOTEBOOKS:
        step = costs.steps[name]
        assert (step.start, step.shown, step.made) == (Work(10), Work(1), Work(5)), name
        assert step.memory == 500.0
    assert costs.steps["02_unlearn"].jobs == 2
    assert costs.about["hardware"] == "CPU, 2 cores"
    assert costs.about["note"] == "a note"
    busy = (costs.about[f"all jobs {how}, s"] for how in ("by the clock", "in processor time"))
    assert next(busy) == 2 * next(busy)
    weights = (run / "models" / "forget0-seed0" / "retrain.safetensors").stat().st_size
    assert costs.disk["model"] == pytest.approx(weights / 1e6 / (6 * 8 + 2 * 5), abs=1e-4)
    assert set(costs.disk) == {"original", "model", "rows", "job"}


def test_costs_of_a_run_predict_the_jobs_they_were_read_from(run, graph):
    found = expected(graph, Reader(graph, run).costs())
    for job, seconds in found.items():
        copy = json.loads((run / "jobs" / job.step / f"{job.name}.ipynb").read_text())
        assert seconds == pytest.approx(copy["metadata"]["spotter"]["processor"])


def test_several_threads_are_counted_by_the_clock(run, graph):
    costs = Reader(Graph(replace(graph.profile, threads=2)), run).costs()
    assert costs.steps["03_over_unlearning"].made == Work(10)
    assert costs.about["seconds are"] == "by the clock"


@pytest.fixture
def again(run, graph, monkeypatch, tmp_path):
    """What is asked to be executed again, of a run of which all was but the code of it is noted."""
    asked = []

    def execute(graph, run, name, cells, copy):
        asked.append((name, len(cells)))
        copy_of(copy, 16)

    monkeypatch.setattr(measured_costs, "execute_again", execute)
    monkeypatch.setattr(measured_costs, "prepare_again", lambda *_: asked.append((ORIGINALS, 1)))
    place = "spotter_core.planning.costs.costs_path"
    monkeypatch.setattr(place, lambda name: tmp_path / f"{name}.json")
    for path in (run / AGAIN).glob("*/*"):
        path.with_suffix(".code").write_text(measured_costs.made_by(graph, path.parent.name))
    return asked


def test_the_command_writes_the_file_and_executes_only_what_was_not_executed_again(
    run, again, tmp_path
):
    (run / AGAIN / "09_audit" / "all.ipynb").unlink()
    assert main(["digits", "--run", str(run), "--note", "busy"]) == 0
    assert again == [("09_audit", 6)]
    assert load_costs(tmp_path / "digits.json").about["note"] == "busy"


def test_what_other_code_executed_again_is_executed_once_more(run, again):
    for step in ("09_audit", ORIGINALS):
        (run / AGAIN / step / "one.code").write_text("of last week")
    (run / AGAIN / "00_tour" / "all.code").unlink()  # it was cut off
    assert main(["digits", "--run", str(run)]) == 0
    assert again == [("00_tour", 6), ("09_audit", 1), (ORIGINALS, 1)]
    again.clear()
    assert main(["digits", "--run", str(run)]) == 0
    assert again == []


def test_rows_that_no_job_wrote_whose_copy_is_there_are_refused(run, again, capsys):
    rows = run / "rows" / "x" / "forget0-seed0.json"
    before = rows.stat().st_mtime - 3600
    os.utime(rows, (before, before))  # the job was cut off, and found them as it was started again
    assert main(["digits", "--run", str(run)]) == 2
    told = capsys.readouterr().err
    assert "1 files of" in told
    assert "such as rows/x/forget0-seed0.json, were not written by the jobs" in told
    assert "in an empty folder" in told
    assert again == []


def test_models_that_are_made_anew_as_they_should_be_found_are_refused(
    run, again, monkeypatch, capsys
):
    model = run / "models" / "seed0" / "original.safetensors"
    later = model.stat().st_mtime + 3600
    monkeypatch.setattr(measured_costs, "make_again", lambda *_: os.utime(model, (later, later)))
    assert main(["digits", "--run", str(run)]) == 2
    assert "such as models/seed0/original.safetensors" in capsys.readouterr().err


def test_a_study_that_has_not_run_is_told_in_a_sentence(tmp_path, capsys):
    assert main(["digits", "--run", str(tmp_path)]) == 2
    assert "run the study to its end first" in capsys.readouterr().err
