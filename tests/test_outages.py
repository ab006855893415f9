"""Jobs that a plugin lost hold of are asked for again; the others as before."""

import asyncio
from types import SimpleNamespace

import pytest

from spotter_core.outages import survive_outages


def executor():
    """A class like the plugin's: its scheduler is there or not, its jobs run or have ended."""

    class Executor:
        answers, states, told = True, {}, []

        def report_job_success(self, job):
            self.told.append(("success", job.external_jobid))

        def report_job_error(self, job, msg=None):
            self.told.append(("error", job.external_jobid, msg))

        async def check_active_jobs(self, active_jobs):
            if self.answers:
                for job in active_jobs:
                    state = self.states.get(job.external_jobid, "RUNNING")
                    if state == "COMPLETED":
                        self.report_job_success(job)
                    elif state == "FAILED":
                        self.report_job_error(job, msg="lost")
                    else:
                        yield job

    return Executor()


JOBS = [SimpleNamespace(external_jobid=name) for name in "abc"]


def active(one, jobs):
    """The jobs that are still active, by name."""

    async def ask():
        return [job.external_jobid async for job in one.check_active_jobs(jobs)]

    return asyncio.run(ask())


@pytest.fixture
def patient():
    one = executor()
    survive_outages(type(one))
    return one


def test_jobs_are_active_still_where_nobody_answers(patient):
    plain = executor()
    plain.answers = patient.answers = False
    assert active(plain, JOBS) == []  # or nothing is mended here
    assert active(patient, JOBS) == ["a", "b", "c"]
    patient.answers = True
    assert active(patient, JOBS) == ["a", "b", "c"]


def test_what_has_ended_is_told_once_and_asked_for_no_more(patient):
    patient.states.update(a="COMPLETED", b="FAILED")
    assert active(patient, JOBS) == ["c"]
    assert patient.told == [("success", "a"), ("error", "b", "lost")]


def test_an_executor_is_changed_once(patient):
    before = type(patient).check_active_jobs
    survive_outages(type(patient))
    assert type(patient).check_active_jobs is before
