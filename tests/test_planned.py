import json

import pytest

from spotter_core.execute import main
from spotter_core.notebooks import start
from spotter_core.planned import PLANNED, announce, refuse_changed, refuse_unplanned
from spotter_core.sources import notebook_fingerprint


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """``notebook(code)`` writes a notebook of one cell."""
    monkeypatch.setenv(PLANNED, "")  # and what a test sets is taken back
    path = tmp_path / "05_made.ipynb"

    def write(code):
        cell = {"cell_type": "code", "metadata": {}, "source": code, "outputs": []}
        path.write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
        return path

    return write


def test_what_was_planned_is_let_through_whatever_its_comments_say(notebook):
    planned = notebook_fingerprint(notebook("x = 1"))
    refuse_changed(notebook("x = 1  # one"), planned)


def test_other_code_than_was_planned_is_refused_with_what_to_do(notebook):
    planned = notebook_fingerprint(notebook("x = 1"))
    with pytest.raises(RuntimeError, match=r"05_made.ipynb: its code .* start the study again"):
        refuse_changed(notebook("x = 2"), planned)


def test_a_kernel_is_told_of_the_plan_and_its_notebook_starts_with_looking(notebook):
    refuse_unplanned()  # nothing was planned
    path = notebook("x = 1")
    announce(path, notebook_fingerprint(path))
    refuse_unplanned()
    notebook("x = 2")
    with pytest.raises(RuntimeError, match=r"05_made.ipynb: its code"):
        start({})


def test_a_job_of_other_code_ends_before_its_first_cell(notebook, tmp_path, capfd):
    path, log = notebook("raise KeyError"), tmp_path / "log.txt"
    status = main([str(path), str(tmp_path / "o.ipynb"), "--log", str(log), "--planned", "0" * 12])
    error = capfd.readouterr().err
    assert status == 1
    assert "FAILED 05_made.ipynb: its code or the core's was changed" in error
    assert "KeyError" not in error
    assert not (tmp_path / "o.ipynb").exists()
