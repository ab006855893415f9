"""What a fault leaves: nothing finished is lost, nothing wrong is accepted, the next start ends it.

Most faults meet the tiny notebooks of ``test_graph``; kills, files cut short and clocks meet real
models and rows. Each test ends with :func:`ends_as`.
"""

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import (
    ROOT,
    Faulty,
    cut_short,
    disk,
    edited,
    jump,
    killed_studies,
    processes_in,
    surroundings,
)
from test_graph import STAND_IN, copy_of_the_graph, jobs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="looks at processes of Linux"),
]
NAMES = ("01_train_and_retrain", "02_unlearn", "03_over_unlearning")


class Tiny(Faulty):
    """A graph of tiny notebooks, started by `make study`."""

    def __init__(self, folder, *, stand_in=True, pause=0.0):
        self.graph = copy_of_the_graph(folder)
        super().__init__(folder, "digits")
        shutil.copy(ROOT / "Makefile", folder)
        if stand_in:
            (folder / "spotter_core" / "execute.py").write_text(STAND_IN, encoding="utf-8")
        for name in NAMES:
            self.graph.write(name, pause=pause)

    def finished(self):
        paths = (self.run / "rows").rglob("forget*")
        return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}

    def content(self):
        return self.graph.rows(*NAMES)


class Real(Faulty):
    """Real notebooks, up to the first part of notebook 02; nothing is done, or what ``of`` did."""

    def __init__(self, folder, of=None):
        if of is None:
            Faulty.copied(folder)
        else:
            shutil.copytree(of.folder, folder, dirs_exist_ok=True)
        super().__init__(folder)

    def done_file(self, step, job="all"):
        return super().done_file("02_unlearn", "part0")


def run_through(study):
    """Let a study end undisturbed, and note how long that took."""
    begun = time.monotonic()
    status, text = study.start()
    assert status == 0, text
    study.length = time.monotonic() - begun
    assert processes_in(study.folder) == []
    return study


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Tiny notebooks undisturbed."""
    return run_through(Tiny(tmp_path_factory.mktemp("tiny"), pause=0.2))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Real models and rows undisturbed."""
    study = run_through(Real(tmp_path_factory.mktemp("real")))
    assert len(study.content()) >= 6
    return study


def ends_as(study, whole, kept=None):
    """The next start completes; finished files are untouched, all is as if undisturbed.

    Args:
        study: That was disturbed.
        whole: The same undisturbed.
        kept: Files to be untouched and their times; all that are finished, by default.
    """
    before = study.finished() if kept is None else kept
    status, text = study.start()
    assert status == 0, text
    now = study.finished()
    assert {name: now.get(name) for name in before} == before
    assert study.content() == whole.content()
    assert study.planned() == set()


@pytest.fixture
def own_disk():
    """``own_disk(folder, size)`` puts a disk there; the test is skipped where none may be made."""
    with contextlib.ExitStack() as stack:

        def made(folder, size):
            try:
                return stack.enter_context(disk(folder, size))
            except (PermissionError, FileNotFoundError) as error:
                pytest.skip(str(error))

        yield made


# --- a kill ---------------------------------------------------------------------------------------


def test_killed_at_ten_random_moments_a_study_ends_with_equal_rows(tmp_path, tiny):
    number, met = itertools.count(), 0
    studies = killed_studies(
        lambda: Tiny(tmp_path / f"study{next(number)}", pause=0.2),
        len(tiny.finished()),
        tiny.length,
    )
    for study, starts in studies:
        assert [start.again for start in starts] == [[]] * len(starts)
        assert all(start.killed or start.status == 0 for start in starts)
        met += sum(start.killed for start in starts)
        ends_as(study, tiny)
    assert met == 10


@pytest.mark.timeout(900)
def test_killed_with_or_without_its_kernels_a_study_ends_with_equal_models_and_rows(real, tmp_path):
    study, draw = Real(tmp_path), random.Random(1)
    for orphans in (True, False):
        before, running = study.finished(), study.begin()
        # those that stay write beside the next start
        study.kill(running, after=draw.uniform(0.4, 0.9) * real.length, orphans=orphans)
        now = study.finished()
        assert {name: now.get(name) for name in before} == before
    assert study.finished()
    ends_as(study, real)


# --- a disk ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kilobytes", [4, 48])
def test_a_full_disk_is_told_and_once_it_is_larger_the_next_start_ends_it(
    tmp_path, own_disk, kilobytes, tiny
):
    study = Tiny(tmp_path, stand_in=False)
    study.graph.write("02_unlearn", "print('x' * 40_000)")
    small = own_disk(study.folder / "runs", f"{kilobytes}k")
    status, text = study.start(target=NAMES[1])
    assert status != 0
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert processes_in(study.folder) == []
    small.resize("50m")
    ends_as(study, tiny)


def test_a_full_disk_below_snakemakes_records_hides_no_change(tmp_path, own_disk, tiny):
    study = Tiny(tmp_path)
    small = own_disk(study.folder / ".snakemake", "16k")
    status, text = study.start()
    assert status != 0, text
    assert "No space left on device" in text
    small.resize("50m")
    study.graph.write("01_train_and_retrain", "print('changed')")
    planned = {f"02_unlearn (part{i})" for i in range(2)}
    assert study.planned() >= planned | jobs("01_train_and_retrain", "03_over_unlearning")
    ends_as(study, tiny)


