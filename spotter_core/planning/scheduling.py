"""When the jobs of a study would run on so many workers, and what the end then waits for.

Without torch: tasks in, a schedule out; where their seconds come from is another file's
matter. List scheduling, as Snakemake does it: whenever a worker is free, of the jobs that wait for
nothing the most urgent one starts on it; of equally urgent ones the one listed first.
Each job is one task: that a cluster is handed several as one (``Graph.group``), which then start
and wait in its queue once, is left out.
"""

import bisect
import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spotter_core.graph import Job

FULL = 0.9
"""Share of the workers' time in use from which the work itself is what takes long."""


@dataclass(frozen=True)
class Task:
    """One job as the scheduler sees it.

    Attributes:
        job: Its name.
        seconds: That it occupies a worker, its start-up included.
        needs: Jobs that must have ended before.
        kind: Of worker that it wants, such as ``"gpu"``.
        urgent: The greater goes first.
    """

    job: Job
    seconds: float
    needs: tuple[Job, ...] = ()
    kind: str = "cpu"
    urgent: int = 0


@dataclass(frozen=True)
class Schedule:
    """When every job ran.

    Attributes:
        tasks: In the order in which they were given.
        workers: How many there are of each kind.
        begin: Seconds from the study's start, by job.
        queue: Seconds that a job waits in the scheduler's own queue before it begins.
    """

    tasks: Sequence[Task]
    workers: Mapping[str, int]
    begin: Mapping[Job, float]
    queue: float = 0.0

    @cached_property
    def end(self) -> dict[Job, float]:
        """Seconds from the study's start to each job's end."""
        return {t.job: self.begin[t.job] + t.seconds for t in self.tasks}

    @property
    def makespan(self) -> float:
        """Seconds until the last job has ended."""
        return max(self.end.values(), default=0.0)

    @cached_property
    def work(self) -> dict[str, float]:
        """Seconds for which workers are held, by their kind; a job in the queue holds one, too."""
        return {
            kind: sum(t.seconds + self.queue for t in self.tasks if t.kind == kind)
            for kind in self.workers
        }

    @cached_property
    def scarce(self) -> str:
        """The kind of worker that has most to do."""
        return max(self.workers, key=lambda kind: self.work[kind] / self.workers[kind])

    @property
    def utilisation(self) -> float:
        """Share of their time for which the workers of the scarce kind are held."""
        whole = self.workers[self.scarce] * self.makespan
        return self.work[self.scarce] / whole if whole else 0.0

    @property
    def bound(self) -> float:
        """Seconds below which nobody comes: the critical path, or the work shared out evenly.

        A job in the queue counts as work: it holds its worker.
        """
        shared = max(self.work[kind] / self.workers[kind] for kind in self.workers)
        return max(shared, critical_path(self.tasks, self.queue)[0])

    @cached_property
    def idle(self) -> list[tuple[float, float]]:
        """Spans of time in which a worker of the scarce kind has nothing to do, in order."""
        held = [t for t in self.tasks if t.kind == self.scarce and t.seconds + self.queue]
        changes = sorted(
            [(self.begin[t.job] - self.queue, 1) for t in held]
            + [(self.end[t.job], -1) for t in held]
        )
        found: list[tuple[float, float]] = []
        since, busy = 0.0, 0
        for when, change in [*changes, (self.makespan, 0)]:
            if busy < self.workers[self.scarce] and when > since:
                if found and found[-1][1] == since:
                    since = found.pop()[0]
                found.append((since, when))
            since, busy = when, busy + change
        return found

    @cached_property
    def tail(self) -> tuple[float, dict[str, float]]:
        """Seconds at the end in which a worker of the scarce kind has nothing to do any more.

        With the seconds of work there by step, the most first.
        """
        last = [span for span in self.idle[-1:] if span[1] == self.makespan]
        return self.makespan - (last[0][0] if last else self.makespan), self.runs_in(last)

    def runs_in(self, spans: Sequence[tuple[float, float]]) -> dict[str, float]:
        """Return the seconds of work in spans of time, by step, the most first.

        Args:
            spans: In order; none reaches into the next.
        """
        begins = [begin for begin, _ in spans]
        before = [0.0, *itertools.accumulate(end - begin for begin, end in spans)]

        def until(when: float) -> float:
            """Seconds of all spans before a time."""
            i = bisect.bisect_right(begins, when)
            return before[i] - max(0.0, spans[i - 1][1] - when) if i else 0.0

        by_step: dict[str, float] = {}
        for t in self.tasks:
            part = until(self.end[t.job]) - until(self.begin[t.job])
            if part > 0.0:
                by_step[t.job.step] = by_step.get(t.job.step, 0.0) + part
        return dict(sorted(by_step.items(), key=lambda item: -item[1]))


