"""Jobs of one machine compute on cards of their own, and share them where there are too few."""

import logging
import os
import subprocess
import sys

import pytest

from spotter_core import cards
from spotter_core.cards import VISIBLE, count_cards, take_cards

HOLD = """
import os, sys, time
from pathlib import Path
from spotter_core.cards import VISIBLE, take_cards
take_cards(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[1]))
print(os.environ.get(VISIBLE), flush=True)
time.sleep(60)
"""


@pytest.fixture
def hold(tmp_path):
    """Start a process that takes cards; return it and what it was given."""
    held = []
    environment = {k: v for k, v in os.environ.items() if k != VISIBLE}

    def start(wanted, count):
        words = [sys.executable, "-c", HOLD, str(tmp_path / "cards"), str(wanted), str(count)]
        held.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment))
        return held[-1], held[-1].stdout.readline().strip()

    yield start
    for process in held:
        process.kill()
        process.communicate()


@pytest.fixture
def free(tmp_path, monkeypatch):
    """Nothing is chosen yet; what this process takes is given back at the end."""
    monkeypatch.setenv(VISIBLE, "")
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setattr(cards, "_held", [])
    yield tmp_path / "cards"
    for lock in cards._held:
        os.close(lock)


def test_every_job_takes_a_card_of_its_own_and_a_killed_one_gives_it_back(hold):
    first, given = hold(1, 4)
    assert given == "0"
    assert hold(1, 4)[1] == "1"
    assert hold(2, 4)[1] == "2,3"
    first.kill()
    first.wait()
    assert hold(1, 4)[1] == "0"


def test_where_all_are_taken_one_is_shared_and_that_is_said(hold, free, caplog):
    hold(2, 2)
    with caplog.at_level(logging.WARNING):
        take_cards(1, 2, free)
    assert os.environ[VISIBLE] == "0"
    assert "shared with other jobs: all 2 are taken" in caplog.text


@pytest.mark.parametrize(("wanted", "count"), [(1, 0), (1, 1), (2, 1), (0, 4)])
def test_nothing_is_chosen_where_there_is_no_choice(free, wanted, count):
    take_cards(wanted, count, free)
    assert VISIBLE not in os.environ
    assert not free.exists()


def test_what_a_scheduler_chose_is_kept(free, monkeypatch):
    monkeypatch.setenv(VISIBLE, "3")
    take_cards(1, 4, free)
    assert os.environ[VISIBLE] == "3"
    assert not free.exists()


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("echo 'GPU 0: A (UUID: x)'; echo '  MIG 1g'; echo 'GPU 1: A (UUID: y)'", 2),
        ("echo 'No devices were found'; exit 6", 0),
    ],
)
def test_cards_are_counted_as_the_driver_lists_them(tmp_path, monkeypatch, script, count):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert count_cards() == count


def test_without_a_driver_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_cards() == 0
