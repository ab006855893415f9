"""The main table and the claims of joined rows, whoever measured them: from rows alone, no model.

Without torch. A study measures anew what another kind of machine made, because its models
would be others; a summary of parts is right where code, settings and data of all parts are equal,
which rows tell by their ``work``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spotter_core.cells import YARDSTICKS, relevant
from spotter_core.claims import OURS, claims_table, judge, main_table, to_markdown
from spotter_core.files import write_text_atomically
from spotter_core.merging.joining import Taken
from spotter_core.merging.report import machine_of
from spotter_core.plots import look
from spotter_core.profiles import Cell
from spotter_core.results import Row, load_file, save_rows, to_frame

NEEDED = ("accuracies", "over_unlearning_everywhere", "relearning", "dispersion")
ATTACKED = "head_attacks"
"""Measured of some cells only."""


@dataclass(frozen=True)
class Gathered:
    """Rows of all whole cells, as notebook 08 has them, and what is said of them.

    Attributes:
        rows: In the order of notebook 08, cells by seed and forget classes.
        cells: Those that are whole.
        left_out: Why the other cells are not among them.
        machines: By ``measurement/cell``, where it was measured.
        profile: Its name.
    """

    rows: list[Row]
    cells: list[Cell]
    left_out: dict[Cell, str]
    machines: dict[str, str]
    profile: str


def gather(taken: Mapping[str, Taken], unsettled: Collection[str] = ()) -> Gathered:
    """Return the rows of a summary.

    Args:
        taken: Files by name, as from :func:`~spotter_core.merging.joining.join`.
        unsettled: Names of files in conflict, of which nothing was taken.

    Raises:
        ValueError: If no cell is whole, or the parts are not of the same work.
    """
    by_cell: dict[Cell, dict[str, Taken]] = {}
    for name, file in taken.items():
        if (at := place_of(name)) is not None:
            by_cell.setdefault(at[0], {})[at[1]] = file
    torn: dict[Cell, list[str]] = {}
    for at in filter(None, map(place_of, sorted(set(unsettled)))):
        torn.setdefault(at[0], []).append(at[1])
    cells = sorted({*by_cell, *torn}, key=lambda cell: (cell.seed, cell.forget))
    left_out = {}
    for cell in cells:
        there = [*by_cell.get(cell, ()), *torn.get(cell, ())]
        reasons = {
            "has no": [name for name in NEEDED if name not in there],
            "is in conflict over": torn.get(cell, []),
        }
        if told := [f"{words} {', '.join(names)}" for words, names in reasons.items() if names]:
            left_out[cell] = " and ".join(told)
    whole = [cell for cell in cells if cell not in left_out]
    if not whole:
        why = f"no cell has rows of {', '.join(NEEDED)}: run notebooks 02 to 05 first"
        if torn:
            why += f", or settle the conflicts of {', '.join(map(str, torn))} (--prefer)"
        raise ValueError(why)
    check_same_work({cell: by_cell[cell] for cell in whole})
    rows: list[Row] = []
    attacks: list[Row] = []
    machines: dict[str, str] = {}
    for cell in whole:
        files = by_cell[cell]
        for name in NEEDED:
            rows += load_file(files[name].path)[0]
        rows.append(chance(rows, cell, files[NEEDED[0]].about["classes"]))
        if ATTACKED in files:
            attacks += load_file(files[ATTACKED].path)[0]
        machines |= {f"{name}/{cell}": machine_of(file.about) for name, file in files.items()}
    profile = str(by_cell[whole[0]][NEEDED[0]].about.get("profile"))
    return Gathered([*rows, *attacks], whole, left_out, machines, profile)


def place_of(name: str) -> tuple[Cell, str] | None:
    """Return cell and measurement of a file that a summary reads; ``None`` of another.

    Args:
        name: As below a run folder.
    """
    kind, measurement, stem = name.removesuffix(".json").split("/")
    if kind != "rows" or measurement not in (*NEEDED, ATTACKED):
        return None
    return Cell.parse(stem), measurement


def check_same_work(cells: Mapping[Cell, Mapping[str, Taken]]) -> None:
    """Raise ``ValueError`` unless each measurement is of one code, one data set, one settings."""
    for name in (*NEEDED, ATTACKED):
        groups: dict[Any, list[str]] = {}
        for cell, files in cells.items():
            if file := files.get(name):
                groups.setdefault(file.about.get("work"), []).append(f"{cell} of {file.run}")
        if len(groups) > 1 or None in groups:
            parts = "; ".join(", ".join(members) for members in groups.values())
            raise ValueError(
                f"{name} was measured by different code, data or settings, so there is no common "
                f"summary: {parts}. Bring all machines to the same commit and profile, run again"
            )


def chance(rows: Sequence[Row], cell: Cell, classes: int) -> Row:
    """Return the row that says what guessing among the retained classes of a cell would give."""
    of_cell = (row for row in rows if (row.forget, row.seed) == (cell.classes, cell.seed))
    known = next(row for row in of_cell if row.method == YARDSTICKS[0])
    guess = 1.0 / (classes - len(cell.forget))
    at: dict[str, Any] = {}
    return replace(
        known, split="retain/test", measure="chance", value=guess, unit="fraction", at=at
    )


def write_summary(
    taken: Mapping[str, Taken], out: Path, unsettled: Collection[str] = ()
) -> list[str]:
    """Write rows, main table, claims and machines into a folder, named as a study names them.

    Args:
        taken: Files by name.
        out: Folder; gets ``08_summary.json``, ``08_main_table.md``, ``08_claims.md`` and
            ``08_machines.md``.
        unsettled: Names of files in conflict; their cells are left out.

    Returns:
        The claims and what was left out, in lines.

    Raises:
        ValueError: As :func:`gather`, or if there are no rows of a model that the claims need.
    """
    found = gather(taken, unsettled)
    frame = to_frame(found.rows)
    if absent := sorted({*YARDSTICKS, OURS} - set(frame["method"])):
        raise ValueError(f"there are no rows of {', '.join(absent)}, which the claims compare")
    table = main_table(frame)
    named = table.assign(method=[look(m).label for m in table["method"]])
    verdicts = to_markdown(claims_table(judge(frame)))
    headline = frame["neighborhood"].dropna().iloc[0]
    about = {"profile": found.profile, "machines": found.machines}
    save_rows(out / "08_summary.json", relevant(found.rows, headline), about=about)
    machines = [f"| {name} | {where} |" for name, where in sorted(found.machines.items())]
    texts = {
        "08_main_table.md": to_markdown(named),
        "08_claims.md": verdicts,
        "08_machines.md": "\n".join(["| rows | measured on |", "|---|---|", *machines]),
    }
    for name, text in texts.items():
        write_text_atomically(out / name, text + "\n")
    places = len(set(found.machines.values()))
    lines = [verdicts, f"{len(found.cells)} cells, measured on {places} machines: {out}"]
    lines += [f"left out: {cell} {why}" for cell, why in found.left_out.items()]
    return lines
