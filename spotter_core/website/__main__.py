"""The command: ``python -m spotter_core.website PROFILE --out site``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from spotter_core.files import project_root
from spotter_core.website.build import build_site
from spotter_core.website.contents import complaint, read_contents

SHOWN = 30
"""Problems told at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site of a profile; 0 if every link holds, 1 if not, 2 if it can't be built."""
    parser = argparse.ArgumentParser(
        prog="python -m spotter_core.website",
        description="Build a website from README, executed notebooks and figures.",
    )
    parser.add_argument("profile", nargs="?", default="digits", help="whose executed notebooks")
    parser.add_argument("--out", type=Path, default=Path("site"), help="folder, made anew")
    parser.add_argument(
        "--partial", action="store_true", help="show notebooks that did not run without outputs"
    )
    options = parser.parse_args(arguments)
    root = project_root()
    contents = read_contents(root, options.profile)
    lacking = complaint(contents)
    if lacking and not options.partial:
        print(lacking, file=sys.stderr)
        return 2
    try:
        found = build_site(root, contents, options.out)
    except ValueError as error:
        print(f"The site can't be built: {error}", file=sys.stderr)
        return 2
    for problem in found.problems[:SHOWN]:
        print(problem, file=sys.stderr)
    if found.problems:
        print(f"{len(found.problems)} problems in {options.out}, see above", file=sys.stderr)
        return 1
    print(f"The site is in {options.out}/index.html; links that leave it:")
    for address, pages in sorted(found.external.items()):
        print(f"  {address} ({len(pages)} page{'' if len(pages) == 1 else 's'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