def test_a_read_only_disk_is_told_and_once_it_is_writable_the_next_start_ends_it(
    tmp_path, own_disk, tiny
):
    study = Tiny(tmp_path, stand_in=False)
    own = own_disk(study.folder / "runs", "50m")
    assert study.start(target=NAMES[0])[0] == 0
    own.read_only()
    status, text = study.start()
    assert status != 0
    assert "Read-only file system" in text
    assert "Traceback" not in text
    own.writable()
    ends_as(study, tiny)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_models_and_rows_that_are_cut_short_are_made_again_and_no_other(real, tmp_path):
    study = Real(tmp_path, of=real)
    names = sorted(study.finished())
    cut = names[1::2]
    assert {Path(name).parts[0] for name in cut} == {"models", "rows"}
    cut_short(study.run / name for name in cut)
    study.done_file("02_unlearn").unlink()  # a job that has ended reads nothing
    kept = study.finished()
    ends_as(study, real, {name: kept[name] for name in names if name not in cut})


@pytest.mark.timeout(900)
@pytest.mark.parametrize("days", [-365, 1])
def test_after_a_clock_jumped_a_study_does_what_is_missing_alone(real, tmp_path, days):
    study = Real(tmp_path, of=real)
    lost = min(study.run.glob("rows/*/*.json"))
    lost.unlink()
    study.done_file("02_unlearn").unlink()
    jump(study.run, days)
    assert study.planned() == {"02_unlearn (part0)"}
    ends_as(study, real)


def test_a_core_file_edited_in_the_middle_stops_the_jobs_that_import_it(tmp_path, tiny):
    study = Tiny(tmp_path, stand_in=False)
    running = study.begin()
    while not study.finished():
        assert running.poll() is None
        time.sleep(0.05)
    with edited(study.folder / "spotter_core" / "_checks.py"):
        assert running.wait() != 0
    text = (study.folder / "printed.txt").read_text(encoding="utf-8")
    told = "FAILED 03_over_unlearning.ipynb: its code or the core's was changed after the study"
    assert told in text
    assert study.done_file("02_unlearn", "part0").exists()  # which does not import it
    assert not study.done_file("03_over_unlearning").exists()
    ends_as(study, tiny)


# --- a notebook -----------------------------------------------------------------------------------

DEAF = """import os, signal
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_IGN)
Path("kernel").write_text(str(os.getpid()))
time.sleep(1000)"""


def test_a_cell_that_hangs_is_ended_with_its_kernel_and_the_others_go_on(tmp_path, tiny):
    study = Tiny(tmp_path, stand_in=False)
    study.limit_cells(8)
    study.graph.write("03_over_unlearning", DEAF)
    files = [f"runs/digits/jobs/{name}/all.done" for name in (*NAMES[2:], "06_neighborhood_damage")]
    status, text = study.start("--", *files, target=None)
    assert status != 0
    assert "FAILED 03_over_unlearning.ipynb: a cell ran longer than the limit of 8 s" in text
    assert study.done_file("06_neighborhood_damage").exists()
    assert not study.done_file("03_over_unlearning").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((study.folder / "kernel").read_text()), 0)
    assert processes_in(study.folder) == []
    study.graph.write("03_over_unlearning")
    assert study.planned() == jobs("03_over_unlearning")
    ends_as(study, tiny)


def test_rows_are_equal_once_a_notebook_that_raised_is_mended(tmp_path, tiny):
    study = Tiny(tmp_path)
    study.graph.write("02_unlearn", "raise KeyError('weights')")
    assert study.start()[0] != 0
    study.graph.write("02_unlearn")
    ends_as(study, tiny)


# --- two studies ----------------------------------------------------------------------------------


def test_a_second_study_in_a_folder_is_refused_and_the_first_one_ends(tmp_path, tiny):
    study = Tiny(tmp_path, pause=1.5)
    study.profile()
    first = study.begin()
    while not study.finished():
        assert first.poll() is None
        time.sleep(0.05)
    for profile in ("digits", "faults"):  # of the same settings, of others
        status, text = Faulty(study.folder, profile).start()
        assert status != 0
        assert "Another `make study` is running in this folder: wait for its end" in text
        assert "Traceback" not in text
    assert first.wait() == 0
    ends_as(study, tiny)


def test_a_study_beside_another_that_goes_round_the_lock_leaves_equal_rows(tmp_path, tiny):
    study = Tiny(tmp_path, pause=0.3)
    first = study.begin()
    while not study.finished():
        assert first.poll() is None
        time.sleep(0.05)
    words = [sys.executable, "-m", "snakemake", "--nolock", "--config", "profile=digits", "--"]
    words.append(str(study.done_file(NAMES[-1]).relative_to(study.folder)))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    second = subprocess.Popen(words, cwd=study.folder, env=surroundings(), **quiet)
    second.wait()
    first.wait()  # one may have taken the other's file for its own; the next start mends it
    ends_as(study, tiny)
