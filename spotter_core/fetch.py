"""A study's images, fetched and decoded before anything else.

    python -m spotter_core.fetch digits --out runs/digits/jobs/data.json

Layer 3. It is run where the network is; the jobs of a cluster then find the images in the cache
folder (``SPOTTER_DATA``, or ``~/.cache/spotter``), which they share.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from spotter_core.data import Dataset, load_dataset
from spotter_core.files import write_text_atomically
from spotter_core.profiles import load_profile


def describe_data(dataset: Dataset) -> dict[str, object]:
    """Return what a study's images are: name, classes, images of each part, digest of it all."""
    parts = ("train", "validation", "test")
    return {
        "dataset": dataset.name,
        "classes": dataset.num_classes,
        "images": {part: len(getattr(dataset, part)) for part in parts},
        "digest": dataset.digest(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch a profile's images, say what they are in a file; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m spotter_core.fetch", description=__doc__)
    parser.add_argument("profile", help="a file of profiles/")
    parser.add_argument("--out", type=Path, required=True, help="file that says what was found")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        profile = load_profile(options.profile)
        dataset = load_dataset(profile.dataset, size=profile.size, download=True)
        write_text_atomically(options.out, json.dumps(describe_data(dataset), indent=1) + "\n")
    except (ValueError, OSError) as error:
        print(f"\nFAILED data: {error}\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
