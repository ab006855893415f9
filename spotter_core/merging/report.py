"""What became of the files of joined run folders, as tables and in lines.

Without torch.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spotter_core.files import write_sealed, write_text_atomically
from spotter_core.merging.differences import LAST_DIGITS, largest
from spotter_core.merging.joining import MACHINE, NUMBERS, Conflict, Joined

FORMAT = "spotter-merge-1"
KEYS = ["measurement", "cell", "method", "split", "measure", "at"]
SHOWN = 20
"""Lines of the table of conflicts that are printed; the file has all."""


def machine_of(about: Mapping[str, Any]) -> str:
    """Return in words where rows were made, from what they say of themselves."""
    known = {key: about.get(key, "unknown") for key in ("hardware", "platform", "torch", "python")}
    words = "{hardware}, {platform}, torch {torch}, Python {python}".format(**known)
    return f"{about['device']} on {words}" if "device" in about else words


def conflicts_table(conflicts: Sequence[Conflict]) -> pd.DataFrame:
    """Return a line for each number that differs, the worst first; one for a file where none does.

    ``difference`` is relative to the larger of both, see
    :class:`~.differences.Difference`; ``here from`` and ``there from`` are the folders,
    ``settled`` is the one that was preferred.
    """
    lines: list[dict[str, Any]] = []
    for c in conflicts:
        _, measurement, file = c.name.split("/")
        cell = Path(file).stem
        ends = {"here from": str(c.here[0]), "there from": str(c.there[0]), "why": c.why}
        ends["settled"] = str(c.settled or "")
        if c.name.startswith("models/"):
            file_of = {"measurement": "model", "cell": measurement, "method": cell}
        else:
            file_of = {"measurement": measurement, "cell": cell, "method": ""}
        for d in c.differences:
            own = {k: v for k, v in vars(d).items() if k != "relative" and v != ""}
            lines.append({**file_of, **own, "difference": d.relative, **ends})
        if not c.differences:
            lines.append({**file_of, "difference": 0.0, **ends})
    columns = [*KEYS, "here", "there", "difference", "why", "here from", "there from", "settled"]
    table = pd.DataFrame(lines, columns=columns)
    return table.sort_values(
        ["difference", *KEYS], ascending=[False, *(True for _ in KEYS)], ignore_index=True
    )


def told(conflict: Conflict) -> str:
    """Return a conflict of two files in a line: why, how far apart, who made each."""
    most = largest(conflict.differences)
    words = f"{conflict.name}: {conflict.why}, {len(conflict.differences)} numbers differ"
    if conflict.differences:
        apart = "one of them missing or NaN" if math.isinf(most) else f"by {most:.2g} at most"
        words += f", {apart}"
    if conflict.why == NUMBERS and most <= LAST_DIGITS:
        words += f": only in the last digits, --tolerance {LAST_DIGITS:g} takes them as equal"
    for side, (run, about) in (("here", conflict.here), ("there", conflict.there)):
        words += f"\n  {side}: {run}"
        if "profile" in about:
            words += f", profile {about['profile']}, {machine_of(about)}"
    if conflict.why == MACHINE:
        words += "\n  the code and the settings are the same"
    if conflict.settled:
        words += f"\n  settled: that of {conflict.settled} was preferred"
    return words


def report_lines(joined: Joined, where: Path) -> list[str]:
    """Return what a user is told; the last line has the counts, and where all conflicts are."""
    lines = [f"left out: {reason}" for reason in joined.damaged]
    for name, most in joined.close.items():
        words = "only in the last digits" if most <= LAST_DIGITS else "within the tolerance"
        lines.append(f"{name}: versions differ {words}, by {most:.2g} at most")
    lines += [told(conflict) for conflict in joined.conflicts]
    table = conflicts_table(joined.conflicts)
    if len(table):
        few = table.head(SHOWN).drop(columns=["why", "here from", "there from", "settled"])
        lines.append(few.to_string(index=False, na_rep="-", max_colwidth=60))
        lines.append(f"(the worst {len(few)} of {len(table)})" if len(table) > SHOWN else "")
    names, open_ = {c.name for c in joined.conflicts}, {c.name for c in joined.unsettled}
    last = f"{len(joined.taken)} files, {len(joined.damaged)} damaged, {len(names)} in conflict"
    if names:
        numbers = sum(len(c.differences) for c in joined.conflicts)
        settled = f", {len(names - open_)} settled" if names - open_ else ""
        last += f" ({numbers} numbers{settled}): {where / 'conflicts.csv'}"
    return [line for line in [*lines, last] if line]


def write_report(folder: Path, joined: Joined, about: Mapping[str, Any]) -> None:
    """Write ``conflicts.csv``, where there are any, and ``merged.json``: where each file is from.

    Args:
        folder: Where they belong.
        joined: What became of the files.
        about: How it was asked for: sources, tolerance, whom to prefer.
    """
    table, path = conflicts_table(joined.conflicts), folder / "conflicts.csv"
    if len(table):
        write_text_atomically(path, table.to_csv(index=False, lineterminator="\n"))
    else:
        path.unlink(missing_ok=True)
    files = {
        name: {
            "from": str(taken.run),
            "also in": [str(run) for run in taken.also],
            "machine": machine_of(taken.about) if "torch" in taken.about else "",
        }
        for name, taken in joined.taken.items()
    }
    content = {
        "format": FORMAT,
        "about": dict(about),
        "conflicts": dict(Counter(c.name for c in joined.conflicts)),
        "settled": {c.name: str(c.settled) for c in joined.conflicts if c.settled},
        "damaged": joined.damaged,
        "close": joined.close,
        "files": files,
    }
    write_sealed(folder / "merged.json", json.dumps(content, indent=1) + "\n")
