"""One JSON file for one unlearned model: claim, threat model, settings, versions, all rows.

Layer 3. The beginning of a leaderboard that others can add to, so what is written and what is read
is checked against ``result.schema.json`` beside this file. No torch is needed. What is written here
carries a digest; a file that others wrote need not, but if it has one, it must be right.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from spotter_core.files import is_sealed, write_sealed
from spotter_core.results import COLUMNS, Row
from spotter_core.scores import ORIGINAL

FORMAT = "spotter-result-1"
SCHEMA = Path(__file__).with_name("result.schema.json")


@dataclass(frozen=True)
class Result:
    """What was measured of one unlearned model, and what its makers say of it.

    Attributes:
        claim: ``method``, ``forgets``, ``reads``; ``says`` and ``source`` if there is more to say.
        threat_model: ``weights``, ``forget_images``, ``retained_images``, ``allowed_loss``.
        settings: ``shots``, ``num_classes``, ``epsilon``, ``oracles`` and whatever else counts.
        versions: Of ``python``, ``torch``, ``spotter_core`` and others.
        rows: Of the original, the method and the oracles.
    """

    claim: dict[str, Any]
    threat_model: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    rows: Sequence[Row] = field(repr=False)

    @property
    def method(self) -> str:
        """The name that its rows have."""
        return str(self.claim["method"])


def save_result(path: Path, result: Result) -> None:
    """Write a result, whole or not at all; equal results give equal bytes.

    Raises:
        ValueError: If it does not keep to the format; nothing is written.
    """
    head = {
        "format": FORMAT,
        "claim": result.claim,
        "threat_model": result.threat_model,
        "settings": result.settings,
        "versions": result.versions,
        "columns": COLUMNS,
    }
    rows = [[getattr(row, column) for column in COLUMNS] for row in result.rows]
    check_content({**head, "rows": rows}, path)
    lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
    text = json.dumps(head, sort_keys=True)
    write_sealed(path, f'{text[:-1]}, "rows": [\n{lines}\n]}}\n')


def load_result(path: Path) -> Result:
    """Return the result in a file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no JSON, does not keep to the format (says where), or has not the
            digest that it was written with.
    """
    data = path.read_bytes()
    try:
        content = json.loads(data.decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"result {path} can't be read ({error})") from error
    check_content(content, path)
    if "digest" in content and not is_sealed(data):
        raise ValueError(
            f"result {path} does not match its digest, it was damaged or edited: get it again, or "
            "take the key digest out if you changed it on purpose"
        )
    rows = [Row(*values) for values in content["rows"]]
    parts = {name: content[name] for name in ("claim", "threat_model", "settings", "versions")}
    return Result(**parts, rows=rows)


def check_content(content: Any, path: Path) -> None:
    """Raise ``ValueError`` unless what a file holds keeps to the format.

    Besides the schema: values are finite, and there are rows of the method and of the original.
    """
    for error in validator().iter_errors(content):
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise ValueError(f"result {path} at {place}: {error.message}; see {SCHEMA.name}")
    methods = {row[2] for row in content["rows"]}
    for needed in (ORIGINAL, content["claim"]["method"]):
        if needed not in methods:
            raise ValueError(
                f"result {path} has no row of {needed!r}; its rows are of {', '.join(methods)}"
            )
    if any(not math.isfinite(row[7]) for row in content["rows"]):
        raise ValueError(f"result {path} holds a value that is not finite: leave such rows out")


@cache
def validator() -> Any:
    """Return what checks against the schema."""
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)
