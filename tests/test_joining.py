"""Layer 3: what is taken of several run folders, and what contradicts."""

import itertools
import math
from dataclasses import replace

import pytest
from made_runs import CLUSTER, LAPTOP, content, made_rows, write

from spotter_core.merging import joining
from spotter_core.merging.joining import (
    FINGERPRINT,
    MACHINE,
    NUMBERS,
    UNKNOWN,
    check_sources,
    join,
)

CELL, OTHER, THIRD = "forget3-seed0", "forget8-seed0", "forget3-seed1"
NAME = f"rows/accuracies/{CELL}.json"


@pytest.fixture
def runs(tmp_path):
    """Two run folders, a and b, and a target that is not there."""
    return tmp_path / "a", tmp_path / "b", tmp_path / "into"


def joined(into, *sources, **options):
    return join(check_sources(sources, into), into, **options)


def test_what_is_in_one_is_copied_and_what_is_equal_is_kept_once(runs):
    a, b, into = runs
    for run, cells in ((a, (CELL, OTHER)), (b, (CELL, THIRD))):
        for cell in cells:
            write(run, cell)
    found = joined(into, a, b)
    assert content(into) == content(a) | content(b)
    assert (found.conflicts, found.damaged, found.close) == ([], [], {})
    assert (found.taken[NAME].run, found.taken[NAME].also) == (a, (b,))
    assert len(found.taken) == 3


def test_a_folder_of_rows_itself_is_a_source(runs):
    a, _, into = runs
    write(a, CELL)
    joined(into, a / "rows")
    assert content(into) == content(a)


def test_equal_numbers_made_elsewhere_by_the_same_fingerprint_are_no_conflict(runs):
    a, b, into = runs
    write(a, CELL, math.nan)
    write(b, CELL, math.nan, about=LAPTOP | {"hardware": "CPU, 64 cores, 1 used"})
    found = joined(into, b, a)
    assert not found.conflicts
    assert content(into) == content(a)  # the first in the alphabet
    joined(into, b, a)
    assert content(into) == content(a)


def test_other_numbers_by_the_same_fingerprint_are_a_conflict_and_none_is_taken(runs):
    a, b, into = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.4)
    write(b, OTHER)
    found = joined(into, a, b)
    (conflict,) = found.unsettled
    assert (conflict.name, conflict.why) == (NAME, NUMBERS)
    assert (conflict.here[0], conflict.there[0]) == (a, b)
    assert len(conflict.differences) == 6
    assert list(content(into)) == [f"rows/accuracies/{OTHER}.json"]
    assert list(found.taken) == list(content(into))


def test_what_the_target_has_stays_in_a_conflict(runs):
    a, _, into = runs
    write(into, CELL, 0.5)
    write(a, CELL, 0.4)
    before = content(into)
    (conflict,) = joined(into, a).unsettled
    assert conflict.here[0] == into
    assert content(into) == before


@pytest.mark.parametrize(
    ("about", "why"), [(CLUSTER, MACHINE), (CLUSTER | {"work": "v"}, FINGERPRINT)]
)
def test_another_fingerprint_is_a_conflict_even_if_all_numbers_are_equal(runs, about, why):
    a, b, into = runs
    write(a, CELL)
    write(b, CELL, about=about, fingerprint="g")
    (conflict,) = joined(into, a, b).unsettled
    assert (conflict.why, conflict.differences) == (why, [])
    assert [side[1]["torch"] for side in (conflict.here, conflict.there)] == [
        LAPTOP["torch"],
        CLUSTER["torch"],
    ]
    assert not into.exists()


@pytest.mark.parametrize("tolerance", [0.0, 1e-7, 1e-6])
def test_last_digits_are_a_conflict_unless_the_tolerance_says_otherwise(runs, tolerance):
    a, b, into = runs
    write(a, CELL, 0.5)
    write(b, CELL, 0.5 * (1 + 5e-7))
    found = joined(into, b, a, tolerance=tolerance)
    if tolerance < 5e-7:
        assert [c.why for c in found.unsettled] == [NUMBERS]
        assert not into.exists()
    else:
        assert not found.conflicts
        assert found.close[NAME] == pytest.approx(5e-7, rel=1e-3)
        assert content(into) == content(a)


