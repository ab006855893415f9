"""The plan of a study: what it counts, what it says, what it warns of, how fast it is."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from spotter_core.files import project_root
from spotter_core.graph import NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.planning import __main__ as planning
from spotter_core.planning.costs import (
    Costs,
    StepCost,
    Work,
    costs_path,
    expected,
    load_costs,
    save_costs,
)
from spotter_core.planning.plan import Plan, Way
from spotter_core.planning.text import in_json, in_text
from spotter_core.profiles import known_profiles, load_profile

STEPS = [ORIGINALS, *NOTEBOOKS]
MEASURED = Costs(
    "measured",
    {"hardware": "a machine"},
    {name: StepCost(Work(10), Work(1), Work(5), memory=500) for name in STEPS},
)
COUNTED = Costs(
    "derived",
    {"operations": "counted"},
    {name: StepCost(Work(10), Work(1), Work(tflop=6000)) for name in STEPS},
    rate=20.0,
)


def planned(costs=MEASURED, run=None, way=None, **changes):
    profile = replace(load_profile("digits"), **changes)
    return Plan(Graph(profile), costs, run or project_root() / "nowhere", way)


# --- what is planned ------------------------------------------------------------------------------


def jobs_asked_for(profile):
    """The jobs as the profile asks for them, counted without the graph."""
    found = {Job(name, "all") for name in NOTEBOOKS}
    attacked = [c for c in profile.forget if not profile.attacked or c in profile.attacked]
    for name, parts in (profile.jobs or {}).items():
        sets = attacked if NOTEBOOKS[name].of == "attacked" else profile.forget
        hard = NOTEBOOKS[name].of in ("attacked", "ablation") and profile.ablation_seeds
        cells = len(sets) * len(hard or profile.seeds)
        count = 1 if NOTEBOOKS[name].of == "first" else min(parts, cells)
        if count > 1:
            found |= {Job(name, f"part{i}") for i in range(count)}
            if name == "01_train_and_retrain":
                found |= {Job(ORIGINALS, f"seed{seed}") for seed in profile.seeds}
    return found


@pytest.mark.parametrize("name", known_profiles())
def test_every_job_of_the_graph_is_planned_behind_those_that_make_what_it_needs(name):
    profile = load_profile(name)
    graph = Graph(profile)
    found = graph.waits
    assert set(found) == jobs_asked_for(profile)
    before = {}
    for job, needs in found.items():
        assert set(needs) <= set(before)
        before[job] = set(needs).union(*(before[need] for need in needs))
        for other in NOTEBOOKS[job.step].needs if job.step != ORIGINALS else ():
            made = {
                cell for need in before[job] if need.step == other for cell in graph.cells(need)
            }
            first = NOTEBOOKS[job.step].of == "first"
            read = set(profile.cells[:1] if first else graph.cells(job))
            assert read & set(graph.own_cells(other)) <= made, (job, other)


def test_models_are_those_of_all_cells_of_all_seeds_and_of_the_ablation():
    assert planned().models == 3 + 6 * 8 + 2 * (2 + 2 + 1)


def test_what_computes_takes_a_gpu_and_what_draws_from_rows_takes_none():
    plan = planned(gpus=1, jobs={"01_train_and_retrain": 2})
    kinds = {task.job.step: task.kind for task in plan.tasks}
    assert kinds.pop("08_summary") == "cpu"
    assert set(kinds.values()) == {"gpu"}
    assert ORIGINALS in kinds
    assert {task.kind for task in planned().tasks} == {"cpu"}


def test_jobs_of_several_gpus_share_them_out_and_their_hours_count_all_of_them():
    one, four = planned(gpus=1, threads=2), planned(gpus=4, threads=2)
    assert four.on(8).makespan == one.on(2).makespan
    for few in (2, 6):
        with pytest.raises(ValueError, match=f"takes 4 GPUs: --workers must be.*got {few}"):
            four.on(few)
    by_name = [{step.name: step for step in plan.steps} for plan in (one, four)]
    for name in NOTEBOOKS:
        single, several = (steps[name] for steps in by_name)
        assert several.gpu_hours == 4 * single.gpu_hours
        assert several.core_hours == single.core_hours
    hours = sum(four.seconds.values()) / 3600
    drawn = four.seconds[Job("08_summary", "all")] / 3600  # takes no GPU, one thread
    told = f"together {4 * (hours - drawn):.1f} GPU hours, {2 * hours - drawn:.1f} core hours"
    assert told in in_text(four, (4,))
    assert [step.gpu_hours for step in four.steps if not step.gpu] == [0]


def test_cells_and_minutes_a_cell_are_those_that_a_step_makes():
    steps = {step.name: step for step in planned(jobs={"01_train_and_retrain": 2}).steps}
    assert {name: step.cells for name, step in steps.items() if step.cells != 6} == {
        ORIGINALS: 3,
        "00_tour": 1,
        "04b_relearning_battery": 3,
        "07_ablation": 2,
        "09_audit": 1,
        "10_demo": 1,
    }
    assert steps["02_unlearn"].cell_minutes == pytest.approx(6 / 60)


def test_one_worker_takes_as_long_as_all_jobs_together():
    plan = planned()
    together = sum(expected(plan.graph, MEASURED).values())
    assert plan.on(1).makespan == pytest.approx(together)
    slow = planned(way=Way(startup=7.0))
    assert slow.on(1).makespan == pytest.approx(together + 7 * len(plan.graph.jobs))


def test_jobs_that_are_done_are_counted_and_foreign_files_are_not(tmp_path):
    for name in ("02_unlearn/part0", "09_audit/all", "09_audit/part7", "11_else/all"):
        path = tmp_path / "jobs" / f"{name}.done"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    plan = planned(run=tmp_path)
    assert plan.done == {Job("02_unlearn", "part0"), Job("09_audit", "all")}
    assert {step.name: step.done for step in plan.steps}["02_unlearn"] == 1


# --- what it warns of -----------------------------------------------------------------------------


def test_a_job_over_its_limit_is_named_with_what_to_change():
    steps = {**MEASURED.steps, "03_over_unlearning": StepCost(Work(0), Work(0), Work(199))}
    (told,) = planned(replace(MEASURED, steps=steps)).warnings
    assert told == (
        "03_over_unlearning (all) is expected to take 20 min, over the limit of 10: "
        "set jobs: {03_over_unlearning: 3}, or minutes: 30"
    )
    assert planned(replace(MEASURED, steps=steps), jobs={"03_over_unlearning": 3}).warnings == []
    (told,) = planned(replace(MEASURED, steps=steps), jobs={"03_over_unlearning": 2}).warnings
    assert (
        "(part) is expected to take 10 min, near the limit of 10: set jobs: {03_over_unlearning: 3}"
        in told
    )


def test_a_job_that_can_not_be_divided_further_gets_more_time():
    steps = {**MEASURED.steps, "09_audit": StepCost(Work(0), Work(0), Work(540))}
    (told,) = planned(replace(MEASURED, steps=steps)).warnings
    assert told.endswith("take 9 min, near the limit of 10: set minutes: 20")


def test_the_first_notebook_is_never_told_to_be_divided_into_one_part():
    originals = StepCost(Work(0), Work(0), Work(130))
    costs = replace(MEASURED, steps={**MEASURED.steps, ORIGINALS: originals})
    (told,) = planned(costs, minutes=7).warnings
    assert told.endswith("set jobs: {01_train_and_retrain: 2}, or minutes: 10")
    divided = planned(costs, minutes=7, jobs={"01_train_and_retrain": 2})
    assert divided.warnings == []


def test_what_only_draws_is_held_against_its_own_lower_limits():
    draws = replace(MEASURED.steps["08_summary"], start=Work(1440), memory=2500.0)
    costs = replace(MEASURED, steps={**MEASURED.steps, "08_summary": draws})
    late, large = planned(costs, minutes=60, memory=4000).warnings
    assert "is expected to take 25 min, over the limit of 15" in late
    assert late.endswith("minutes: 130")  # a quarter of which suffices
    assert large.endswith("over the declared 2000: set memory: 6200")


def test_memory_over_what_is_declared_is_named():
    steps = {**MEASURED.steps, "09_audit": replace(MEASURED.steps["09_audit"], memory=3100.0)}
    (told,) = planned(replace(MEASURED, steps=steps)).warnings
    assert "took 3100 MB where it was measured, over the declared 2000: set memory: 3900" in told


# --- what it says ---------------------------------------------------------------------------------


def test_a_study_of_known_costs_is_told_with_their_source():
    text = in_text(planned(), (1, 2))
    assert "digits: 6 cells (2 forget sets x 3 seeds), 8 methods" in text
    assert "61 models, 15 jobs, of which 0 are done by the .done files in nowhere; " in text
    assert "A study that begins with nothing:" in text
    assert "not grouped" not in text
    assert "a job may take 1 thread(s), 10 min, 2,000 MB" in text
    assert "times: measured; hardware a machine" in text
    assert "core h" in text
    assert "GPU" not in text
    assert "What keeps it from ending sooner:\n1: the work itself" in text
    for name in NOTEBOOKS:
        assert name in text


def test_a_rate_that_nobody_measured_is_called_assumed_wherever_it_is_used():
    plan = planned(COUNTED, gpus=1)
    text = in_text(plan, (1,))
    assert text.count("20 TFLOP/s a GPU, ASSUMED, not measured") == 2
    assert json.loads(in_json(plan, (1,)))["rate"] == {"tflops": 20.0, "measured": None}
    faster = planned(COUNTED, gpus=1, way=Way(rate=40.0, source="measured on a card"))
    assert "40 TFLOP/s a GPU, measured on a card" in in_text(faster, (1,))
    assert "ASSUMED" not in in_text(faster, (1,))
    assert faster.on(1).makespan < plan.on(1).makespan


def test_where_no_costs_are_known_the_jobs_are_counted_all_the_same(tmp_path):
    text = in_text(planned(None), (1, 2))
    assert "What the jobs take is not known" in text
    assert "python -m spotter_core.planning.measured digits" in text
    assert "61 models, 15 jobs" in text
    assert "ends after" not in text
    assert "planning.counted" not in text  # nobody could count the digits
    graph = Graph(load_profile("cifar100"))
    assert "planning.counted" not in in_text(Plan(graph, None, tmp_path), (1,))
    graph = Graph(load_profile("cifar10"))
    assert "planning.counted cifar10` counts" in in_text(Plan(graph, None, tmp_path), (1,))
    content = json.loads(in_json(planned(None), (1, 2)))
    assert (content["workers"], content["times"], content["jobs"]) == ([], None, 15)


def test_the_same_for_a_program():
    content = json.loads(in_json(planned(), (1, 8)))
    assert content["cells"] == 6
    assert [line["workers"] for line in content["workers"]] == [1, 8]
    assert content["workers"][0]["seconds"] >= content["workers"][1]["seconds"]
    assert [step["name"] for step in content["steps"]] == list(NOTEBOOKS)


# --- the command ----------------------------------------------------------------------------------


def test_the_command_plans_every_profile(capsys):
    for name in known_profiles():
        assert planning.main([name]) == 0
        assert f"{name}: " in capsys.readouterr().out


def test_committed_costs_are_of_every_step_and_say_how_they_are_known():
    paths = [costs_path(name) for name in known_profiles() if costs_path(name).is_file()]
    assert paths
    for path in paths:
        costs = load_costs(path)
        assert set(costs.steps) == set(STEPS), path.name
        assert costs.about["date"]
        assert (costs.rate is None) == (costs.kind == "measured")


def test_what_is_wrong_is_told_in_a_sentence(capsys):
    for words, told in [
        (["digit"], "unknown profile 'digit'; known: "),
        (["digits", "--on", "moon"], "unknown place 'moon'; known: "),
        (["digits", "--workers", "0"], "must be positive"),
        (["digits", "--gpu", "no.json"], "holds no measured rate of a training"),
    ]:
        assert planning.main(words) == 2
        found = capsys.readouterr()
        assert told in found.err
        assert found.out == ""


@pytest.mark.parametrize("option", ["--queue", "--startup"])
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "soon"])
def test_seconds_that_are_none_are_refused(option, value, capsys):
    with pytest.raises(SystemExit):
        planning.main(["digits", f"{option}={value}"])
    told = f"{option}: must be a number of seconds, 0 or more, got '{value}'"
    assert told in capsys.readouterr().err


def test_a_cluster_that_groups_jobs_is_said_to_be_planned_without_groups(capsys):
    for place, grouped in [("local", False), ("slurm", True), ("kubernetes", True)]:
        assert planning.main(["digits", "--on", place]) == 0
        told = f"each job alone, not grouped: profiles/{place}/ hands several to the cluster as one"
        assert (told in capsys.readouterr().out) == grouped
        assert planning.main(["digits", "--on", place, "--json"]) == 0
        left_out = json.loads(capsys.readouterr().out)["groups_left_out"]
        assert left_out == (place if grouped else None)


def test_jobs_that_are_done_are_looked_for_where_the_run_lies(tmp_path, capsys):
    path = tmp_path / "elsewhere" / "digits" / "jobs" / "09_audit" / "all.done"
    path.parent.mkdir(parents=True)
    path.touch()
    run = path.parents[2]
    assert planning.main(["digits", "--run", str(run)]) == 0
    assert f"of which 1 are done by the .done files in {run};" in capsys.readouterr().out


def test_a_measured_rate_takes_the_place_of_the_assumed_one(tmp_path, monkeypatch, capsys):
    path = tmp_path / "gpu.json"
    rates = [
        {"work": "training, ResNet-18 of width 64, batch 512, augmented", "flops": 31e12},
        {"work": "Spotter step alone, ResNet-18 of width 64, batch 128", "flops": 11e12},
    ]
    path.write_text(json.dumps({"about": {"hardware": "Card 9000"}, "rates": rates}))
    monkeypatch.setattr(planning, "costs_path", lambda name: tmp_path / f"{name}.costs.json")
    save_costs(COUNTED, tmp_path / "cifar10.costs.json")
    assert planning.main(["cifar10", "--gpu", str(path)]) == 0
    assert "31 TFLOP/s a GPU, measured on Card 9000, gpu.json" in capsys.readouterr().out
    path.rename(tmp_path / "cifar10.gpu.json")  # beside the costs it is found
    assert planning.main(["cifar10"]) == 0
    assert "Card 9000" in capsys.readouterr().out
    assert planning.main(["cifar10", "--tflops", "50"]) == 0
    assert "50 TFLOP/s a GPU, ASSUMED" in capsys.readouterr().out


def test_a_plan_is_made_within_seconds_and_nothing_is_started(tmp_path):
    words = [sys.executable, "-m", "spotter_core.planning", "cifar10", "--json"]
    start = time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True, check=True, cwd=project_root())
    assert time.perf_counter() - start < 20  # half a second where nobody else works
    assert json.loads(ended.stdout)["cells"] == 30


def test_on_two_workers_the_digits_end_within_a_tenth_of_what_is_possible():
    graph = Graph(load_profile("digits"))
    schedule = Plan(graph, load_costs(costs_path("digits")), project_root() / "nowhere").on(2)
    assert schedule.makespan <= 1.1 * schedule.bound  # what takes long must not begin late
