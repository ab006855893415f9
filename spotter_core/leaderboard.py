"""A table of all results in a folder: ``python -m spotter_core.leaderboard FOLDER``.

Layer 5. Numbers are computed from the files' rows, so that nobody's arithmetic has to be believed.
Models of other data, architecture or forget classes are never ranked against each other.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from spotter_core.files import write_text_atomically
from spotter_core.findings import Number, flags_of, numbers_of
from spotter_core.result_files import Result, load_result

COLUMNS = {
    "forget_accuracy": "forget acc. %",
    "retain_accuracy_lost": "retain acc. lost",
    "over_unlearning": "OU@ε",
    "conditional_shift": "cond. shift",
    "pra": "PRA %",
    "head_worst": "worst attack %",
    "head_excess": "above the oracle",
    "for_nothing": "for nothing %",
}
"""Measures of the table and what it calls them."""
NOTE = """\
Held-out images. Within a block, models are sorted by how far the strongest attack on their last
features is from the oracles' mean, in either direction; those without an oracle come last.
*Retain acc. lost* and *above the oracle* are in points, the latter ± the oracles' spread where
there are several. *For nothing*: what comes back without a single image of the class.
"""


def find_results(folder: Path) -> dict[Path, Result]:
    """Return every result below a folder, by path.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file does not keep to the format.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no result; expected files *.json, one a model")
    return {path: load_result(path) for path in paths}


def key_of(result: Result) -> tuple[str, str, str, int, float]:
    """Return what models must share to be compared: data, architecture, classes, k, ε."""
    first, settings = result.rows[0], result.settings
    classes = ", ".join(result.claim["forgets"])
    return first.dataset, first.arch, classes, settings["shots"], settings["epsilon"]


def table_of(results: Sequence[Result]) -> str:
    """Return the table in Markdown, a block for each that :func:`key_of` tells apart."""
    blocks: dict[tuple[str, str, str, int, float], list[Result]] = {}
    for result in results:
        blocks.setdefault(key_of(result), []).append(result)
    return "\n".join(
        [f"# Results\n\n{NOTE}", *(block_of(*item) for item in sorted(blocks.items()))]
    )


def block_of(key: tuple[str, str, str, int, float], results: Sequence[Result]) -> str:
    """Return one block: yardsticks, then models, the nearest to the oracles first."""
    dataset, arch, classes, shots, epsilon = key
    lines = []
    for result in results:
        numbers = {n.name: n for n in numbers_of(result.rows, result.method, shots)}
        flags = flags_of(result.rows, shots, 1.0 / result.settings["num_classes"])
        own = len({flag.name for flag in flags if flag.method in ("", result.method)})
        excess = numbers.get("head_excess")
        distance = math.inf if excess is None else abs(excess.value)
        cells = [cell(numbers.get(name)) for name in COLUMNS]
        lines.append((distance, [result.method, result.claim["reads"], *cells, str(own)]))
    heads = ["method", "reads", *COLUMNS.values(), "red flags"]
    table = [heads, ["---"] * len(heads), *(line for _, line in sorted(lines, key=lambda x: x[0]))]
    told = f"## {dataset}, {arch}: forgetting {classes}; k = {shots}, ε = {epsilon:g}\n\n"
    return told + "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n"


def cell(number: Number | None) -> str:
    """Return a number as the table shows it, ``–`` where it was not measured."""
    if number is None or math.isnan(number.value):
        return "–"
    if number.measure.unit == "nats":
        return f"{number.value:.4f}"
    told = f"{100 * number.value:.1f}"
    if number.name == "head_excess" and not math.isnan(number.spread):
        told += f" ± {100 * number.spread:.1f}"
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of a folder, or write it; 0, or 2 if a file is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.leaderboard", description=__doc__)
    parser.add_argument("folder", type=Path, help="with results *.json, one a model, at any depth")
    parser.add_argument("--out", type=Path, help="Markdown file to write; default: print it")
    options = parser.parse_args(arguments)
    try:
        table = table_of(list(find_results(options.folder).values()))
    except (OSError, ValueError) as error:
        print(f"leaderboard: {error}", file=sys.stderr)
        return 2
    if options.out is None:
        print(table, end="")
    else:
        write_text_atomically(options.out, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