def test_a_missing_row_is_a_conflict_at_any_tolerance(runs):
    a, b, into = runs
    write(a, CELL)
    write(b, CELL, rows=made_rows(CELL)[1:])
    (conflict,) = joined(into, a, b, tolerance=0.9).unsettled
    assert [(d.here, d.there) for d in conflict.differences] == [(0.5, None)]


@pytest.mark.parametrize("who", ["a", "b", "into"])
def test_who_is_preferred_is_taken_and_the_conflict_is_said_to_be_settled(runs, who):
    a, b, into = runs
    for run, value in zip((a, b, into), (0.1, 0.2, 0.3), strict=True):
        write(run, CELL, value)
    write(b, OTHER, 0.1)
    write(into, OTHER, 0.2)  # a has no version of it
    chosen = {"a": a, "b": b, "into": into}[who]
    expected = content(chosen)[NAME]
    found = joined(into, a, b, prefer=chosen)
    assert content(into)[NAME] == expected
    assert {c.settled for c in found.conflicts if c.name == NAME} == {chosen}
    assert len(found.unsettled) == (who == "a")
    again = joined(into, a, b, prefer=chosen)
    assert content(into)[NAME] == expected
    assert len(again.unsettled) == len(found.unsettled)


def test_only_a_folder_that_takes_part_can_be_preferred(runs, tmp_path):
    a, b, into = runs
    write(a, CELL)
    with pytest.raises(ValueError, match=r"prefer must be one of .*a; got"):
        joined(into, a, prefer=b)


def test_the_order_of_the_folders_does_not_matter(runs, tmp_path):
    a, b, _ = runs
    c = tmp_path / "c"
    for run, value in ((a, 0.5), (b, 0.5 + 1e-9), (c, 0.5 + 2e-9)):
        write(run, CELL, value)
        write(run, OTHER, round(value, 3), about=LAPTOP | {"python": run.name})
        write(run, THIRD, value, about=LAPTOP | {"python": run.name})
    write(c, THIRD, 0.7)
    results = []
    for number, order in enumerate(itertools.permutations((a, b, c))):
        into = tmp_path / f"into{number}"
        found = joined(into, *order, tolerance=1e-6)
        results.append((content(into), found.conflicts, found.close, found.damaged))
    assert all(result == results[0] for result in results[1:])
    assert len(results[0][0]) == 2
    assert {c.name for c in results[0][1]} == {f"rows/accuracies/{THIRD}.json"}


def test_a_damaged_file_is_named_and_counts_as_none(runs):
    a, b, into = runs
    write(b, CELL)
    for run, cell in ((a, CELL), (a, OTHER), (into, CELL)):
        path = write(run, cell, 0.4)
        path.write_bytes(path.read_bytes().replace(b"0.4", b"0.5", 1))
    found = joined(into, a, b)
    assert len(found.damaged) == 3
    assert all("does not match its digest" in told for told in found.damaged)
    assert not found.conflicts
    assert list(content(into)) == [NAME]
    assert content(into)[NAME] == content(b)[NAME]


def test_a_folder_joined_with_itself_changes_nothing(runs):
    a, _, _ = runs
    write(a, CELL)
    stamps = {p: p.stat().st_mtime_ns for p in a.rglob("*")}
    assert check_sources([a, a / "." / ".." / "a"], a) == []
    found = joined(a, a)
    assert list(found.taken) == [NAME]
    assert {p: p.stat().st_mtime_ns for p in a.rglob("*")} == stamps


def test_a_folder_without_rows_is_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="a holds no rows: expected a run folder, such as"):
        check_sources([runs[0]], None)


