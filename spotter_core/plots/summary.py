"""Pictures of the whole: the ablation of notebook 07 and the claims of notebook 08."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.cells import state
from spotter_core.claims import ONE_CELL, Claim
from spotter_core.plots.frames import (
    Axeses,
    check_models,
    chosen,
    draw_curve,
    legend_of,
    log_scale,
    methods_of,
    panels,
    say_spread,
)
from spotter_core.plots.style import QUIET, YARDSTICKS, Look, look

SYMBOLS = {
    "lambda_1": "λ₁, forgetting against protecting",
    "lambda_2": "λ₂, weight of dispersion",
    "neighborhood.epsilon": "training ε (pixel units)",
}
TRADED = (
    ("over_unlearning", "forget/test", 1.0, "OU@ε (nats), log scale\nlower is better", 0.001),
    ("pra_accuracy", "forget/test", 100.0, "PRA accuracy (%), log scale\nlower is safer", 1.0),
    ("accuracy", "retain/test", 100.0, "retain accuracy (%)\nhigher is better", None),
)
"""Measure, split, scale and label of the three panels, and where a log scale starts."""
ALLOWED, BETTER = "shaded: what the claim allows", "lower is better"
KEY = f"{ALLOWED} · bar: 95 % interval of the mean over cells · {BETTER}"
KEY_OF_ONE = f"{ALLOWED} · {ONE_CELL} · {BETTER}"
GOOD, BAD = "#00775A", "#B5480A"
VISIBLE = 0.05
"""Share of a linear axis that a value must reach, lest it is lost beside the yardsticks."""
VERDICT_WIDTH, TITLE_WIDTH = 30, 90
"""Letters a line."""


def plot_tradeoff(
    frame: pd.DataFrame,
    *,
    setting: str,
    default: float | None = None,
    axes: Axeses | None = None,
) -> Axeses:
    """OU, PRA and retain accuracy as one setting of a method is varied.

    OU and PRA have logarithmic axes (linear below 0.001 nats and 1 %), since the yardsticks lie
    orders of magnitude above what the setting moves.

    Args:
        frame: ``to_frame`` of ``measurements.ablation``: columns ``method``, ``measure``,
            ``split``, ``value``, and ``setting`` (such as ``"lambda_2"``) with its
            ``setting_value``. Rows of ``original`` and ``retrain`` have no setting and are drawn
            as horizontal lines.
            Measures: ``over_unlearning`` (``forget/test``), ``pra_accuracy`` (``forget/test``),
            ``accuracy`` (``retain/test``).
        setting: Which one.
        default: The value of the study's profile, marked by a vertical line.
        axes: Three Axes to draw on.

    Returns:
        ``(3,)`` Axes: OU, PRA accuracy, retain accuracy.

    Raises:
        ValueError: If a column, the setting, a measure or a yardstick is missing.
    """
    fixed = chosen(frame, method=list(YARDSTICKS), needs=("setting", "setting_value"))
    varied = chosen(frame, setting=setting)
    varied = varied[~varied["method"].isin(YARDSTICKS)]
    methods = methods_of(pd.concat([fixed, varied]))
    given, axes = axes is not None, panels(axes, 3, (9.8, 3.1))
    for ax, (measure, split, scale, label, linear) in zip(axes, TRADED, strict=True):
        for name in YARDSTICKS:
            style, own = look(name), chosen(fixed, measure=measure, split=split, method=name)
            ax.axhline(scale * own["value"].mean(), color=style.color, linestyle=style.dashes)
        for name in methods[len(YARDSTICKS) :]:
            own = chosen(varied, measure=measure, split=split, method=name)
            draw_curve(ax, own, "setting_value", name, scale=scale)
        if default is not None:
            mark_default(ax, default)
        ax.set(xlabel=SYMBOLS.get(setting, setting), ylabel=label)
        if linear is not None:
            drawn = (
                scale * chosen(pd.concat([fixed, varied]), measure=measure, split=split)["value"]
            )
            log_scale(ax, "y", drawn.min(), drawn.max(), linear=linear)
    legend_of(methods, axes[-1], unmarked=YARDSTICKS)
    if not given:
        say_spread(axes[0], varied, ["measure", "split", "setting_value"])
    return axes


def mark_default(ax: Axes, default: float) -> None:
    """Mark the value that the study uses by a dotted line."""
    ax.axvline(default, color=QUIET, linestyle=":", linewidth=1.2)
    where: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "va": "bottom", "ha": "center"}
    ax.text(default, 1.0, "study's value", fontsize=8, color=QUIET, **where)


def plot_claims(
    claims: Sequence[Claim],
    *,
    yardsticks: Mapping[str, Sequence[float]],
    axes: Axeses | None = None,
) -> Axeses:
    """The paper's claims: measured value with its interval against the threshold, and the verdict.

    Args:
        claims: From ``claims.judge``; each reads "at most the threshold".
        yardsticks: ``{"original": values, "retrain": values}``, the same measure of the yardsticks,
            one value a claim; NaN where it has none.
        axes: One Axes a claim, to draw on.

    Returns:
        ``(claims,)`` Axes, top to bottom.

    Raises:
        ValueError: If there is no claim, or a yardstick is missing or of another length.
    """
    check_models(yardsticks)
    if not claims or any(len(yardsticks[name]) != len(claims) for name in YARDSTICKS):
        found = ", ".join(f"{len(yardsticks[name])} of {name}" for name in YARDSTICKS)
        raise ValueError(
            "claims must be one or more, and each yardstick have a value for each: "
            f"got {len(claims)} claims and {found}"
        )
    if axes is None:
        size = (8.6, 1.0 * len(claims) + 0.9)
        figure, axes = plt.subplots(
            len(claims), 1, figsize=size, layout="constrained", squeeze=False
        )
        single = all(math.isnan(claim.low) for claim in claims)
        figure.supxlabel(KEY_OF_ONE if single else KEY, fontsize=8, color=QUIET)
    axes = panels(axes, len(claims), (0, 0))
    for i, (ax, claim) in enumerate(zip(axes, claims, strict=True)):
        draw_claim(ax, claim, {name: yardsticks[name][i] for name in YARDSTICKS})
    for each in map(look, ("spotter", *YARDSTICKS)):
        axes[0].scatter([], [], s=50, label=each.label, **each.dots())
    marks = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(*marks, loc="outside upper left", ncols=3, handletextpad=0.1)
    return axes


def draw_claim(ax: Axes, claim: Claim, marks: Mapping[str, float]) -> None:
    """Draw one claim: what it allows shaded, the measured value on it, the verdict beside."""
    numbers = [0.0, claim.value, claim.low, claim.high, claim.threshold, *marks.values()]
    shown = [float(v) for v in numbers if np.isfinite(v)]
    low, high = min(shown), max(shown)
    unit, linear = claim.unit, log_start(claim, high - low)
    if linear is None:
        margin = 0.04 * (high - low) or 1.0
        ax.set_xlim(low - margin, high + margin)
    else:
        log_scale(ax, "x", low, high, linear=linear)
        unit += f"; log scale above {linear:g}"
    ax.set(ylim=(-1, 1), yticks=[])
    ax.axvspan(ax.get_xlim()[0], claim.threshold, color="#E3EFEA", linewidth=0, zorder=0)
    ax.axvline(claim.threshold, color=GOOD, linewidth=1.6, zorder=1)
    for name, position in marks.items():
        ax.scatter([position], [0], s=45, zorder=3, **look(name).dots())
    ours = look("spotter")
    ax.plot([claim.low, claim.high], [0, 0], color=ours.color, linewidth=3, zorder=4)
    ax.scatter([claim.value], [0], s=130, zorder=5, **ours.dots())
    sentence = re.sub(r"\(([a-z0-9_+]+)\)", lambda m: f"({look(m[1]).label})", claim.sentence)
    title = textwrap.fill(f"({claim.number}) {sentence} ({unit})", TITLE_WIDTH)
    ax.set_title(title, fontsize=9.5)
    value = "no value" if math.isnan(claim.value) else f"{claim.value:.3g}"
    color, limit = GOOD if claim.holds else BAD, f"{value}, allowed {claim.threshold:g}"
    where: dict[str, Any] = {"transform": ax.transAxes, "fontsize": 8.5}
    words = textwrap.fill(claim.verdict(), VERDICT_WIDTH)
    ax.text(1.015, 0.42, words, color=color, fontweight="bold", va="bottom", **where)
    ax.text(1.015, 0.3, limit, color=QUIET, va="top", **where)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)


def log_start(claim: Claim, span: float) -> float | None:
    """Return where a log axis starts, if value or threshold would be lost on a linear one."""
    least = min((v for v in (abs(claim.value), claim.threshold) if v > 0.0), default=span)
    if least >= VISIBLE * span:
        return None
    return 10.0 ** math.floor(math.log10(max(least, span / 1000)))


def plot_blind_spots(cells: pd.DataFrame, *, shots: int = 5, ax: Axes | None = None) -> Axes:
    """Both blind spots at once: over-unlearning across, relearning up; a mark for each method.

    Large marks are means over the cells in which a method has a network, small ones single cells.
    The oracle's numbers make a dashed cross. OU has a logarithmic axis above 0.01 nats. A method
    that collapsed is crossed out; one that diverged everywhere is in the legend alone.

    Args:
        cells: As from ``claims.per_cell``: columns ``ou``, ``pra``, ``diverged``, ``collapsed``,
            indexed by ``method`` and cell.
        shots: The attacker's k, for the label.
        ax: To draw on.

    Raises:
        ValueError: If a yardstick is missing.
    """
    methods = list(cells.index.unique("method"))
    check_models(methods)
    if ax is None:
        height = max(4.0, 0.19 * len(methods) + 0.9)
        _, ax = plt.subplots(figsize=(7.4, height), layout="constrained")
    log_scale(ax, "x", 0.0, cells["ou"].max(), linear=0.01)
    means = cells.groupby("method")[["ou", "pra"]].mean()
    for name in methods:
        style, own, mean = look(name), cells.loc[name], means.loc[name]
        words, top = state(own), 4 if name in YARDSTICKS else 3
        label = "\n".join([style.label, *words.split("; ")] if words else [style.label])
        size = marker_size(style)
        ax.scatter(own["ou"], own["pra"], s=12, color=style.color, alpha=0.5, linewidths=0)
        marks: dict[str, Any] = {"s": size, "label": label, "linewidths": 1.4, **style.dots()}
        ax.scatter(mean["ou"], mean["pra"], zorder=top, **marks)
        if own["collapsed"].any():
            ax.scatter(mean["ou"], mean["pra"], s=240, marker="x", color=BAD, zorder=5)
    oracle: dict[str, Any] = {"color": look("retrain").color, "linestyle": "--", "linewidth": 1.0}
    ax.axvline(means.loc["retrain", "ou"], **oracle, zorder=0)
    ax.axhline(means.loc["retrain", "pra"], **oracle, zorder=0)
    ax.set_xlabel(
        "OU@ε near held-out forget images (nats)\n"
        "lower is nearer to the original; logarithmic above 0.01"
    )
    ax.set_ylabel(f"PRA accuracy (%), k = {shots}, best α\nlower is harder to bring back")
    ax.set_ylim(-4, 104)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def marker_size(style: Look) -> float:
    """Return the area of a large mark; stars look smaller than what fills its square."""
    return 150.0 if style.marker == "*" or isinstance(style.marker, tuple) else 70.0
