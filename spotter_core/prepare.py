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

from spotter_core.cards import take_cards
from spotter_core.checkpoints import kept_settings
from spotter_core.failures import load_failure
from spotter_core.maps import embedding_map, has_map
from spotter_core.planned import MODELS, refuse_other
from spotter_core.profiles import Cell
from spotter_core.sources import code_fingerprint
from spotter_core.study import Study
from spotter_core.training import Diverged


def is_made(study: Study, cell: Cell, method: str) -> bool:
    """Return whether a model is there already, made by this code with these settings.

    Looks at what the file says of itself, as a study of many models would take long to read; who
    loads it checks its digest, and makes it anew if it was damaged.
    """
    return kept_settings(study.path(cell, method)) == study.fingerprint(cell, method)


def has_diverged(study: Study, cell: Cell, method: str) -> bool:
    """Return whether the making of a model was tried, with these settings, and diverged."""
    settings = study.fingerprint(cell, method)
    return load_failure(study.path(cell, method), settings=settings) is not None


def missing(
    study: Study, cell: Cell, methods: Sequence[str], mapped: Sequence[str] = ()
) -> list[str]:
    """Return what is not there yet: models by name, and ``"map"``, in the order of making.

    A model that was tried and diverged is not among them: to try again is in vain.
    """
    wanted = dict.fromkeys(("original", *methods, *mapped))
    unmade = [m for m in wanted if not is_made(study, cell, m)]
    gone = [m for m in unmade if has_diverged(study, cell, m)]
    left = [m for m in unmade if m not in gone]
    if mapped and (left or not has_map(study, cell, [m for m in mapped if m not in gone])):
        left.append("map")
    return left


def smaller(study: Study) -> str:
    """Return what to open instead of a study that takes long; nothing where this is the small one.

    >>> smaller(Study("digits"))
    ''
    """
    if study.profile.name == "digits":
        return ""
    return 'A small live version, a minute or two: profile = "digits" in the parameters cell.'


def command(
    study: Study, cell: Cell, methods: Sequence[str], mapped: Sequence[str] = ()
) -> list[str]:
    """Return the arguments behind ``python -m`` that make what :func:`missing` names."""
    words = ["spotter_core.prepare", study.profile.name, str(cell)]
    words += ["--run", str(study.root.resolve()), "--device", study.device.type]
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
    parser.add_argument("--device", default="auto", help="cpu or cuda; default the better one")
    parser.add_argument("--planned", help="fingerprint of the code that must make them")
    parser.add_argument("--gpus", type=int, default=0, help="how many to hold, of several here")
    options = parser.parse_args(arguments)
    os.environ["TQDM_DISABLE"] = "1"  # a bar in a pipe is a hundred lines
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    try:
        take_cards(options.gpus)
        if options.planned:
            refuse_other("the models' code", code_fingerprint(MODELS), options.planned)
        study = Study(options.profile, root=options.run, device=options.device)
        cell = Cell.parse(options.cell)
        methods = list(study.profile.methods) if options.methods is None else options.methods
        left = missing(study, cell, methods, options.map)
        for number, name in enumerate(left, start=1):
            print(f"{number} of {len(left)}: {name}", flush=True)
            if name == "map":
                embedding_map(study, cell, study.surviving(cell, options.map))
            else:
                study.surviving(cell, [name])
    except (ValueError, RuntimeError, OSError, Diverged) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
