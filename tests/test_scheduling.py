"""Simulated schedules: against a slow simulation of another kind, against bounds, in words."""

import itertools
import random

import pytest

from spotter_core.graph import Job
from spotter_core.planning.scheduling import Task, bottleneck, critical_path, simulate


def job(i):
    return Job("step", f"part{i}")


def task(i, seconds, *needs, kind="cpu", urgent=0):
    return Task(job(i), seconds, tuple(map(job, needs)), kind, urgent)


def random_tasks(draw, count, kinds=("cpu",)):
    tasks = []
    for i in range(count):
        needs = [n for n in range(i) if draw.random() < 0.3]
        urgent, kind = draw.randrange(3), draw.choice(kinds)
        tasks.append(task(i, draw.randrange(1, 6), *needs, kind=kind, urgent=urgent))
    return tasks


def second_by_second(tasks, workers):
    """The same rule as a clock that ticks: slow, plain, without a heap."""
    begin, end = {}, {}
    for now in itertools.count():
        runs = [t for t in tasks if t.job in begin and begin[t.job] <= now < end[t.job]]
        busy = {kind: sum(t.kind == kind for t in runs) for kind in workers}
        waiting = [t for t in tasks if t.job not in begin]
        for t in sorted(waiting, key=lambda t: -t.urgent):  # stable: listed first, begun first
            ready = all(n in end and end[n] <= now for n in t.needs)
            if ready and busy[t.kind] < workers[t.kind]:
                begin[t.job], end[t.job] = now, now + t.seconds
                busy[t.kind] += 1
        if len(begin) == len(tasks):
            return begin
    return None


def best_of_all(tasks, workers):
    """The least makespan over all orders in which jobs may be taken: brute force."""
    best = float("inf")
    for order in itertools.permutations(range(len(tasks))):
        place = {tasks[i].job: rank for rank, i in enumerate(order)}
        if any(place[n] > place[t.job] for t in tasks for n in t.needs):
            continue
        free, end = [0.0] * workers, {}
        for i in order:
            worker = min(range(workers), key=free.__getitem__)
            start = max([free[worker], *(end[n] for n in tasks[i].needs)])
            end[tasks[i].job] = free[worker] = start + tasks[i].seconds
        best = min(best, max(end.values()))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_the_simulation_begins_every_job_when_a_ticking_clock_would(seed):
    draw = random.Random(seed)
    workers = {"cpu": draw.randrange(1, 4), "gpu": draw.randrange(1, 3)}
    tasks = random_tasks(draw, draw.randrange(1, 12), kinds=("cpu", "gpu"))
    assert dict(simulate(tasks, workers).begin) == second_by_second(tasks, workers)


@pytest.mark.parametrize("seed", range(25))
def test_no_schedule_beats_the_bound_and_list_scheduling_is_within_twice_the_best(seed):
    draw = random.Random(seed)
    tasks, workers = random_tasks(draw, 6), draw.randrange(1, 4)
    schedule = simulate(tasks, {"cpu": workers})
    best = best_of_all(tasks, workers)
    assert schedule.bound <= best <= schedule.makespan
    assert schedule.makespan <= (2 - 1 / workers) * best  # Graham, 1969


@pytest.mark.parametrize("seed", range(10))
def test_one_worker_is_never_idle_and_many_take_the_critical_path(seed):
    tasks = random_tasks(random.Random(seed), 30)
    alone = simulate(tasks, {"cpu": 1})
    assert alone.makespan == sum(t.seconds for t in tasks)
    assert alone.utilisation == 1.0
    longest, path = critical_path(tasks)
    assert simulate(tasks, {"cpu": 30}).makespan == longest
    needs = {t.job: t.needs for t in tasks}
    assert all(a in needs[b] for a, b in itertools.pairwise(path))
    assert sum(t.seconds for t in tasks if t.job in path) == longest


def test_a_job_that_needs_no_gpu_leaves_it_to_the_others():
    tasks = [task(0, 5, kind="gpu"), task(1, 5, kind="cpu"), task(2, 5, kind="gpu")]
    begin = simulate(tasks, {"gpu": 1, "cpu": 1}).begin
    assert [begin[job(i)] for i in range(3)] == [0, 0, 5]


def test_of_the_jobs_that_are_ready_the_most_urgent_goes_first():
    tasks = [task(0, 1), task(1, 1, urgent=2), task(2, 1, urgent=1)]
    begin = simulate(tasks, {"cpu": 1}).begin
    assert sorted(begin, key=begin.get) == [job(1), job(2), job(0)]


