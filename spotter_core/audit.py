"""Audit your own unlearned classifier: ``python -m spotter_core.audit --help``.

Layer 11. Leaves ``report.html`` to be read, ``result.json`` to be compared and ``rows/`` to go on
from where it was stopped. Exit status: 0, 1 if a declared threshold is exceeded, 2 for bad input.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from spotter_core.audit_measures import MEASURES
from spotter_core.findings import check_measure, judge, numbers_of

THRESHOLD = "exit status 1 if it is exceeded; the least of what is better higher; repeatable"
LEFT_OUT = ("layer_worst", "for_nothing", "fine_tuning")
"""Measures that ``--quick`` does not take."""
EXAMPLE = """\
example, a ResNet-18 of torchvision's trained on a folder of images:
  python -m spotter_core.audit --arch torchvision:resnet18 --original original.pt \\
      --unlearned unlearned.pt --images photos --size 64 --mean 0.485 0.456 0.406 \\
      --std 0.229 0.224 0.225 --forget cat --out audit

measures for --threshold (fractions between 0 and 1, or nats):
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; a wrong one ends the program with status 2."""
    told = "\n".join(f"  {name:22} {measure.label}" for name, measure in MEASURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m spotter_core.audit",
        description="Look for what an unlearned classifier still knows, and what it broke nearby.",
        epilog=EXAMPLE + told,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--original", type=Path, required=True, metavar="CKPT", help="weights before unlearning")
    add("--unlearned", type=Path, required=True, metavar="CKPT", help="and after")
    add(
        "--oracle",
        type=Path,
        action="append",
        default=[],
        dest="oracles",
        metavar="CKPT",
        help="of a network retrained without the class; repeat it for several",
    )
    add("--arch", metavar="NAME", help="small_cnn, resnet18, vit, mlp, or torchvision:NAME")
    add("--factory", metavar="MODULE:FUNCTION", help="of yours, returns the network")
    add("--width", type=int, help="of small_cnn, resnet18, vit, mlp")
    add("--head", metavar="LAYER", help="the last linear layer, where it is not found")
    add("--images", metavar="FOLDER", help="<class>/*, or train/<class>/* and test/<class>/*")
    add("--dataset", metavar="NAME", help="digits, cifar10 or cifar100 instead of a folder")
    add("--size", type=int, metavar="PIXELS", help="side that images are resized to")
    for name in ("--mean", "--std"):
        add(name, type=float, nargs="+", metavar="X", help="by channel, for images in [0, 1]")
    add(
        "--forget",
        action="append",
        required=True,
        metavar="CLASS",
        help="name or index of a class that was to be forgotten; repeat it for several",
    )
    add("--out", type=Path, default=Path("audit"), metavar="FOLDER", help="default: audit/")
    add("--threshold", action="append", default=[], metavar="MEASURE=MOST", help=THRESHOLD)
    add("--shots", type=int, default=5, metavar="K", help="images of the attacker's: 1, 5, 10, 50")
    add("--epsilon", type=float, default=8 / 255, help="radius of OU, images in [0, 1]; 8/255")
    add("--quick", action="store_true", help="fewer draws, no attack that trains, last layer only")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--name", default="unlearned", help="of the unlearned network in tables")
    add(
        "--reads",
        default="unknown",
        choices=("forget", "forget and retain", "unknown"),
        help="data that the method was handed, for result.json",
    )
    add("--says", default="", help="its makers' claim, a sentence, for result.json")
    add("--source", default="", help="paper or code, for result.json")
    return parser.parse_args(arguments)


def thresholds_of(given: Sequence[str]) -> dict[str, float]:
    """Return thresholds by measure.

    Raises:
        ValueError: If one is not of the form ``measure=number``, or the measure is unknown.
    """
    found = {}
    for each in given:
        name, _, value = each.partition("=")
        check_measure(name)
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ValueError(f"threshold must look like {name}=0.05, got {each!r}") from error
    return found


def audit(options: argparse.Namespace) -> int:
    """Run an audit and write what it leaves; return the exit status."""
    thresholds = thresholds_of(options.threshold)
    if (options.images is None) == (options.dataset is None):
        raise ValueError("one of images and dataset is needed, and not both")
    if "head_excess" in thresholds and not options.oracles:
        raise ValueError("threshold head_excess needs an oracle: pass its checkpoint, --oracle")
    for name in sorted(set(LEFT_OUT) & set(thresholds)) if options.quick else ():
        raise ValueError(f"threshold {name}: quick leaves it out; run the whole audit")
    # they take seconds to import, and a wrong option should not
    from spotter_core.audit_request import Request
    from spotter_core.auditing import run_audit
    from spotter_core.report import write_report
    from spotter_core.result_files import save_result

    given = {**vars(options), "images": options.images or options.dataset}
    known = {field.name for field in fields(Request)}
    chosen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in known
    }
    out, start = options.out, time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)  # one that can't be written is found out now
    study, result = run_audit(Request(**chosen), out, watch=lambda line: print(line, flush=True))
    numbers = numbers_of(result.rows, result.method, options.shots)
    judged = judge(numbers, thresholds)
    save_result(out / "result.json", result)
    write_report(out / "report.html", result, judged, None if options.quick else study)
    from spotter_core.sentences import sentences, told

    print("", *sentences(numbers, options.shots), "", sep="\n")
    by_name = {number.name: number for number in numbers}
    for each in judged:
        number, word = by_name[each.name], "EXCEEDED" if each.exceeded else "kept"
        print(f"{each.name} {told(number, each.value)}, {each.bound} {each.threshold:g}: {word}")
    print(f"{out / 'report.html'}, {time.perf_counter() - start:.0f} s")
    return int(any(each.exceeded for each in judged))


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit; an error is a sentence and status 2."""
    options = parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    sys.path.insert(0, os.getcwd())  # a factory is looked for where the user stands
    try:
        return audit(options)
    except (ValueError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
