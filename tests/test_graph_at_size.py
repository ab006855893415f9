"""The graph of 10,000 cells: no cell is lost or made twice, and every command can be given."""

import json
from dataclasses import replace

import pytest
from benchmarks.graph import huge_cells, huge_profile

from spotter_core.graph import LONGEST_TEXT, NOTEBOOKS, ORIGINALS, Graph, Job
from spotter_core.profiles import load_profile

ARGUMENT = 128 * 1024
"""Bytes that Linux grants one argument."""


def huge(parts, **changes):
    content = huge_profile(parts)
    values = {key: content[key] for key in ("jobs", "methods")}
    return Graph(
        replace(
            load_profile("digits"),
            forget=tuple(map(tuple, content["forget"])),
            seeds=tuple(content["seeds"]),
            attacked=(),
            ablation_seeds=tuple(content["ablation_seeds"]),
            **(values | changes),
        )
    )


@pytest.mark.parametrize("parts", [200, 1000])
def test_every_cell_is_made_once_by_every_notebook(parts):
    graph, cells = huge(parts), huge_cells()
    assert len(set(cells)) == 10_000
    hard = [cell for cell in cells if cell.seed == 0]
    for name, notebook in NOTEBOOKS.items():
        made = [cell for job in graph.parts(name) for cell in graph.cells(job)]
        if notebook.of == "attacked":  # every part begins with its hard cells
            assert sorted(map(str, made)) == sorted(map(str, cells)), name
            assert graph.hard_cells(name) == hard
        else:
            assert made == (hard if notebook.of == "ablation" else cells), name
    originals = [graph.cells(job)[0].seed for job in graph.parts(ORIGINALS)]
    assert originals == list(range(10))


def test_every_part_waits_for_those_that_make_its_cells_and_for_no_other():
    graph = huge(1000)
    for job in graph.parts("03_over_unlearning"):
        (need,) = graph.needs(job)
        assert graph.cells(need) == graph.cells(job)
    uneven = huge(1000, jobs={"02_unlearn": 1000, "03_over_unlearning": 700})
    for job in uneven.parts("03_over_unlearning"):
        there = {cell for need in uneven.needs(job) for cell in uneven.cells(need)}
        assert set(uneven.cells(job)) <= there
        assert len(uneven.needs(job)) <= 3


def jobs_of(profile):
    """The jobs as the profile asks for them, counted without the graph."""
    divided = {name: count for name, count in profile.jobs.items() if NOTEBOOKS[name].of != "first"}
    found = {Job(name, "all") for name in NOTEBOOKS}
    found |= {Job(name, f"part{i}") for name, count in divided.items() for i in range(count)}
    return found | {Job(ORIGINALS, f"seed{seed}") for seed in profile.seeds}


def test_the_jobs_of_ten_thousand_cells_are_all_there_and_can_be_put_in_order():
    graph = huge(1000)
    found = graph.waits
    assert set(found) == jobs_of(graph.profile)
    assert len(found) == 10 * 1001 + 3 + 10  # three look at the first cell alone; ten seeds
    place = {job: i for i, job in enumerate(found)}
    assert all(place[need] < place[job] for job, needs in found.items() for need in needs)
    assert sum(len(needs) for needs in found.values()) < 60_000  # what Snakemake must look at


@pytest.mark.parametrize("parts", [200, 1000])
def test_no_command_is_longer_than_the_system_takes(parts):
    graph = huge(parts)
    for job in graph.jobs:
        if job.step != ORIGINALS:
            words = graph.parameters(job, "runs/huge", "figures/huge")
            text = " ".join(f"-p {name} '{json.dumps(value)}'" for name, value in words.items())
            assert len(text.encode()) < ARGUMENT - 20_000
    assert graph.parameters(Job("03_over_unlearning", "all"), "", "")["cells"] == ["all"]


def test_parts_too_large_to_be_named_are_refused_with_the_number_that_would_do():
    with pytest.raises(ValueError, match=r"set jobs of 02_unlearn to (\d+) or more, or to 1") as e:
        huge(1, jobs={"02_unlearn": 2})
    least = int(str(e.value).split(" or more")[0].split()[-1])
    graph = huge(1, jobs={"02_unlearn": least})
    longest = max(len(json.dumps([str(c) for c in share])) for share in graph.shares["02_unlearn"])
    assert longest <= LONGEST_TEXT + 2


@pytest.mark.parametrize("parts", [1, 3, 10, 30])
def test_every_part_of_the_battery_has_hard_cells_and_no_attacked_cell_is_left_out(parts):
    profile = replace(load_profile("cifar10"), jobs={"04b_relearning_battery": parts})
    graph, name = Graph(profile), "04b_relearning_battery"
    hard = set(graph.hard_cells(name))
    assert len(hard) == 10
    shares = graph.shares[name]
    assert len(shares) == min(parts, 10)
    assert sorted(map(str, profile.cells)) == sorted(str(c) for share in shares for c in share)
    counts = [len(hard & set(share)) for share in shares]
    assert min(counts) >= 1
    assert max(counts) - min(counts) <= 1


def test_a_divided_ablation_draws_when_the_rows_that_it_shows_are_measured():
    graph = Graph(load_profile("cifar10"))
    needs = set(graph.needs(Job("07_ablation", "all")))
    for other in ("03_over_unlearning", "04_prototypical_relearning", "05_embedding_dispersion"):
        assert set(graph.parts(other)) <= needs
    part = graph.needs(Job("07_ablation", "part0"))
    assert {need.step for need in part} == {"02_unlearn"}  # it measures its one cell itself
