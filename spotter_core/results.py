"""Rows of numbers: saved, loaded, averaged. Pictures and tables are drawn from rows alone.

Layer 1. A row is one measurement of one model; no torch is needed to read it.

A rows file is a JSON object, a row a line, with these keys: ``digest`` of all the rest, ``about``
what holds for all rows, ``columns`` their names, ``format``, ``rows``.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spotter_core.files import read_sealed, write_sealed

FORMAT = "spotter-rows-2"
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
KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "seed": ("a whole number", (int,)),
    "value": ("a number", (int, float)),
    "at": ("an object", (dict,)),
}
"""Columns that hold something else than text: what, in words and as types."""
TEXT: tuple[str, tuple[type, ...]] = ("text", (str,))


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

    Raises:
        ValueError: If a value of a row is not of its column's kind; nothing is written.
    """
    values = [[getattr(row, column) for column in COLUMNS] for row in rows]
    if wrong := wrong_value(values):
        raise ValueError(f"rows for {path} can't be kept, {wrong}")
    lines = ",\n".join(json.dumps(line, sort_keys=True) for line in values)
    head = json.dumps({"format": FORMAT, "about": about or {}, "columns": COLUMNS}, sort_keys=True)
    write_sealed(path, f'{head[:-1]}, "rows": [\n{lines}\n]}}\n')


def wrong_value(rows: Sequence[Any]) -> str:
    """Return in words which value, the first one, is not of its column's kind; ``""`` if all are.

    Args:
        rows: Lists of values, one a column.
    """
    kinds = [KINDS.get(column, TEXT) for column in COLUMNS]
    known: set[tuple[type, ...]] = set()  # rows of the same types need no second look
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(COLUMNS):
            return f"row {number} must be a list of {len(COLUMNS)} values, one a column"
        if (types := tuple(map(type, row))) in known:
            continue
        for column, value, (words, allowed) in zip(COLUMNS, row, kinds, strict=True):
            if not isinstance(value, allowed) or isinstance(value, bool):
                return f"row {number}, column {column!r}: expected {words}, got {value!r}"
        known.add(types)
    return ""


def read_file(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """Return the content of a rows file, its digest, format and values checked.

    Args:
        path: File to read.
        data: What it holds, for whoever has read it.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is cut short, damaged or no rows file, or a value is not of its column's
            kind; says which row and column.
    """
    advice = "delete it and run again to have it made anew"
    content = read_sealed(path, kind="rows file", name=FORMAT, advice=advice, data=data)
    rows, about = content.get("rows"), content.get("about")
    if not isinstance(rows, list) or not isinstance(about, dict):
        raise ValueError(f"rows file {path} lacks its rows or what is said about them: {advice}")
    if content.get("columns") != COLUMNS:
        raise ValueError(f"rows file {path} has other columns than {COLUMNS}: {advice}")
    if wrong := wrong_value(rows):
        raise ValueError(f"rows file {path} can't be taken, {wrong}: {advice}")
    return content


def load_file(path: Path, data: bytes | None = None) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of a file that :func:`save_rows` wrote, and what holds for all of them.

    Args:
        path: File to read.
        data: What it holds, for whoever has read it.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: As :func:`read_file`.
    """
    content = read_file(path, data)
    return [Row(*values) for values in content["rows"]], content["about"]


def load_rows(path: Path) -> list[Row]:
    """Return the rows of a file; raises as :func:`load_file`."""
    return load_file(path)[0]


def load_about(path: Path) -> dict[str, Any]:
    """Return what holds for all rows of a file; raises as :func:`load_file`."""
    return load_file(path)[1]


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