@pytest.mark.parametrize("done", [0, 1, 2, 3])
@pytest.mark.parametrize("prefer", [False, True])
def test_a_killed_merge_is_started_again_with_the_same_result(
    runs, tmp_path, monkeypatch, done, prefer
):
    a, b, into = runs
    write(a, CELL, 0.1)
    write(b, CELL, 0.2)
    write(a, OTHER, 0.3)
    write(b, OTHER, 0.3, about=LAPTOP | {"python": "3.12"})
    write(b, THIRD)
    options = {"prefer": b} if prefer else {}
    joined(tmp_path / "unbroken", a, b, **options)
    written, real = [], joining.write_atomically

    def killed(path, data):
        if len(written) == done:
            raise KeyboardInterrupt
        written.append(path)
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(joining, "write_atomically", killed)
        if done < 2 + prefer:
            with pytest.raises(KeyboardInterrupt):
                joined(into, b, a, **options)
    found = joined(into, b, a, **options)
    assert content(into) == content(tmp_path / "unbroken")
    assert len(found.unsettled) == (not prefer)


def test_temporary_files_and_foreign_ones_are_not_joined(runs):
    a, _, into = runs
    path = write(a, CELL)
    path.with_name(f".{path.name}.x7.json").write_bytes(b"half")
    path.with_name("notes.json").write_text("{}")
    assert not joined(into, a).damaged
    assert list(content(into)) == [NAME]


@pytest.mark.parametrize("without", ["a", "b", "both"])
def test_files_that_do_not_say_what_made_them_are_equal_only_to_the_byte(runs, without):
    a, b, into = runs
    for run in (a, b):
        unknown = {"fingerprint": None} if without in (run.name, "both") else {}
        write(run, CELL, about=LAPTOP | {"python": run.name}, **unknown)
        write(run, OTHER, fingerprint=None)
    (conflict,) = joined(into, a, b).unsettled
    assert (conflict.name, conflict.why) == (NAME, UNKNOWN)
    assert list(content(into)) == [f"rows/accuracies/{OTHER}.json"]


def test_the_bytes_that_were_checked_are_those_that_are_copied(runs, monkeypatch):
    a, _, into = runs
    path = write(a, CELL)
    expected = path.read_bytes()

    def read(path, data):
        found = joining.read_rows(path, data)
        path.write_bytes(b"changed behind the check")
        return found

    kind = replace(joining.ROWS, read=read)
    join(check_sources([a], into), into, kinds=(kind,))
    assert (into / NAME).read_bytes() == expected


@pytest.mark.parametrize("key", ["profile", "dataset"])
@pytest.mark.parametrize("target", [False, True])
def test_rows_of_another_study_are_refused_before_anything_is_written(runs, key, target):
    a, b, into = runs
    other = into if target else b
    write(a, CELL)
    if key == "profile":
        write(other, OTHER, about=LAPTOP | {"profile": "cifar10"})
    else:
        write(other, OTHER, rows=[replace(row, dataset="CIFAR") for row in made_rows(OTHER)])
    before = content(into)
    told = {"profile": r"a has rows of made \(Made\)", "dataset": r"has rows of made \(CIFAR\)"}[
        key
    ]
    with pytest.raises(ValueError, match=rf"several studies can't be joined: .*{told}"):
        joined(into, *([a] if target else [a, b]))
    assert content(into) == before


def test_a_folder_of_a_profiles_name_takes_the_rows_of_no_other(runs, tmp_path):
    a, b, _ = runs
    write(a, CELL)
    into = tmp_path / "digits"
    with pytest.raises(ValueError, match=r"digits is for rows of digits, but .*a has rows of made"):
        joined(into, a)
    assert not into.exists()
    write(b, CELL, about=LAPTOP | {"profile": "digits"})
    joined(into, b)
    assert content(into) == content(b)


def test_rows_are_compared_by_all_that_identifies_them(runs):
    a, b, into = runs
    rows = made_rows(CELL)
    write(a, CELL, rows=rows)
    write(b, CELL, rows=[replace(row, at={"k": 2}) for row in rows])
    (conflict,) = joined(into, a, b).unsettled
    assert len(conflict.differences) == 2 * len(rows)
