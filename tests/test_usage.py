"""What a job took: counted exactly, kept in the executed copy, read from it."""

import json
import time

import pytest

from spotter_core import usage
from spotter_core.execute import keep_usage
from spotter_core.usage import Usage, read_usage, usage_since

pytest.importorskip("resource")


def test_processor_time_is_that_of_work_and_not_of_waiting():
    start = time.time()
    before = usage_since(start)
    sum(i * i for i in range(2_000_000))
    time.sleep(0.2)
    after = usage_since(start)
    worked = after.processor - before.processor
    assert 0.0 < worked <= after.seconds - before.seconds - 0.15
    assert after.memory > 10.0


def test_an_executed_copy_says_what_its_job_took_and_stays_a_notebook(tmp_path):
    path = tmp_path / "copy.ipynb"
    content = {"cells": [], "metadata": {"papermill": {"duration": 3}}, "nbformat": 4}
    path.write_text(json.dumps(content), encoding="utf-8")
    keep_usage(path, Usage(3.0, 2.5, 700.0))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert read_usage(found) == Usage(3.0, 2.5, 700.0)
    del found["metadata"]["spotter"]
    assert found == content
    assert read_usage(found) is None


def test_where_nobody_counts_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "resource", None)
    assert usage_since(0.0) is None
    keep_usage(tmp_path / "copy.ipynb", None)
    keep_usage(tmp_path / "copy.ipynb", Usage(1.0, 1.0, 1.0))  # nor where there is no copy
    assert list(tmp_path.iterdir()) == []
