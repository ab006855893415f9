"""A study's plan in text, for a terminal, and in JSON, for a program.

Without torch. Every number says where it is from: measured, or derived, and then from
what; a GPU's rate that nobody measured is called assumed wherever it is used.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spotter_core.files import project_root
from spotter_core.planning.costs import costs_path
from spotter_core.planning.countable import is_countable
from spotter_core.planning.plan import Plan
from spotter_core.planning.scheduling import bottleneck

UNKNOWN = "–"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> [duration(s) for s in (59, 600, 9000, 400_000)]
    ['59 s', '10 min', '2.5 h', '4.6 d']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.1f} d"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return lines in columns, the first to the left, numbers to the right."""
    rows = [head, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]

    def one(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([one(head), "  ".join("-" * width for width in widths), *map(one, lines)])


# --- its parts ------------------------------------------------------------------------------------


def heading(plan: Plan) -> str:
    """Return what the study consists of."""
    profile, graph = plan.graph.profile, plan.graph
    sets, seeds = len(profile.forget), len(profile.seeds)
    gpu = f", {profile.gpus} GPU" if profile.gpus else ""
    return (
        f"{profile.name}: {len(profile.cells):,} cells ({sets:,} forget sets x {seeds:,} seeds), "
        f"{len(profile.methods)} methods\n"
        f"{plan.models:,} models, {len(graph.jobs):,} jobs, of which "
        f"{len(plan.done):,} are done by the .done files in {place_of(plan.run)}; whether one is "
        f"out of date,\n`make study PROFILE={profile.name} ARGS=--dry-run` tells\n"
        f"a job may take {profile.threads} thread(s), {profile.minutes} min, "
        f"{profile.memory:,} MB{gpu}"
    )


def place_of(run: Path) -> str:
    """Return a run folder as it is named from the project's root, if it lies below."""
    root, found = project_root().resolve(), run.resolve()
    return str(found.relative_to(root)) if found.is_relative_to(root) else str(run)


def provenance(plan: Plan) -> str:
    """Return where the plan's times are from."""
    costs = plan.costs
    if costs is None:
        name = plan.graph.profile.name
        lines = [
            f"What the jobs take is not known: there is no {costs_path(name).name} in profiles/.",
            f"After a run `python -m spotter_core.planning.measured {name}` writes it.",
        ]
        if is_countable(plan.graph.profile):
            lines.append(
                f"Without one `python -m spotter_core.planning.counted {name}` counts the "
                "operations."
            )
        return "\n".join(lines)
    about = ", ".join(f"{key} {value}" for key, value in costs.about.items() if value != "")
    lines = [f"times: {costs.kind}; {about}"]
    if costs.rate is not None:
        lines.append(f"rate: {rate_in_words(plan)}")
    if plan.way.startup or plan.way.queue:
        lines.append(
            f"besides: {plan.way.startup:g} s to start a job, {plan.way.queue:g} s in the queue, "
            "assumed"
        )
    return "\n".join(lines)


def rate_in_words(plan: Plan) -> str:
    """Return the rate and whether anybody measured it."""
    assumed = plan.costs.rate if plan.costs else None
    rate = assumed if plan.way.rate is None else plan.way.rate
    source = plan.way.source or "ASSUMED, not measured; --tflops says another"
    return f"{rate:g} TFLOP/s a GPU, {source}"


def steps_table(plan: Plan) -> str:
    """Return the steps, a line each."""
    gpus = bool(plan.graph.profile.gpus)
    hours = ["GPU h", "core h"] if gpus else ["core h"]
    head = ["step", "cells", "parts", "all", "min a cell", "min a part", "min of all", *hours]
    head += ["MB", "done"]
    lines = []
    for step in plan.steps:
        lines.append(
            [
                step.name,
                f"{step.cells:,}",
                f"{step.parts:,}" if step.parts else UNKNOWN,
                "1" if step.draws else UNKNOWN,
                number(step.cell_minutes),
                number(step.minutes),
                number(step.all_minutes),
                *([number(step.gpu_hours) if step.gpu else UNKNOWN] if gpus else []),
                number(step.core_hours),
                f"{step.memory:,.0f}" if step.memory else UNKNOWN,
                f"{step.done:,}",
            ]
        )
    return table(head, lines)


def number(value: float | None) -> str:
    """Return a number to three digits, or a dash."""
    return UNKNOWN if value is None else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def totals(plan: Plan) -> str:
    """Return what all jobs take together, and the longest of them."""
    job = max(plan.seconds, key=plan.seconds.__getitem__)
    work = []
    if plan.graph.profile.gpus:
        work.append(f"{sum(step.gpu_hours or 0.0 for step in plan.steps):.1f} GPU hours")
    work.append(f"{sum(step.core_hours or 0.0 for step in plan.steps):.1f} core hours")
    disk = "" if plan.disk is None else f"; {plan.disk:,.0f} MB of disk in the run folder"
    return (
        f"together {', '.join(work)}{disk}\n"
        f"longest job: {job.step} ({job.name}), {duration(plan.seconds[job])}"
    )


def outlook(plan: Plan, workers: Sequence[int]) -> list[dict[str, Any]]:
    """Return by number of workers when the study ends, and what keeps it from ending sooner."""
    found = []
    for count in workers:
        schedule = plan.on(count)
        found.append(
            {
                "workers": count,
                "seconds": round(schedule.makespan, 1),
                "bound_seconds": round(schedule.bound, 1),
                "utilisation": round(schedule.utilisation, 4),
                "bottleneck": bottleneck(schedule),
            }
        )
    return found


def outlook_table(plan: Plan, workers: Sequence[int]) -> str:
    """Return the same as a table."""
    what = "GPUs" if plan.graph.profile.gpus else "jobs at once"
    head = [what, "ends after", "not before", "in use"]
    found = outlook(plan, workers)
    lines = [
        [
            f"{one['workers']}",
            duration(one["seconds"]),
            duration(one["bound_seconds"]),
            f"{one['utilisation']:.0%}",
        ]
        for one in found
    ]
    words = [f"{one['workers']}: {one['bottleneck']}" for one in found]
    title = "A study that begins with nothing:"
    text = [title, table(head, lines), "", "What keeps it from ending sooner:", *words]
    if plan.way.groups:
        text += [
            "",
            f"Told for each job alone, not grouped: profiles/{plan.way.groups}/ hands several to "
            "the cluster as one,\nwhich start and wait in its queue once.",
        ]
    return "\n".join(text)


# --- all of it ------------------------------------------------------------------------------------


def in_text(plan: Plan, workers: Sequence[int]) -> str:
    """Return the plan for a terminal."""
    parts = [heading(plan), steps_table(plan), provenance(plan)]
    if plan.seconds:
        what = f"{rate_in_words(plan)}\n" if plan.costs and plan.costs.rate is not None else ""
        parts += [totals(plan), what + outlook_table(plan, workers)]
    if plan.warnings:
        parts.append("\n".join(f"MIND: {warning}" for warning in plan.warnings))
    return "\n\n".join(parts)


def in_json(plan: Plan, workers: Sequence[int]) -> str:
    """Return the plan for a program: times in seconds, minutes or hours as their keys say.

    Memory is in MB, and limits are named and counted as in a profile.
    """
    costs, profile = plan.costs, plan.graph.profile
    content = {
        "profile": profile.name,
        "cells": len(profile.cells),
        "models": plan.models,
        "jobs": len(plan.graph.jobs),
        "done": len(plan.done),
        "limits": {k: getattr(profile, k) for k in ("threads", "minutes", "memory", "gpus")},
        "steps": [asdict(step) for step in plan.steps],
        "times": {"kind": costs.kind, **costs.about} if costs else None,
        "rate": {"tflops": plan.way.rate or costs.rate, "measured": plan.way.source or None}
        if costs and costs.rate is not None
        else None,
        "disk_mb": plan.disk,
        "groups_left_out": plan.way.groups or None,
        "workers": outlook(plan, workers) if plan.seconds else [],
        "warnings": plan.warnings,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
