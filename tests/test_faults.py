"""What a fault leaves: nothing finished is lost, nothing wrong is accepted, the next start ends it.

Most faults meet the tiny notebooks of ``test_graph``; a kill meets real models and rows, too.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import ROOT, Faulty, disk, processes_in, surroundings
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

    def times(self):
        paths = (self.run / "rows").rglob("forget*")
        return {path: path.stat().st_mtime_ns for path in paths if path.is_file()}


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


def unfinished(running, moment):
    """Wait for so many seconds; return whether it still runs."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(moment)
    return running.poll() is None


# --- a kill ---------------------------------------------------------------------------------------


def test_killed_at_ten_random_moments_a_study_ends_with_equal_rows(tmp_path):
    whole = Tiny(tmp_path / "whole", pause=0.2)
    begun = time.monotonic()
    status, text = whole.start()
    assert status == 0, text
    length, draw = time.monotonic() - begun, random.Random(0)
    study, round_, cut_off = None, 0, 0
    for _ in range(10):
        if study is None:
            round_ += 1
            study = Tiny(tmp_path / f"round{round_}", pause=0.2)
        before, running = study.times(), study.begin()
        cut_off += unfinished(running, draw.uniform(0.0, length))
        study.kill(running, orphans=False)
        now = study.times()
        assert {path: now.get(path) for path in before} == before
        if study.done_file(NAMES[-1]).exists():
            assert study.start()[0] == 0
            assert study.graph.rows() == whole.graph.rows()
            study = None
    assert cut_off >= 5  # most kills met a study at work
    if study is not None:
        before = study.times()
        assert study.start()[0] == 0
        assert study.graph.rows() == whole.graph.rows()
        assert {path: study.times()[path] for path in before} == before


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Real models and rows of a small study, up to the first part of notebook 02."""
    study = Real(tmp_path_factory.mktemp("undisturbed"))
    begun = time.monotonic()
    status, text = study.start()
    assert status == 0, text
    study.length = time.monotonic() - begun
    assert processes_in(study.folder) == []
    return study


class Real(Faulty):
    """Real notebooks, up to the first part of notebook 02."""

    def __init__(self, folder):
        made = Faulty.copied(folder)
        super().__init__(made.folder, made.name)

    def done_file(self, step, job="all"):
        return super().done_file("02_unlearn", "part0")


@pytest.mark.timeout(900)
def test_killed_with_or_without_its_kernels_a_study_ends_with_equal_models_and_rows(
    undisturbed, tmp_path
):
    study, draw = Real(tmp_path), random.Random(1)
    expected = undisturbed.content()
    assert len(expected) >= 6
    for index in range(2):
        before, running = study.finished(), study.begin()
        unfinished(running, draw.uniform(0.4, 0.9) * undisturbed.length)
        study.kill(running, orphans=index % 2 == 0)  # those that stay write beside the next start
        now = study.finished()
        assert {name: now.get(name) for name in before} == before
    before = study.finished()
    assert before
    status, text = study.start()
    assert status == 0, text
    assert study.content() == expected
    assert {name: study.finished()[name] for name in before} == before
    assert study.planned() == set()


# --- a disk ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kilobytes", [4, 48])
def test_a_full_disk_is_told_and_once_it_is_larger_the_next_start_ends_it(
    tmp_path, own_disk, kilobytes
):
    study = Tiny(tmp_path, stand_in=False)
    study.graph.write("02_unlearn", "print('x' * 40_000)")
    small = own_disk(study.folder / "runs", f"{kilobytes}k")
    status, text = study.start(target=NAMES[1])
    assert status != 0
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert processes_in(study.folder) == []
    before = study.times()
    small.resize("50m")
    status, text = study.start(target=NAMES[1])
    assert status == 0, text
    assert {path: study.times()[path] for path in before} == before
    assert all(text.endswith(")") for text in study.graph.rows().values())  # none is half of one


def test_a_full_disk_below_snakemakes_records_hides_no_change(tmp_path, own_disk):
    study = Tiny(tmp_path)
    small = own_disk(study.folder / ".snakemake", "16k")
    status, text = study.start()
    assert status != 0, text
    assert "No space left on device" in text
    small.resize("50m")
    study.graph.write("01_train_and_retrain", "print('changed')")
    planned = {f"02_unlearn (part{i})" for i in range(2)}
    assert study.planned() >= planned | jobs("01_train_and_retrain", "03_over_unlearning")
    assert study.start()[0] == 0
    assert study.planned() == set()


def test_a_read_only_disk_is_told_and_once_it_is_writable_the_next_start_ends_it(
    tmp_path, own_disk
):
    study = Tiny(tmp_path, stand_in=False)
    own = own_disk(study.folder / "runs", "50m")
    assert study.start(target=NAMES[0])[0] == 0
    before = study.times()
    own.read_only()
    status, text = study.start()
    assert status != 0
    assert "Read-only file system" in text
    assert "Traceback" not in text
    own.writable()
    assert study.start()[0] == 0
    assert {path: study.times()[path] for path in before} == before


# --- a notebook -----------------------------------------------------------------------------------

DEAF = """import os, signal
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_IGN)
Path("kernel").write_text(str(os.getpid()))
time.sleep(1000)"""


def test_a_cell_that_hangs_is_ended_with_its_kernel_and_the_others_go_on(tmp_path):
    study = Tiny(tmp_path, stand_in=False)
    snakefile = study.folder / "Snakefile"
    text = snakefile.read_text(encoding="utf-8")
    assert "$((60 * (" in text
    snakefile.write_text(text.replace("$((60 * (", "$((8 + 0 * ("), encoding="utf-8")
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
    assert study.start()[0] == 0


def test_rows_are_equal_once_a_notebook_that_raised_is_mended(tmp_path):
    whole, study = Tiny(tmp_path / "whole"), Tiny(tmp_path / "raised")
    assert whole.start()[0] == 0
    study.graph.write("02_unlearn", "raise KeyError('weights')")
    assert study.start()[0] != 0
    before = study.times()
    study.graph.write("02_unlearn")
    assert study.start()[0] == 0
    assert study.graph.rows() == whole.graph.rows()
    assert {path: study.times()[path] for path in before} == before


# --- two studies ----------------------------------------------------------------------------------


def test_a_second_study_in_a_folder_is_refused_and_the_first_one_ends(tmp_path):
    study = Tiny(tmp_path, pause=1.5)
    study.profile()
    first = study.begin()
    while not study.times():
        assert first.poll() is None
        time.sleep(0.05)
    for profile in ("digits", "faults"):  # of the same settings, of others
        status, text = Faulty(study.folder, profile).start()
        assert status != 0
        assert "Another `make study` is running in this folder: wait for its end" in text
        assert "Traceback" not in text
    assert first.wait() == 0
    assert study.planned() == set()


def test_a_study_beside_another_that_goes_round_the_lock_leaves_equal_rows(tmp_path):
    whole = Tiny(tmp_path / "whole")
    assert whole.start()[0] == 0
    study = Tiny(tmp_path / "twice", pause=0.3)
    first = study.begin()
    while not study.times():
        assert first.poll() is None
        time.sleep(0.05)
    words = [sys.executable, "-m", "snakemake", "--nolock", "--config", "profile=digits", "--"]
    words.append(str(study.done_file(NAMES[-1]).relative_to(study.folder)))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    second = subprocess.Popen(words, cwd=study.folder, env=surroundings(), **quiet)
    second.wait()
    first.wait()  # one may have taken the other's file for its own; the next start mends it
    assert study.start()[0] == 0
    assert study.graph.rows() == whole.graph.rows()
    assert study.planned() == set()