def critical_path(tasks: Sequence[Task], queue: float = 0.0) -> tuple[float, list[Job]]:
    """Return seconds and jobs of the chain that takes longest, however many workers there are.

    Args:
        tasks: Each behind those that it needs.
        queue: Seconds that every job waits before it begins.
    """
    end: dict[Job, float] = {}
    before: dict[Job, Job | None] = {}
    for task in tasks:
        last = max(task.needs, key=end.__getitem__, default=None)
        before[task.job] = last
        end[task.job] = (0.0 if last is None else end[last]) + queue + task.seconds
    if not end:
        return 0.0, []
    job: Job | None = max(end, key=end.__getitem__)
    longest, path = end[job] if job else 0.0, []
    while job is not None:
        path.append(job)
        job = before[job]
    return longest, path[::-1]


def simulate(tasks: Sequence[Task], workers: Mapping[str, int], *, queue: float = 0.0) -> Schedule:
    """Return when every job runs.

    Args:
        tasks: Each behind those that it needs.
        workers: How many there are of each kind that a task wants.
        queue: Seconds between the moment at which a worker is granted and the job's begin, as in a
            cluster's queue; the worker is held meanwhile.

    Raises:
        ValueError: If a task wants a kind of which there is no worker, or needs a job that does not
            stand before it.
    """
    check(tasks, workers)
    place = {task.job: i for i, task in enumerate(tasks)}
    left = [len(set(task.needs)) for task in tasks]
    waiting: list[list[int]] = [[] for _ in tasks]
    for i, task in enumerate(tasks):
        for need in set(task.needs):
            waiting[place[need]].append(i)
    ready: dict[str, list[tuple[int, int]]] = {kind: [] for kind in workers}
    free = dict(workers)
    begin: dict[Job, float] = {}
    running: list[tuple[float, int]] = []

    def release(i: int) -> None:
        heapq.heappush(ready[tasks[i].kind], (-tasks[i].urgent, i))

    def fill(now: float) -> None:
        for kind, queued in ready.items():
            while queued and free[kind]:
                _, i = heapq.heappop(queued)
                free[kind] -= 1
                begin[tasks[i].job] = now + queue
                heapq.heappush(running, (now + queue + tasks[i].seconds, i))

    for i, count in enumerate(left):
        if not count:
            release(i)
    fill(0.0)
    while running:
        now = running[0][0]
        while running and running[0][0] == now:  # all that ends now, before anybody begins
            _, i = heapq.heappop(running)
            free[tasks[i].kind] += 1
            for j in waiting[i]:
                left[j] -= 1
                if not left[j]:
                    release(j)
        fill(now)
    return Schedule(tasks, dict(workers), begin, queue)


def check(tasks: Sequence[Task], workers: Mapping[str, int]) -> None:
    """Raise ``ValueError`` unless the tasks can be run in some order on these workers."""
    known: set[Job] = set()
    for task in tasks:
        if workers.get(task.kind, 0) < 1:
            raise ValueError(
                f"job {'/'.join(task.job)} wants a worker of kind {task.kind!r}, "
                f"but workers are {dict(workers)}: give at least one"
            )
        if missing := set(task.needs) - known:
            raise ValueError(f"job {'/'.join(task.job)} stands before {sorted(missing)}, its needs")
        known.add(task.job)


def bottleneck(schedule: Schedule) -> str:
    """Return in words what keeps a study from ending sooner."""
    scarce, queue = schedule.scarce, schedule.queue
    if schedule.utilisation >= FULL:
        words = f"the work itself: {scarce}s are busy {schedule.utilisation:.0%} of the time"
        if not queue:
            return words
        waits = queue * sum(t.kind == scarce for t in schedule.tasks) / schedule.work[scarce]
        return f"{words}, {waits:.0%} of that with waiting in the queue"
    longest, path = critical_path(schedule.tasks, queue)
    if schedule.makespan <= longest / FULL:
        took = {t.job: t.seconds for t in schedule.tasks}
        heavy = sorted(path, key=lambda job: -took[job])[:2]
        shares = [f"{job.step} ({job.name}) {took[job] / longest:.0%}" for job in heavy]
        shares += [f"the queue {queue * len(path) / longest:.0%}"] if queue else []
        words = "a chain of jobs that wait for each other"
        return f"{words}: {', '.join(shares)} of it; more workers don't help"
    seconds, by_step = schedule.tail
    all_idle = sum(end - begin for begin, end in schedule.idle)
    if seconds >= all_idle / 2:
        names, idle = ", ".join(list(by_step)[:2]), seconds / schedule.makespan
        return f"the end: for {idle:.0%} of the time some {scarce}s wait for {names}"
    names = ", ".join(list(schedule.runs_in(schedule.idle))[:2])
    return (
        f"jobs that others wait for: for {all_idle / schedule.makespan:.0%} of the time some "
        f"{scarce}s can do nothing but wait for {names}"
    )
