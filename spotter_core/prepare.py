"""Makes the models of one cell, and the map of some of them: what an explorer needs.

    python -m spotter_core.prepare digits forget3-seed0

Layer 9. A small part of what ``make study`` does. Killed at any moment, what was finished is kept.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from spotter_core.maps import embedding_map, has_map
from spotter_core.profiles import Cell
from spotter_core.study import Study


def is_made(study: Study, cell: Cell, method: str) -> bool:
    """Return whether a model is there already, made by this code with these settings."""
    path = study.path(cell, method)
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            settings = (file.metadata() or {}).get("settings")
    except (SafetensorError, OSError):  # cut short: it will be made anew
        return False
    return bool(settings == study.fingerprint(cell, method))


def missing(
    study: Study, cell: Cell, methods: Sequence[str], mapped: Sequence[str] = ()
) -> list[str]:
    """Return what is not there yet: models by name, and ``"map"``, in the order of making."""
    wanted = dict.fromkeys(("original", *methods, *mapped))
    left = [m for m in wanted if not is_made(study, cell, m)]
    if mapped and (left or not has_map(study, cell, mapped)):
        left.append("map")
    return left


def command(
    study: Study, cell: Cell, methods: Sequence[str], mapped: Sequence[str] = ()
) -> list[str]:
    """Return the arguments behind ``python -m`` that make what :func:`missing` names."""
    words = ["spotter_core.prepare", study.profile.name, str(cell), "--run", str(study.root)]
    words += ["--methods", *methods]
    return [*words, "--map", *mapped] if mapped else words


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing, one line each as it is begun; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.prepare", description=__doc__)
    parser.add_argument("profile", help="a file of profiles/")
    parser.add_argument("cell", help="such as forget3-seed0")
    parser.add_argument("--methods", nargs="*", help="default: all of the profile")
    parser.add_argument("--map", nargs="*", default=[], help="models in the common embedding")
    parser.add_argument("--run", type=Path, help="run folder; default runs/PROFILE")
    options = parser.parse_args(arguments)
    os.environ["TQDM_DISABLE"] = "1"  # a bar in a pipe is a hundred lines
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    try:
        study, cell = Study(options.profile, root=options.run), Cell.parse(options.cell)
        methods = list(study.profile.methods) if options.methods is None else options.methods
        left = missing(study, cell, methods, options.map)
        for number, name in enumerate(left, start=1):
            print(f"{number} of {len(left)}: {name}", flush=True)
            if name == "map":
                embedding_map(study, cell, study.surviving(cell, options.map))
            else:
                study.surviving(cell, [name])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
