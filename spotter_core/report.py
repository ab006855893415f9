"""An audit's report: one HTML file that stands alone, pictures and all.

Layer 10.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from spotter_core.embedding import common_embedding
from spotter_core.files import write_text_atomically
from spotter_core.findings import WITHOUT_ORACLE, Judged, Number, flags_of, numbers_of
from spotter_core.flags import Flag
from spotter_core.given import GivenStudy
from spotter_core.plots.audit import (
    plot_battery,
    plot_neighborhoods,
    plot_shots,
    plot_spaces,
)
from spotter_core.plots.style import look, use_style
from spotter_core.result_files import Result
from spotter_core.results import UNTRAINED, head_level, to_frame
from spotter_core.runtime import seeded_generator
from spotter_core.scores import ORACLE, ORIGINAL, regained
from spotter_core.sentences import FLAGS, percent, sentences, told

TEMPLATE = "report.html.j2"
PICTURED = 800
"""Test images in the picture of embeddings at most."""
CLASSES = 12
"""Retained classes in the table of damage at most, the most damaged ones."""


def write_report(
    path: Path, result: Result, judged: Sequence[Judged], study: GivenStudy | None = None
) -> None:
    """Write the report of a result, whole or not at all.

    Args:
        path: Of the HTML file.
        result: As of ``auditing.run_audit``.
        judged: Declared thresholds, as of ``findings.judge``.
        study: For the picture of embeddings, which needs the networks; left out without it.
    """
    write_text_atomically(path, report_of(result, judged, study))


def report_of(result: Result, judged: Sequence[Judged], study: GivenStudy | None = None) -> str:
    """Return the report as HTML; arguments as of :func:`write_report`."""
    shots, frame = result.settings["shots"], to_frame(result.rows)
    numbers = numbers_of(result.rows, result.method, shots)
    flags = flags_of(result.rows, shots, 1.0 / result.settings["num_classes"])
    with mpl.rc_context():
        use_style("paper", "light")  # as the page around them
        pictures = draw(frame, result, study)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(TEMPLATE).render(
        result=result,
        data=result.rows[0].dataset.removeprefix("folder:"),
        arch=result.rows[0].arch,
        sentences=sentences(numbers, shots),
        numbers=[number_line(number) for number in numbers],
        judged=[judged_line(each, numbers) for each in judged],
        flags=flag_lines(flags),
        unsaid=() if result.settings["oracles"] else WITHOUT_ORACLE,
        pictures=pictures,
        attacks=attack_table(frame, result),
        stages=stage_table(frame, result),
        damage=damage_table(frame, result),
    )


def number_line(number: Number) -> dict[str, Any]:
    """Return a line of the main table."""
    oracle = told(number, number.oracle)
    if number.spread == number.spread:  # a number
        oracle += f" ± {told(number, number.spread)}"
    return {
        "measure": number.measure,
        "name": number.name,
        "value": told(number, number.value),
        "original": told(number, number.original),
        "oracle": oracle,
        "untrained": told(number, number.untrained),
    }


def judged_line(judged: Judged, numbers: Sequence[Number]) -> dict[str, Any]:
    """Return a line of the table of thresholds."""
    (number,) = [each for each in numbers if each.name == judged.name]
    return {
        "label": number.measure.label,
        "name": judged.name,
        "value": told(number, judged.value),
        "threshold": told(number, judged.threshold),
        "exceeded": judged.exceeded,
        "bound": judged.bound,
    }


def flag_lines(flags: Sequence[Flag]) -> list[dict[str, Any]]:
    """Return a line for each kind of red flag, with all that raised it."""
    kinds = dict.fromkeys(flag.name for flag in flags)
    return [
        {
            "name": kind,
            "meaning": FLAGS.get(kind, ""),
            "reasons": [
                f"{look(flag.method).label}: {flag.reason}" if flag.method else flag.reason
                for flag in flags
                if flag.name == kind
            ],
        }
        for kind in kinds
    ]


# --- tables ---------------------------------------------------------------------------------------


def models_of(frame: pd.DataFrame, result: Result) -> list[str]:
    """Return the models in the order of the tables."""
    order = (result.method, ORIGINAL, ORACLE, UNTRAINED)
    return [name for name in order if (frame["method"] == name).any()]


def attack_table(frame: pd.DataFrame, result: Result) -> dict[str, Any]:
    """Return what the strongest attack regains by k, a line a model."""
    rows = frame[head_level(frame) & (frame["measure"] == "relearned")]
    every = sorted({int(k) for k in rows["shots"].dropna()})
    columns = {k: regained(rows, k)["worst"].groupby("method", sort=False).mean() for k in every}
    lines = [
        (look(m).label, [percent(columns[k][m]) if m in columns[k] else "–" for k in every])
        for m in models_of(frame, result)
    ]
    return {"columns": [f"k = {k}" for k in every], "lines": lines}


def stage_table(frame: pd.DataFrame, result: Result) -> dict[str, Any]:
    """Return what the strongest attack regains from every stage; empty if none was swept."""
    if "stage" not in frame:
        return {}
    rows = frame[(frame["measure"] == "relearned") & frame["stage"].notna()]
    rows = rows[(rows["split"] == "forget/test") & (rows["shots"] == result.settings["shots"])]
    means = rows.groupby(["method", "stage", "attack"], sort=False)["value"].mean()
    table = means.groupby(["stage", "method"], sort=False).max().unstack("method")
    models = [m for m in models_of(frame, result) if m in table]
    lines = [(stage, [percent(table.loc[stage, m]) for m in models]) for stage in table.index]
    return {"columns": [look(m).label for m in models], "lines": lines}


def damage_table(frame: pd.DataFrame, result: Result) -> dict[str, Any]:
    """Return accuracy of retained classes on look-alikes and on all others, the worst hit first."""
    if "near" not in frame:
        return {}
    rows = frame[(frame["measure"] == "accuracy") & frame["near"].isin(["neighbors", "others"])]
    groups = rows.groupby(["retained", "method"], sort=False)
    hits = (rows["value"] * rows["points"]).groupby([rows["retained"], rows["method"]]).sum()
    table = (hits / groups["points"].sum()).unstack("method")
    models = [m for m in models_of(frame, result) if m in table]
    lost = (table[ORIGINAL] - table[result.method]).sort_values(ascending=False)
    kept = list(lost.index[:CLASSES])
    lines = [(name, [percent(table.loc[name, m]) for m in models]) for name in kept]
    return {"columns": [look(m).label for m in models], "lines": lines, "of": len(lost)}


# --- pictures -------------------------------------------------------------------------------------


def draw(frame: pd.DataFrame, result: Result, study: GivenStudy | None) -> dict[str, str]:
    """Return every picture as the address of its own bytes."""
    shots = result.settings["shots"]
    means = regained(frame[head_level(frame)], shots).groupby("method", sort=False).mean()
    found = {
        "battery": inline(plot_battery(means.loc[models_of(frame, result)], shots).figure),
        "neighborhoods": inline(plot_neighborhoods(frame)[0].figure),
        "shots": inline(plot_shots(frame).figure),
    }
    if study is not None and (space := draw_space(study, result.method)) is not None:
        found["space"] = inline(space)
    return found


def draw_space(study: GivenStudy, method: str) -> Figure | None:
    """Return the picture of test images in one common space; none of very few images."""
    cell = study.cell
    models = [m for m in (ORIGINAL, ORACLE, method) if m in study.methods]
    sides = ("forget/test", "retain/test")
    labels = torch.cat([study.part(cell, where).labels for where in sides]).cpu()
    if len(labels) < 40:
        return None
    count = len(study.part(cell, "forget/test"))
    others = torch.randperm(len(labels) - count, generator=seeded_generator("report")) + count
    keep = torch.cat([torch.arange(count), others])[:PICTURED]
    features = {
        m: torch.cat([study.predictions(cell, m, where).features for where in sides]).cpu()[keep]
        for m in models
    }
    space = common_embedding(features, labels[keep], seed=0)
    axes = plot_spaces(
        space,
        labels[keep].numpy(),
        forget_classes=cell.forget,
        class_names=study.dataset.class_names,
    )
    figure = axes[0].figure
    assert isinstance(figure, Figure)
    return figure


def inline(figure: Any) -> str:
    """Return a picture as a ``data:`` address, and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
