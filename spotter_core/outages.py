"""A study goes on when its cluster's controller has not answered for a while.

Layer 0, without torch. Snakemake's plugin for SLURM (2.8.0) asks five times for its jobs; if no
answer comes, none of them is handed back as active, and a study waits for them for ever.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import wraps
from typing import Any


def survive_outages(executor: type[Any]) -> None:
    """Have an executor keep jobs that it has neither handed back nor told the end of.

    Args:
        executor: Class of Snakemake's interface for executors; changed in place, once.
    """
    ask = executor.check_active_jobs
    if hasattr(ask, "__wrapped__"):
        return
    ended: set[str] = set()

    def noted(report: Callable[..., None]) -> Callable[..., None]:
        @wraps(report)
        def told(self: Any, job: Any, *given: Any, **named: Any) -> None:
            ended.add(job.external_jobid)
            report(self, job, *given, **named)

        return told

    @wraps(ask)
    async def check(self: Any, active_jobs: Sequence[Any]) -> AsyncIterator[Any]:
        asked, kept = list(active_jobs), set()
        async for job in ask(self, active_jobs):
            kept.add(job.external_jobid)
            yield job
        for job in asked:
            if job.external_jobid not in kept and job.external_jobid not in ended:
                yield job

    executor.report_job_success = noted(executor.report_job_success)
    executor.report_job_error = noted(executor.report_job_error)
    executor.check_active_jobs = check
