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

from spotter_core.claims import ONE_CELL, Claim
from spotter_core.plots.blind_spots import plot_blind_spots
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
from spotter_core.plots.style import YARDSTICKS, area, figure_size, inks, look, sized

__all__ = ["plot_blind_spots", "plot_claims", "plot_tradeoff"]

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
    given, axes = axes is not None, panels(axes, 3, figure_size(9.8, 3.1))
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
    ax.axvline(default, color=inks().quiet, linestyle=":", linewidth=sized(1.2))
    where: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "va": "bottom", "ha": "center"}
    ax.text(default, 1.0, "study's value", fontsize=sized(8), color=inks().quiet, **where)


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
        size = figure_size(8.6, 1.0 * len(claims) + 0.9)
        figure, axes = plt.subplots(
            len(claims), 1, figsize=size, layout="constrained", squeeze=False
        )
        single = all(math.isnan(claim.low) for claim in claims)
        figure.supxlabel(KEY_OF_ONE if single else KEY, fontsize=sized(8), color=inks().quiet)
    axes = panels(axes, len(claims), (0, 0))
    for i, (ax, claim) in enumerate(zip(axes, claims, strict=True)):
        draw_claim(ax, claim, {name: yardsticks[name][i] for name in YARDSTICKS})
    for each in map(look, ("spotter", *YARDSTICKS)):
        axes[0].scatter([], [], s=area(50), label=each.label, **each.dots())
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
    ax.axvspan(ax.get_xlim()[0], claim.threshold, color=inks().allowed, linewidth=0, zorder=0)
    ax.axvline(claim.threshold, color=inks().good, linewidth=sized(1.6), zorder=1)
    for name, position in marks.items():
        ax.scatter([position], [0], s=area(45), zorder=3, **look(name).dots())
    ours = look("spotter")
    ax.plot([claim.low, claim.high], [0, 0], color=ours.color, linewidth=sized(3), zorder=4)
    ax.scatter([claim.value], [0], s=area(130), zorder=5, **ours.dots())
    sentence = re.sub(r"\(([a-z0-9_+]+)\)", lambda m: f"({look(m[1]).label})", claim.sentence)
    title = textwrap.fill(f"({claim.number}) {sentence} ({unit})", TITLE_WIDTH)
    ax.set_title(title, fontsize=sized(9.5))
    value = "no value" if math.isnan(claim.value) else f"{claim.value:.3g}"
    color, limit = (
        inks().good if claim.holds else inks().bad,
        f"{value}, allowed {claim.threshold:g}",
    )
    where: dict[str, Any] = {"transform": ax.transAxes, "fontsize": sized(8.5)}
    words = textwrap.fill(claim.verdict(), VERDICT_WIDTH)
    ax.text(1.015, 0.42, words, color=color, fontweight="bold", va="bottom", **where)
    ax.text(1.015, 0.3, limit, color=inks().quiet, va="top", **where)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)


def log_start(claim: Claim, span: float) -> float | None:
    """Return where a log axis starts, if value or threshold would be lost on a linear one."""
    least = min((v for v in (abs(claim.value), claim.threshold) if v > 0.0), default=span)
    if least >= VISIBLE * span:
        return None
    return 10.0 ** math.floor(math.log10(max(least, span / 1000)))
