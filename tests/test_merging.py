"""The command that joins runs of several machines, its report, and the summary from rows alone."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_runs import CLUSTER, LAPTOP, content, made_rows, write

from spotter_core.checkpoints import save_tensors
from spotter_core.claims import claims_table, judge, main_table, to_markdown
from spotter_core.merging.__main__ import main
from spotter_core.merging.summary import ATTACKED, NEEDED
from spotter_core.results import load_file, load_rows, to_frame

FIGURES = Path(__file__).resolve().parents[1] / "figures" / "digits"
CELL, OTHER = "forget3-seed0", "forget8-seed0"


@pytest.fixture
def run(capsys):
    """Runs the command; returns its status, its lines, and what went to stderr."""

    def call(*words):
        status = main([str(word) for word in words])
        told = capsys.readouterr()
        return status, told.out.splitlines(), told.err

    return call


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "a", tmp_path / "b", tmp_path / "into"


# --- joined and reported --------------------------------------------------------------------------


def test_halves_become_a_whole_and_the_report_says_where_each_is_from(run, runs):
    a, b, into = runs
    write(a, CELL)
    write(b, OTHER, about=CLUSTER)
    status, lines, _ = run(a, b, "--into", into)
    assert status == 0
    assert lines[-1] == "2 files, 0 damaged, 0 in conflict"
    report = json.loads((into / "merged.json").read_text())
    files = report["files"]
    assert files[f"rows/accuracies/{CELL}.json"]["from"] == str(a)
    machine = "cuda on NVIDIA H100, Linux x86_64, torch 2.15.0+cu132, Python 3.11.7"
    assert files[f"rows/accuracies/{OTHER}.json"]["machine"] == machine
    assert not (into / "conflicts.csv").exists()


def test_conflicts_are_shown_worst_first_all_in_a_file_and_counted_in_the_last_line(run, runs):
    a, b, into = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.4, about=CLUSTER)
    write(a, OTHER, 0.5)
    write(b, OTHER, 0.5, rows=[*made_rows(OTHER)[:-1], *made_rows(OTHER, math.nan)[-1:]])
    status, lines, _ = run(a, b, "--into", into)
    assert status == 1
    told = "\n".join(lines)
    assert f"rows/accuracies/{CELL}.json: other numbers, 6 numbers differ, by 0.2 at most" in told
    assert f"here: {a}, profile made, cpu on CPU, 2 cores" in told
    assert f"there: {b}, profile made, cuda on NVIDIA H100" in told
    end = f"0 files, 0 damaged, 2 in conflict (7 numbers): {into / 'conflicts.csv'}"
    assert lines[-1] == end
    table = pd.read_csv(into / "conflicts.csv")
    assert len(table) == 7
    assert table["difference"].tolist() == sorted(table["difference"], reverse=True)
    worst = table.iloc[0]
    assert (worst["measurement"], worst["cell"], worst["method"]) == (
        "accuracies",
        OTHER,
        "spotter",
    )
    assert (worst["here"], worst["at"], worst["measure"]) == (0.5, '{"k": 1}', "accuracy")
    assert math.isinf(worst["difference"])
    assert (table.iloc[1]["here from"], table.iloc[1]["there from"]) == (str(a), str(b))
    assert list(content(into)) == ["conflicts.csv", "merged.json"]


def test_only_the_last_digits_are_said_to_be_so_and_taken_when_asked(run, runs):
    a, b, into = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.5 + 1e-8)
    status, lines, _ = run(a, b, "--into", into)
    assert status == 1
    assert "only in the last digits, --tolerance 1e-05 takes them as equal" in "\n".join(lines)
    status, lines, _ = run(a, b, "--into", into, "--tolerance", "1e-5")
    assert status == 0
    assert "versions differ only in the last digits, by 2e-08 at most" in "\n".join(lines)
    assert not (into / "conflicts.csv").exists()  # that of before is gone


def test_other_code_is_named_even_where_all_numbers_are_equal(run, runs):
    a, b, into = runs
    write(a, CELL)
    write(b, CELL, about=LAPTOP | {"work": "v", "hardware": "theirs"}, fingerprint="g")
    status, lines, _ = run(a, b, "--into", into)
    told = "\n".join(lines)
    assert status == 1
    assert "made by other code or settings, 0 numbers differ" in told
    assert "cpu on theirs" in told
    assert "1 in conflict (0 numbers)" in lines[-1]
    assert len(pd.read_csv(into / "conflicts.csv")) == 1


def test_whom_is_preferred_is_recorded(run, runs):
    a, b, into = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.4)
    status, lines, _ = run(a, b, "--into", into, "--prefer", b)
    assert status == 0
    assert "1 in conflict (6 numbers, 1 settled)" in lines[-1]
    report = json.loads((into / "merged.json").read_text())
    assert report["about"]["prefer"] == str(b)
    assert report["settled"] == {f"rows/accuracies/{CELL}.json": str(b)}
    assert set(pd.read_csv(into / "conflicts.csv")["settled"]) == {str(b)}


def test_the_order_of_the_folders_reaches_nothing_that_is_written(run, runs, tmp_path):
    a, b, _ = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.4)
    write(b, OTHER)
    left = []
    for number, order in enumerate([(a, b), (b, a)]):
        into = tmp_path / str(number) / "into"
        assert run(*order, "--into", into)[0] == 1
        left.append(content(into))
    assert left[0] == left[1]


def test_a_folder_merged_with_itself_is_left_as_it_is(run, runs):
    a, _, _ = runs
    write(a, CELL)
    before = content(a)
    status, lines, _ = run(a, "--into", a)
    assert (status, lines) == (0, ["1 files, 0 damaged, 0 in conflict"])
    assert content(a) == before


def test_a_damaged_file_is_named(run, runs):
    a, b, into = runs
    path = write(a, CELL)
    path.write_bytes(path.read_bytes()[:-9])
    write(b, OTHER)
    status, lines, _ = run(a, b, "--into", into)
    assert status == 0
    assert lines[0].startswith(f"left out: rows file {path} can't be read")
    assert lines[-1] == "1 files, 1 damaged, 0 in conflict"


def test_models_are_joined_when_asked(run, runs):
    import torch

    a, b, into = runs
    for one, value in ((a, 1.0), (b, 2.0)):
        write(one, CELL)
        path = one / "models" / CELL / "delete.safetensors"
        save_tensors({"w": torch.full((2,), value)}, path, settings="s")
    assert run(a, b, "--into", into)[0] == 0
    assert not (into / "models").exists()
    assert run(a, b, "--into", into, "--models")[0] == 1
    (line,) = pd.read_csv(into / "conflicts.csv").to_dict("records")
    assert (line["measurement"], line["cell"], line["method"]) == ("model", CELL, "delete")
    assert (line["measure"], line["here"], line["there"]) == ("w", 1.0, 2.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "one of --into and --summary is needed"),
        (["a", "--into", "c", "--tolerance", "2"], "tolerance must lie in"),
        (["nowhere", "--into", "c"], "nowhere holds no rows"),
        (["a", "--into", "c", "--prefer", "b"], "prefer must be one of c, a; got b"),
        (["a", "--summary", "out"], "no cell has rows of accuracies, over_unlearning_everywhere"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(run, runs, monkeypatch, words, message):
    write(runs[0], CELL)
    monkeypatch.chdir(runs[0].parent)
    status, _, error = run(*words)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


# --- summarised -----------------------------------------------------------------------------------

MEASURED = {
    "accuracies": ("accuracy", "images_read", "diverged"),
    "over_unlearning_everywhere": ("over_unlearning", "residual_forget_mass", "conditional_shift"),
    "relearning": ("pra_accuracy",),
    "dispersion": ("mean_cosine",),
    "head_attacks": ("relearned", "excess", "excess_low", "excess_high"),
}
"""Measurements, and the measures that the committed rows have of them."""


@pytest.fixture(scope="module")
def undivided(tmp_path_factory):
    """A run folder with the rows of the digits that stand behind the committed tables."""
    folder = tmp_path_factory.mktemp("undivided")
    rows = load_rows(FIGURES / "08_summary.json")
    for forget, seed in dict.fromkeys((row.forget, row.seed) for row in rows):
        own = [row for row in rows if (row.forget, row.seed) == (forget, seed)]
        for name, measures in MEASURED.items():
            chosen = [row for row in own if row.measure in measures]
            write(folder, f"forget{forget}-seed{seed}", measurement=name, rows=chosen)
    return folder


@pytest.fixture
def halves(undivided, tmp_path):
    """The same in two folders, by cell, the second of another machine."""
    files = sorted((undivided / "rows").rglob("*.json"))
    cells = sorted({path.stem for path in files})
    for path in files:
        second = cells.index(path.stem) % 2
        rows, about = load_file(path)
        run = tmp_path / ("cluster" if second else "laptop")
        made = {**CLUSTER, "fingerprint": "g"} if second else about
        write(run, path.stem, measurement=path.parent.name, rows=rows, about=made)
    return tmp_path / "laptop", tmp_path / "cluster"


def test_a_summary_of_parts_is_that_of_the_undivided_run_and_the_committed_one(
    run, undivided, halves, tmp_path
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(undivided, "--summary", whole)[0] == 0
    status, lines, _ = run(*halves, "--into", tmp_path / "into", "--summary", parts)
    assert status == 0
    for name in ("08_main_table.md", "08_claims.md"):
        assert (parts / name).read_text() == (whole / name).read_text()
        assert (parts / name).read_text() == (FIGURES / name).read_text()
    assert load_rows(parts / "08_summary.json") == load_rows(whole / "08_summary.json")
    known = load_rows(FIGURES / "08_summary.json")
    assert sorted(map(repr, load_rows(parts / "08_summary.json"))) == sorted(map(repr, known))
    assert "measured on 2 machines" in "\n".join(lines)
    machines = (parts / "08_machines.md").read_text()
    assert machines.count("NVIDIA H100") > 10
    assert machines.count("CPU, 2 cores") > 10


def test_the_rows_of_a_summary_give_its_tables_again(run, halves, tmp_path):
    run(*halves, "--summary", tmp_path / "out")
    frame = to_frame(load_rows(tmp_path / "out" / "08_summary.json"))
    claims = (tmp_path / "out" / "08_claims.md").read_text()
    assert claims == to_markdown(claims_table(judge(frame))) + "\n"
    assert (
        len(main_table(frame))
        == (tmp_path / "out" / "08_main_table.md").read_text().count("\n") - 2
    )


def test_a_cell_that_is_not_whole_is_left_out_and_named(run, halves, tmp_path):
    laptop, cluster = halves
    (lost,) = sorted((cluster / "rows" / NEEDED[1]).iterdir())[:1]
    lost.unlink()
    shutil.rmtree(laptop / "rows" / ATTACKED)  # which no cell needs
    status, lines, _ = run(*halves, "--summary", tmp_path / "out")
    assert status == 0
    assert f"left out: {lost.stem} has no {NEEDED[1]}" in lines
    rows = load_rows(tmp_path / "out" / "08_summary.json")
    assert lost.stem not in {f"forget{row.forget}-seed{row.seed}" for row in rows}


@pytest.mark.parametrize("measurement", [NEEDED[1], ATTACKED])
@pytest.mark.parametrize("into", [False, True])
def test_a_cell_in_conflict_is_left_out_and_named_unless_it_is_settled(
    run, halves, tmp_path, measurement, into
):
    laptop, cluster = halves
    path = min((laptop / "rows" / measurement).iterdir())
    rows, about = load_file(path)
    other = [replace(rows[0], value=rows[0].value + 0.25), *rows[1:]]
    write(cluster, path.stem, measurement=measurement, rows=other, about=about)
    words = ["--into", tmp_path / "into"] if into else []
    status, lines, _ = run(*halves, *words, "--summary", tmp_path / "out")
    assert status == 1
    assert f"left out: {path.stem} is in conflict over {measurement}" in lines

    def cells():
        rows = load_rows(tmp_path / "out" / "08_summary.json")
        return {f"forget{row.forget}-seed{row.seed}" for row in rows}

    assert path.stem not in cells()
    assert run(*halves, *words, "--summary", tmp_path / "out", "--prefer", laptop)[0] == 0
    assert path.stem in cells()


def test_where_every_cell_is_in_conflict_there_is_no_summary_and_it_says_why(run, runs):
    a, b, _ = runs
    for name in NEEDED:
        write(a, CELL, 0.5, measurement=name)
        write(b, CELL, 0.4, measurement=name)
    status, _, error = run(a, b, "--summary", a.parent / "out")
    assert status == 2
    assert f"settle the conflicts of {CELL} (--prefer)" in error


def test_rows_of_two_profiles_are_refused_in_one_line(run, runs):
    a, b, into = runs
    write(a, CELL)
    write(b, OTHER, about=LAPTOP | {"profile": "theirs"})
    status, _, error = run(a, b, "--into", into)
    assert status == 2
    told = f"{a} has rows of made (Made); {b} has rows of theirs (Made)"
    assert error == f"merging: rows of several studies can't be joined: {told}\n"
    assert not into.exists()


def test_parts_of_other_code_have_no_common_summary(run, halves, tmp_path):
    for path in sorted((halves[1] / "rows" / "relearning").iterdir()):
        rows, about = load_file(path)
        write(
            halves[1], path.stem, measurement="relearning", rows=rows, about=about | {"work": "v"}
        )
    conflict = "forget9-seed9.json"
    for half, value in zip(halves, (0.1, 0.2), strict=True):
        rows = [replace(row, dataset="Digits") for row in made_rows("forget9-seed9", value)]
        write(half, "forget9-seed9", rows=rows)
    status, lines, error = run(*halves, "--summary", tmp_path / "out")
    assert status == 2
    assert f"rows/accuracies/{conflict}: other numbers" in "\n".join(lines)
    assert "relearning was measured by different code, data or settings" in error
    assert f"of {halves[1]}" in error
    assert not (tmp_path / "out" / "08_claims.md").exists()
