"""The digits through a real SLURM and what goes wrong on one: the rows are those of one machine.

Run by `make test-slurm`. What was measured is left in runs/slurm/measured.json.
"""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from slurm_cluster import NODES, Slurm, lacking, wait_for
from test_notebooks import ROOT

from spotter_core.checkpoints import load_tensors
from spotter_core.files import write_text_atomically

pytestmark = [
    *(pytest.mark.slow, pytest.mark.slurm),
    pytest.mark.skipif(bool(lacking()), reason=lacking()),
]
LIMIT = 3600
"""Seconds that a study may take; on two cores the digits take 12 minutes, here with the start of
every job on top."""
OUTAGE = 60
"""Seconds without a controller: several times as long as the study waits before it asks again."""
OFTEN = "--slurm-init-seconds-before-status-checks 5 --seconds-between-status-checks 5"
"""How often jobs are asked for; the 40 s that suit a cluster make the test longer, not better."""


def tracked():
    """The files of the checkout, as they lie here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def checkout(folder):
    """A copy of the checkout that shares the environment, which needs no second one."""
    for name in tracked():
        if not name.startswith("figures/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    for stamp in (".venv/.ready", ".tools/slurm/.ready"):
        (folder / stamp).touch()  # the copies of the pins are newer
    return folder


def make(folder, *words):
    """Start a study as the README says."""
    log = (folder / "study.log").open("w")
    ours = ("PYTEST", "PYTHONPATH", "MAKE", "MFLAGS", "ARGS", "PROFILE", "ON", "RUNS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    with log:
        return subprocess.Popen(
            ["make", "study", *words], cwd=folder, env=environment, start_new_session=True,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


def finish(process, folder):
    """Wait for a study's end and fail, with its log, unless it ended well."""
    status = process.wait(timeout=LIMIT)
    assert status == 0, (folder / "study.log").read_text()


@pytest.fixture(scope="module")
def measured():
    """Numbers of this run, kept if it came to its end."""
    found = {}
    yield found
    if "slurm_s" not in found:
        return
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    write_text_atomically(ROOT / "runs" / "slurm" / "measured.json", text)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, measured):
    """The digits on this machine without any scheduler."""
    folder = checkout(tmp_path_factory.mktemp("alone"))
    begun = time.monotonic()
    finish(make(folder), folder)
    measured["local_s"] = round(time.monotonic() - begun)
    return folder


@pytest.fixture
def slurm(tmp_path_factory):
    with Slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def results(folder):
    """All rows of a run, as bytes, and the weights of all models."""
    run = folder / "runs" / "digits"
    rows = {p.relative_to(run): p.read_bytes() for p in (run / "rows").rglob("*.json")}
    models = {}
    for path in (run / "models").rglob("*.safetensors"):
        tensors, _ = load_tensors(path)
        models[path.relative_to(run)] = {n: t.numpy().tobytes() for n, t in tensors.items()}
    return rows, models


def done(folder):
    """The steps that ended well."""
    jobs = folder / "runs" / "digits" / "jobs"
    return {f"{path.parent.name}/{path.stem}" for path in jobs.rglob("*.done")}


def kill_a_job(slurm, folder, measured):
    """Kill the first job once a model is there; return when it runs again, with what was kept."""
    models = folder / "runs" / "digits" / "models"
    wait_for(lambda: list(models.rglob("original.safetensors")), 300, "a first model")
    kept = {p: p.stat().st_mtime_ns for p in models.rglob("original.safetensors")}
    wait_for(slurm.running, 60, "a job")
    first = slurm.running()[0].job
    assert "gres:gpu:1" in slurm.ask("scontrol", "show", "job", first)
    slurm.ask("scancel", "--full", "--signal=KILL", first)
    killed = time.monotonic()
    wait_for(lambda: [j for j in slurm.running() if j.job != first], 300, "the second try")
    measured["killed_job_until_running_again_s"] = round(time.monotonic() - killed)
    return kept


def drain_a_node(slurm, folder):
    """Drain a node that works: it ends what it has and gets nothing new. Return its name."""
    old = {job.job for job in slurm.running()}
    wait_for(lambda: {j.job for j in slurm.running()} - old, 900, "a part of notebook 02")
    assert "01_train_and_retrain/all" in done(folder)
    running = slurm.running()
    before = {job.job for job in running}
    node = running[-1].node
    slurm.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    wait_for(lambda: {"02_unlearn/part0", "02_unlearn/part1"} <= done(folder), 900, "both parts")
    wait_for(lambda: {j.job for j in slurm.running()} - before, 300, "new jobs")
    others = set(NODES) - {node}
    assert {job.node for job in slurm.running() if job.job not in before} == others
    return node


def restart_the_controller(slurm, folder):
    """Kill the controller and start it again after a while: what runs goes on, or has ended well.

    Not before it has written down that the jobs run: one that does not know would start them again.
    """
    running = None
    while not running or running != slurm.working():
        wait_for(slurm.working, 300, "the work of all jobs")
        running, before, begun = slurm.working(), done(folder), time.time()
        wait_for(lambda since=begun: slurm.written() > since, 120, "the controller's notes")
    slurm.stop_controller()
    time.sleep(OUTAGE)
    ended = done(folder) - before  # by what ran: nobody was there to start another job
    slurm.start_controller()
    going = len(running) - len(ended)
    wait_for(
        lambda: len(running & {job.job for job in slurm.running()}) >= going,
        60,
        f"that {going} of the jobs {running} go on, as {ended} ended meanwhile,",
    )


def test_killed_job_drained_node_and_restarted_controller_change_no_row(
    slurm, alone, measured, tmp_path
):
    folder = checkout(tmp_path / "shared")
    begun = time.monotonic()
    with (folder / "profiles" / "digits.yaml").open("a") as profile:
        profile.write("\ngpus: 1\n")
    study = make(folder, "ON=slurm", f"ARGS={OFTEN}")
    try:
        kept = kill_a_job(slurm, folder, measured)
        node = drain_a_node(slurm, folder)
        restart_the_controller(slurm, folder)
        assert slurm.states()[node].startswith("drain")  # is known still
        wait_for(lambda: slurm.has_heard_of(node), 120, "the node's answer")
        slurm.ask("scontrol", "update", f"nodename={node}", "state=resume")
        finish(study, folder)
    except BaseException:
        print((folder / "study.log").read_text())
        raise
    finally:
        if study.poll() is None:
            os.killpg(study.pid, signal.SIGKILL)
            study.wait()
    took = round(time.monotonic() - begun)

    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # finished is finished
    rows, weights = results(folder)
    wanted_rows, wanted_weights = results(alone)
    assert len(wanted_rows) >= 10 * 6
    assert rows == wanted_rows
    assert weights == wanted_weights
    pictures = sorted((alone / "figures" / "digits").glob("*.json"))
    assert pictures
    for path in pictures:
        assert (folder / "figures" / "digits" / path.name).read_bytes() == path.read_bytes()
    measured["slurm_s"] = took