def test_every_job_waits_in_the_queue_of_a_cluster():
    tasks = [task(0, 5), task(1, 5, 0)]
    schedule = simulate(tasks, {"cpu": 8}, queue=3)
    assert schedule.begin == {job(0): 3, job(1): 11}
    assert schedule.makespan == schedule.bound == 16


def test_a_job_that_no_worker_can_take_or_that_stands_before_its_needs_is_refused():
    with pytest.raises(ValueError, match=r"step/part0 wants a worker of kind 'gpu'.*at least one"):
        simulate([task(0, 1, kind="gpu")], {"cpu": 1})
    with pytest.raises(ValueError, match=r"step/part0 stands before .*part1.*its needs"):
        simulate([task(0, 1, 1), task(1, 1)], {"cpu": 1})


def test_no_task_takes_no_time():
    schedule = simulate([], {"cpu": 2})
    assert (schedule.makespan, schedule.bound, schedule.utilisation) == (0, 0, 0)


def test_the_bottleneck_is_told_in_words():
    many = [task(i, 10) for i in range(40)]
    assert (
        bottleneck(simulate(many, {"cpu": 2})) == "the work itself: cpus are busy 100% of the time"
    )
    chain = [task(0, 10), task(1, 90, 0), *(task(i, 1) for i in range(2, 9))]
    told = bottleneck(simulate(chain, {"cpu": 4}))
    assert told.startswith("a chain of jobs that wait for each other: step (part1) 90%")
    late = [*(Task(Job("early", f"part{i}"), 10) for i in range(11)), task(0, 14)]
    found = simulate(late, {"cpu": 4})
    assert found.makespan == 34
    seconds, by_step = found.tail
    assert seconds == 4
    assert by_step == {"step": 4}
    told = bottleneck(simulate([*late, Task(Job("last", "all"), 9, (job(0),))], {"cpu": 4}))
    assert told == "the end: for 30% of the time some cpus wait for last, step"


def test_workers_that_wait_before_the_end_are_told_of_with_what_they_wait_for():
    first = Task(Job("early", "all"), 30)
    late = [task(i, 10) for i in range(1, 31)]
    late = [Task(t.job, t.seconds, (first.job,)) for t in late[:28]]
    found = simulate([first, *late], {"cpu": 4})
    assert found.idle == [(0, 30)]
    assert found.tail == (0, {})
    assert bottleneck(found) == (
        "jobs that others wait for: for 30% of the time some cpus can do nothing but wait for early"
    )


def test_a_queue_holds_workers_and_is_told_of():
    many = [task(i, 10) for i in range(40)]
    found = simulate(many, {"cpu": 2}, queue=30)
    assert found.makespan == found.bound == 20 * 40
    assert found.utilisation == 1.0
    assert found.idle == []
    told = bottleneck(found)
    assert told == (
        "the work itself: cpus are busy 100% of the time, 75% of that with waiting in the queue"
    )
    chain = simulate([task(0, 10), task(1, 30, 0)], {"cpu": 2}, queue=30)
    assert bottleneck(chain) == (
        "a chain of jobs that wait for each other: step (part1) 30%, step (part0) 10%, the queue "
        "60% of it; more workers don't help"
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_spans_in_which_workers_wait_are_those_that_a_ticking_clock_sees(seed):
    draw = random.Random(seed)
    workers, queue = {"cpu": draw.randrange(1, 4), "gpu": draw.randrange(1, 3)}, draw.randrange(3)
    tasks = random_tasks(draw, draw.randrange(1, 12), kinds=("cpu", "gpu"))
    found = simulate(tasks, workers, queue=queue)
    scarce, idle, by_step = found.scarce, 0, 0
    for now in range(int(found.makespan)):
        held = [t for t in tasks if found.begin[t.job] - queue <= now < found.end[t.job]]
        some_wait = sum(t.kind == scarce for t in held) < workers[scarce]
        assert some_wait == any(begin <= now < end for begin, end in found.idle)
        if some_wait:
            idle += 1
            by_step += sum(found.begin[t.job] <= now for t in held)
    assert idle == sum(end - begin for begin, end in found.idle)
    assert sum(found.runs_in(found.idle).values()) == by_step
    assert found.work[scarce] <= workers[scarce] * found.makespan
    assert not bottleneck(found).endswith("for ")
    assert "for 0%" not in bottleneck(found)
