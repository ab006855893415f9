"""The shape of a study: which jobs there are, whose cells they make, what each waits for."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_notebooks import ROOT

from spotter_core.graph import (
    FIRST,
    LONGEST_TEXT,
    NOTEBOOKS,
    OF_ONE_CELL,
    ORIGINALS,
    Graph,
    Job,
    Takes,
)
from spotter_core.profiles import known_profiles, load_profile

DIGITS = load_profile("digits")


def study(classes=3, seeds=2, jobs=None, **settings):
    """A study of so many classes, each forgotten with so many seeds."""
    forget = tuple((c,) for c in range(classes))
    plain = {"attacked": (), "ablation_seeds": ()} | settings
    return Graph(replace(DIGITS, forget=forget, seeds=tuple(range(seeds)), jobs=jobs, **plain))


def waits_for(graph, job):
    """All jobs that must have ended before a job begins."""
    found, open_ones = set(), [job]
    while open_ones:
        for other in graph.needs(open_ones.pop()):
            if other not in found:
                found.add(other)
                open_ones.append(other)
    return found


def looked_at(graph, job):
    """The cells that a job reads: of what looks at the first alone, this one."""
    cells = graph.cells(job)
    first = job.step != ORIGINALS and NOTEBOOKS[job.step].of == "first"
    return set(cells[:1] if first else cells)


DIVIDED = st.dictionaries(st.sampled_from(sorted(NOTEBOOKS)), st.integers(1, 9), max_size=6)


@given(classes=st.integers(1, 4), seeds=st.integers(1, 3), jobs=DIVIDED)
def test_every_cell_is_in_exactly_one_part_and_in_the_job_that_draws(classes, seeds, jobs):
    graph = study(classes, seeds, jobs)
    for name in NOTEBOOKS:
        parts = graph.parts(name)
        made = [cell for part in parts for cell in graph.cells(part)]
        own = graph.own_cells(name)
        if len(parts) > 1:
            assert sorted(made, key=str) == sorted(own, key=str)
            assert min(len(graph.cells(part)) for part in parts) >= 1
        assert len(parts) == min(jobs.get(name, 1), len(own))
        assert graph.cells(Job(name, "all")) == graph.profile.cells
    assert len(set(graph.jobs)) == len(graph.jobs)


@given(classes=st.integers(1, 4), seeds=st.integers(1, 3), jobs=DIVIDED)
def test_a_job_waits_for_all_that_makes_its_cells_and_for_nothing_that_comes_later(
    classes, seeds, jobs
):
    graph = study(classes, seeds, jobs)
    order = {job: i for i, job in enumerate(graph.jobs)}
    for job in graph.jobs:
        before = waits_for(graph, job)
        assert all(order[other] < order[job] for other in before)  # hence no circle either
        needed = () if job.step == ORIGINALS else NOTEBOOKS[job.step].needs
        for other in needed:
            makers = [part for part in graph.parts(other) if part in before]
            made = {cell for part in makers for cell in graph.cells(part)}
            assert looked_at(graph, job) <= made
        if job.draws and graph.is_divided(job.step):
            assert set(graph.parts(job.step)) <= before


def test_what_looks_at_the_first_cell_waits_for_its_models_alone():
    graph = study(3, 2, {"02_unlearn": 6})
    assert graph.needs(Job("00_tour", "all")) == [Job("02_unlearn", "part0")]
    assert graph.needs(Job("09_audit", "all")) == [Job("02_unlearn", "part0")]


def test_what_draws_names_none_for_which_its_parts_wait_anyway():
    """A thousand parts of two notebooks would else be looked at twice whenever one has ended."""
    graph = study(3, 2, {"02_unlearn": 6, "03_over_unlearning": 6})
    last = Job("03_over_unlearning", "all")
    assert graph.needs(last) == graph.parts("03_over_unlearning")
    assert set(graph.parts("02_unlearn")) <= waits_for(graph, last)
    # but what is divided by a few cells needs the others' models, too
    few = study(3, 2, {"02_unlearn": 6, "07_ablation": 3}, ablation_seeds=(0,))
    unlearned = [need for need in few.needs(Job("07_ablation", "all")) if need.step == "02_unlearn"]
    assert {cell.seed for need in unlearned for cell in few.cells(need)} == {1}


def test_a_part_waits_for_the_parts_of_its_own_cells_alone():
    graph = study(3, 2, {"02_unlearn": 6, "03_over_unlearning": 6})
    part = Job("03_over_unlearning", "part4")
    assert graph.needs(part) == [Job("02_unlearn", "part4")]
    coarse = study(3, 2, {"02_unlearn": 6, "03_over_unlearning": 2})
    assert coarse.needs(Job("03_over_unlearning", "part1")) == [
        Job("02_unlearn", f"part{i}") for i in (3, 4, 5)
    ]


def test_an_original_is_trained_once_a_seed_where_notebook_01_is_divided():
    graph = study(3, 2, {FIRST: 6})
    assert graph.parts(ORIGINALS) == [Job(ORIGINALS, "seed0"), Job(ORIGINALS, "seed1")]
    seed = {cell.seed for cell in graph.cells(Job(FIRST, "part5"))}
    assert graph.needs(Job(FIRST, "part5")) == [Job(ORIGINALS, f"seed{s}") for s in seed]
    assert study(3, 2).parts(ORIGINALS) == []


def test_parts_of_the_ablation_and_of_the_battery_share_the_cells_that_take_long():
    jobs = {"07_ablation": 9, "04b_relearning_battery": 9}
    graph = study(3, 3, jobs, ablation_seeds=(0,), attacked=((1,), (2,)))
    own = {name: [str(c) for p in graph.parts(name) for c in graph.cells(p)] for name in jobs}
    assert own["07_ablation"] == ["forget0-seed0", "forget1-seed0", "forget2-seed0"]
    assert len(own["04b_relearning_battery"]) == 6  # the attacked classes, with every seed
    for part in graph.parts("04b_relearning_battery"):  # who has none of them takes all for hard
        assert [cell.seed for cell in graph.cells(part)].count(0) == 1
    last = Job("04b_relearning_battery", "all")
    assert Job("02_unlearn", "all") in waits_for(graph, last)


def test_no_list_of_cells_outgrows_an_argument_of_a_command():
    graph = study(10, 1000, {"02_unlearn": 200})
    assert len(graph.profile.cells) == 10_000
    for job in (Job("02_unlearn", "all"), *graph.parts("02_unlearn")):
        cells = graph.parameters(job, "runs/x", "figures/x")["cells"]
        assert cells == ["all"] or sum(len(cell) + 4 for cell in cells) <= LONGEST_TEXT


def test_too_few_parts_for_so_many_cells_are_refused_with_how_many_would_do():
    with pytest.raises(ValueError, match=r"set jobs of 02_unlearn to \d+ or more, or to 1"):
        study(10, 2000, {"02_unlearn": 2})


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_number_of_parts_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match=r"jobs of 02_unlearn must be a number of parts, at least"):
        study(jobs={"02_unlearn": count})


def test_a_notebook_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"jobs names \['02_unlern'\]; notebooks: .*02_unlearn"):
        study(jobs={"02_unlern": 2})


@pytest.mark.parametrize("name", known_profiles())
def test_the_profiles_divide_what_there_is(name):
    graph = Graph(load_profile(name))
    assert len(graph.jobs) >= len(NOTEBOOKS)


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_a_workflow_profile_names_groups_that_exist(name):
    """A misspelt one would join nothing, in silence."""
    path = ROOT / "profiles" / name / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    graph = study(3, 2, dict.fromkeys(OF_ONE_CELL, 6))
    groups = {graph.group(job) for job in graph.jobs} - {None}
    assert "pictures" in settings["group-components"]
    assert set(settings["group-components"]) <= groups


@pytest.mark.parametrize("jobs", [None, {"02_unlearn": 2}, dict.fromkeys(OF_ONE_CELL, 6)])
def test_nothing_waits_for_pictures_and_a_cell_is_joined_with_itself_alone(jobs):
    graph = study(3, 2, jobs)
    for job in graph.jobs:
        for other in graph.needs(job):
            assert graph.group(other) != "pictures"
            if graph.group(other) == "cells" and graph.group(job) == "cells":
                assert set(graph.cells(job)) == set(graph.cells(other))


def test_what_is_done_with_a_cell_is_joined_and_so_is_what_draws():
    graph = study(3, 2, {**dict.fromkeys(OF_ONE_CELL, 6), "06_neighborhood_damage": 3, FIRST: 6})
    groups = {}
    for job in graph.jobs:
        groups.setdefault(graph.group(job), set()).add(job)
    alike = ("02_unlearn", "03_over_unlearning", "04_prototypical_relearning")
    assert groups["cells"] == {Job(name, f"part{i}") for name in alike for i in range(6)}
    drawn = (*OF_ONE_CELL, "00_tour", "10_demo")
    assert groups["pictures"] == {Job(name, "all") for name in drawn}
    whole = study(3, 2)  # nothing is divided: every notebook makes what it shows
    assert {job.step for job in whole.jobs if whole.group(job)} == {"00_tour", "10_demo"}


def test_what_only_draws_takes_less():
    graph = Graph(replace(study(3, 2).profile, threads=4, minutes=120, memory=8000, gpus=1))
    assert graph.takes("02_unlearn") == graph.takes(ORIGINALS) == Takes(4, 120, 8000, 1)
    assert graph.takes("08_summary") == Takes(1, 30, 4000, 0)
    small = Graph(replace(graph.profile, minutes=5, memory=1500))
    assert small.takes("08_summary") == Takes(1, 5, 1500, 0)  # never more than the others
