"""Rows of numbers: saved, loaded, averaged. Pictures and tables are drawn from rows alone.

Layer 1. A row is one measurement of one model; no torch is needed to read it.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spotter_core.files import write_text_atomically

FORMAT = "spotter-rows-1"
UNTRAINED = "untrained"
"""The battery's control, as rows name it: random features. No method, and in no table of them."""
TRAINED = ("fine_tuning", "retain_only", "batch_norm", "noise", "int8")
"""Attacks, as rows name them, that change the network's weights; measured where there is time."""


@dataclass(frozen=True)
class Row:
    """One measured value and all that identifies it.

    Attributes:
        dataset: Name of the data set.
        arch: Architecture and width, ``small_cnn-32``.
        method: ``original``, ``retrain``, or a name in ``METHODS``.
        forget: Forget classes, ``"3"`` or ``"3+8"``.
        seed: Of the run.
        split: What was measured on: ``forget/test``, ``retain/train``, ...
        measure: ``accuracy``, ``over_unlearning``, ...
        value: The number.
        unit: ``fraction``, ``nats``, ``cosine``, ``images``.
        settings: Hash of the settings and the code that made the model.
        at: Where it was measured: ``{"epsilon": 0.1}``, ``{"shots": 5, "alpha": 1.0}``.
    """

    dataset: str
    arch: str
    method: str
    forget: str
    seed: int
    split: str
    measure: str
    value: float
    unit: str
    settings: str
    at: dict[str, Any] = field(default_factory=dict)


COLUMNS = [f.name for f in fields(Row)]


def head_level(frame: pd.DataFrame) -> Any:
    """Return a mask of the rows that attacks on a network's last features left, weights unchanged.

    Args:
        frame: As from :func:`to_frame`.
    """
    if "attack" not in frame:
        return pd.Series(data=False, index=frame.index)
    own = frame["attack"].notna() & ~frame["attack"].isin(TRAINED)
    return own & frame["stage"].isna() if "stage" in frame else own


def save_rows(path: Path, rows: Iterable[Row], *, about: dict[str, Any] | None = None) -> None:
    """Write rows as JSON, whole or not at all; equal rows give equal bytes.

    Args:
        path: File to write.
        rows: In the order to be kept.
        about: What holds for all of them: versions, profile, fingerprint.
    """
    lines = [json.dumps([getattr(row, c) for c in COLUMNS], sort_keys=True) for row in rows]
    head = json.dumps({"format": FORMAT, "about": about or {}, "columns": COLUMNS}, sort_keys=True)
    body = ",\n".join(lines)
    write_text_atomically(path, f'{head[:-1]}, "rows": [\n{body}\n]}}\n')


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a rows file, its format checked.

    Raises:
        ValueError: If it is cut short or no rows file.
    """
    advice = "delete it and run again to have it made anew"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"rows file {path} can't be read ({error}): {advice}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is no rows file of format {FORMAT!r}: {advice}")
    rows, about = content.get("rows"), content.get("about")
    if not isinstance(rows, list) or not isinstance(about, dict):
        raise ValueError(f"rows file {path} lacks its rows or what is said about them: {advice}")
    if content.get("columns") != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"rows file {path} has other columns than {COLUMNS}: {advice}")
    return content


def load_rows(path: Path) -> list[Row]:
    """Return the rows of a file that :func:`save_rows` wrote.

    Raises:
        ValueError: If it is cut short or no rows file.
    """
    return [Row(*values) for values in read_file(path)["rows"]]


def load_about(path: Path) -> dict[str, Any]:
    """Return what holds for all rows of a file; raises as :func:`load_rows`."""
    about: dict[str, Any] = read_file(path)["about"]
    return about


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return rows as a table, the keys of ``at`` as columns beside the others."""
    frame = pd.DataFrame.from_records([{**row.at, **vars(row)} for row in rows])
    frame = frame.drop(columns="at", errors="ignore")
    front = [c for c in COLUMNS if c in frame]
    return frame[[*front, *(c for c in frame if c not in front)]]


def bootstrap_interval(
    values: Sequence[float],
    *,
    over: Sequence[float] | None = None,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean, or of a ratio of two means.

    Args:
        values: One number a cell; cells are resampled, not images, as runs differ more.
        over: The ratio's denominator, of the same cells in the same order; resampled alike.
        level: Coverage, in (0, 1).
        draws: Number of resamples.
        seed: Equal seeds give equal intervals.

    Raises:
        ValueError: If there is no value, one is not finite, the two differ in number, or level is
            out of range.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values must be finite and at least one, got {list(values)[:5]}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie inside (0, 1), got {level}")
    index = np.random.default_rng(seed).integers(array.size, size=(draws, array.size))
    means = array[index].mean(axis=1)
    if over is not None:
        if len(over) != array.size:
            raise ValueError(f"over must have {array.size} values, one a cell, got {len(over)}")
        means = means / np.asarray(over, dtype=float)[index].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled_means(
    values: Sequence[Sequence[float]] | np.ndarray, *, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """Return ``(draws, columns)`` means over resampled rows, all columns by the same rows.

    Args:
        values: ``(rows, columns)``, such as images and attacks.
        draws: Number of resamples.
        seed: Equal seeds give equal resamples.
    """
    array = np.asarray(values, dtype=float)
    count = len(array)
    even = np.full(count, 1.0 / count)
    times = np.random.default_rng(seed).multinomial(count, even, size=draws)
    means: np.ndarray = times @ array / count
    return means


def summarise(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return mean, spread and bootstrap interval of ``value`` in every group.

    Args:
        frame: As from :func:`to_frame`.
        by: Columns that make a group; the rest (seeds, forget classes) is averaged over.

    Returns:
        A table with the columns of ``by``, and ``mean``, ``std``, ``low``, ``high`` (95 % bootstrap
        interval of the mean; like ``std`` NaN for one cell, which has no spread) and ``cells``, in
        order of appearance.
    """
    records = []
    for key, group in frame.groupby(list(by), sort=False, dropna=False):
        values = group["value"].to_numpy(dtype=float)
        spread = low = high = math.nan
        if len(values) > 1:
            spread, (low, high) = float(values.std(ddof=1)), bootstrap_interval(values)
        records.append(
            dict(zip(by, key, strict=True))
            | {"mean": values.mean(), "std": spread, "low": low, "high": high, "cells": len(values)}
        )
    return pd.DataFrame.from_records(records)
