"""Join what several machines made of a study: ``python -m spotter_core.merging --help``.

Layer 11. Exit status: 0, 1 if versions contradict each other and nobody was preferred, 2 for bad
input. Killed at any moment, it is simply started again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spotter_core.merging.joining import ROWS, check_sources, join
from spotter_core.merging.report import report_lines, write_report
from spotter_core.merging.summary import write_summary

EXAMPLE = """\
half of the cells were run on a laptop, half on a cluster:
  python -m spotter_core.merging runs/digits cluster/runs/digits --into runs/all --summary all

A file that is in one folder, or equal in several, is taken. Where versions contradict each other,
nothing is taken, all numbers that differ are in conflicts.csv, and the exit status is 1. Folders of
several profiles or data sets are refused.

make study goes on in the merged folder with what is missing; rows that another kind of machine made
(another torch, a GPU instead of a CPU) it measures anew. --summary takes them as they are: tables
and claims of the joined rows, for which no model is needed. A cell in conflict is left out of them.
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m spotter_core.merging",
        description="Join the rows of run folders, and their models; show what contradicts.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sources", type=Path, nargs="+", metavar="RUN", help="run folders, or their rows/")
    add("--into", type=Path, metavar="RUN", help="run folder to be completed, there or not")
    add("--summary", type=Path, metavar="OUT", help="folder for tables and claims of all rows")
    add("--models", action="store_true", help="join the models, too, and which diverged")
    add("--prefer", type=Path, metavar="RUN", help="whose version is taken in a conflict")
    add(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="REL",
        help="relative difference up to which numbers count as equal; default 0, the same bits",
    )
    return parser.parse_args(arguments)


def merge(options: argparse.Namespace) -> int:
    """Join, report and summarise; return the exit status."""
    if options.into is None and options.summary is None:
        raise ValueError("one of --into and --summary is needed: where should it go?")
    if not 0.0 <= options.tolerance < 1.0:
        raise ValueError(f"tolerance must lie in [0, 1), got {options.tolerance}")
    kinds = [ROWS]
    if options.models:
        from spotter_core.merging.models import FAILURES, MODELS  # torch takes seconds to import

        kinds += [MODELS, FAILURES]
    sources = check_sources(options.sources, options.into)
    joined = join(
        sources, options.into, kinds=kinds, tolerance=options.tolerance, prefer=options.prefer
    )
    where = options.into or options.summary
    if sources:  # of a folder with itself there is nothing to tell
        about = {"sources": [str(run) for run in sources], "tolerance": options.tolerance}
        write_report(where, joined, about | {"prefer": str(options.prefer or "")})
    *lines, last = report_lines(joined, where)
    print(*lines, sep="\n", end="\n" * bool(lines))
    if options.summary is not None:
        unsettled = {conflict.name for conflict in joined.unsettled}
        print(*write_summary(joined.taken, options.summary, unsettled), sep="\n")
    print(last)
    return int(bool(joined.unsettled))


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge; an error is a sentence and status 2."""
    options = parse(arguments)
    try:
        return merge(options)
    except (ValueError, OSError) as error:
        print(f"merging: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
