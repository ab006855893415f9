"""The plan of a study, before anything starts: how many jobs, what they cost, when they end.

    make plan PROFILE=cifar10
    python -m spotter_core.planning cifar10 --tflops 60 --workers 1 16

Layer 11, without torch: whoever asks wants an answer at once.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from spotter_core.files import project_root
from spotter_core.graph import Graph
from spotter_core.planning.costs import costs_path, load_costs
from spotter_core.planning.plan import Plan, Way
from spotter_core.planning.text import in_json, in_text
from spotter_core.profiles import load_profile, profiles_folder

WORKERS = (1, 2, 8, 64)


def measured_rate(path: Path) -> tuple[float, str]:
    """Return TFLOP/s of training and who measured them, from a file of ``tests/gpu.py``.

    Raises:
        ValueError: If it holds no rate of a training.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [r["flops"] for r in content["rates"] if r["work"].startswith("training")]
        return min(found) / 1e12, f"measured on {content['about']['hardware']}, {path.name}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} holds no measured rate of a training ({error!r}): tests/gpu.py writes gpu.json"
        ) from error


def how_at(place: str) -> tuple[int | None, bool]:
    """Return how many jobs a folder of ``profiles/`` lets run at once, and whether it groups any.

    ``None`` where it does not say how many.

    Raises:
        ValueError: If there is no such folder.
    """
    folders = {path.parent.name: path for path in profiles_folder().glob("*/config.yaml")}
    if place not in folders:
        raise ValueError(f"unknown place {place!r}; known: {', '.join(sorted(folders))}")
    content = yaml.safe_load(folders[place].read_text(encoding="utf-8")) or {}
    jobs = content.get("jobs")
    return jobs if isinstance(jobs, int) else None, bool(content.get("group-components"))


def seconds(text: str) -> float:
    """Return the seconds that an option names, for argparse: none or more of them."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0.0 <= found < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, 0 or more, got {text!r}")
    return found


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.planning", description=__doc__)
    parser.add_argument("profile", help="a file of profiles/")
    parser.add_argument("--run", type=Path, help="run folder; default runs/PROFILE")
    parser.add_argument("--on", default="local", help="folder of profiles/ that says where")
    parser.add_argument(
        "--workers",
        type=int,
        nargs="+",
        help=f"GPUs, if it takes any, else jobs at once; default {WORKERS}",
    )
    parser.add_argument("--tflops", type=float, help="a GPU's rate, in place of what is assumed")
    parser.add_argument("--gpu", type=Path, help="gpu.json of tests/gpu.py, for a measured rate")
    parser.add_argument("--startup", type=seconds, default=0.0, help="seconds on top of every job")
    parser.add_argument("--queue", type=seconds, default=0.0, help="seconds in a cluster's queue")
    parser.add_argument("--json", action="store_true", help="for a program")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan; return the exit status."""
    given = arguments_of(arguments)
    try:
        graph, kept = Graph(load_profile(given.profile)), costs_path(given.profile)
        measured = given.gpu or kept.with_name(f"{given.profile}.gpu.json")
        rate, source = given.tflops, ""
        if rate is None and (given.gpu or measured.is_file()):
            rate, source = measured_rate(measured)
        most, grouped = how_at(given.on)
        at_once = sorted({*WORKERS, *([most] if most else [])})
        each = max(1, graph.profile.gpus)
        workers = given.workers or [each * jobs for jobs in at_once]
        if min(workers) < 1 or (rate is not None and not rate > 0.0):
            raise ValueError("--workers and --tflops must be positive")
        costs = load_costs(kept) if kept.is_file() else None
        run = given.run or project_root() / "runs" / given.profile
        groups = given.on if grouped else ""
        plan = Plan(graph, costs, run, Way(rate, given.startup, given.queue, source, groups))
        print((in_json if given.json else in_text)(plan, workers))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
