"""Pictures of an audit: one unlearned network beside its yardsticks, the oracle if there is one.

Layer 9. The study's own pictures insist on both yardsticks; whoever audits a network may have no
oracle, and the report says what that costs.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.battery import draw_grid, grid_size
from spotter_core.plots.embedding import draw_classes, frame_panel, square
from spotter_core.plots.frames import Axeses, chosen, draw_curve, panels
from spotter_core.plots.style import area, figure_size, inks, look, sized


def plot_battery(table: pd.DataFrame, shots: int, *, ax: Axes | None = None) -> Axes:
    """Heat map of what every attack regains from every model, in per cent.

    Args:
        table: A line a method, a column an attack, fractions; as of ``scores.regained``, averaged.
        shots: k.
        ax: To draw on.
    """
    if ax is None:
        size = grid_size(len(table), [len(table.columns)], more=2.2)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    draw_grid(ax, 100.0 * table)
    ax.set_title(f"Accuracy regained on the forgotten class (%), k = {shots}\nlower is safer")
    return ax


def plot_neighborhoods(frame: pd.DataFrame, *, axes: Axeses | None = None) -> Axeses:
    """OU@ε and its two parts in every neighborhood, a mark for each model.

    Args:
        frame: ``to_frame`` of ``measurements.over_unlearning_everywhere``.
        axes: Three Axes to draw on.

    Returns:
        ``(3,)`` Axes: OU, residual forget mass, conditional shift.
    """
    parts = {
        "over_unlearning": "OU@ε (nats)",
        "residual_forget_mass": "left on the class (probability)",
        "conditional_shift": "shift among the others (nats)",
    }
    rows = chosen(frame, measure=list(parts), split="forget/test", needs=("neighborhood",))
    kinds = list(dict.fromkeys(rows["neighborhood"]))
    methods = list(dict.fromkeys(rows["method"]))
    axes = panels(axes, 3, figure_size(9.4, 1.5 + 0.42 * len(kinds)), sharey=True)
    for ax, (measure, label) in zip(axes, parts.items(), strict=True):
        for place, method in enumerate(methods):
            own = chosen(rows, measure=measure, method=method)
            means = own.groupby("neighborhood")["value"].mean().reindex(kinds)
            at = np.arange(len(kinds)) + 0.16 * (place - (len(methods) - 1) / 2)
            ax.scatter(
                means, at, s=area(46), label=look(method).label, zorder=3, **look(method).dots()
            )
        most = float(chosen(rows, measure=measure)["value"].max())
        ax.set(xlabel=f"{label}\nlower is better", xlim=(-0.04 * most, 1.06 * most or 1.0))
    axes[0].set_yticks(range(len(kinds)), kinds)
    axes[0].invert_yaxis()
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return axes


def plot_shots(frame: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """What the published attack regains by k, at the attacker's best alpha, a line a model.

    Args:
        frame: ``to_frame`` of ``measurements.relearning``.
        ax: To draw on.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=figure_size(5.4, 3.3), layout="constrained")
    rows = chosen(frame, measure="pra_accuracy", split="forget/test", metric="cosine", scale=0.0)
    best = rows.groupby(["method", "seed", "shots"], sort=False)["value"].max().reset_index()
    for method in dict.fromkeys(best["method"]):
        draw_curve(ax, chosen(best, method=method), "shots", str(method), scale=100.0)
    ax.set(
        ylim=(-4.0, 104.0),
        xlabel="images of the class that the attacker holds, k",
        ylabel="accuracy regained (%)\nlower is safer",
        title="The published attack (PRA)",
    )
    ax.set_xticks(sorted(best["shots"].unique()))
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def plot_spaces(
    coordinates: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    forget_classes: Sequence[int],
    class_names: Sequence[str],
    axes: Axeses | None = None,
) -> Axeses:
    """One common space, a panel for each model, the forgotten classes in colour.

    Args:
        coordinates: ``{model: (N, 2)}``, as of ``embedding.common_embedding``.
        labels: ``(N,)`` classes.
        forget_classes: Drawn on top.
        class_names: Of all classes.
        axes: One Axes a model.

    Returns:
        ``(models,)`` Axes.
    """
    size = figure_size(2.9 * len(coordinates), 3.3)
    axes = panels(axes, len(coordinates), size, sharex=True, sharey=True)
    limits = square(np.concatenate(list(coordinates.values())))
    for ax, (model, points) in zip(axes, coordinates.items(), strict=True):
        ax.set(**limits)
        draw_classes(ax, points, labels, forget_classes, class_names)
        ax.set(xticks=[], yticks=[], aspect="equal", title=look(model).label)
        frame_panel(ax)
    marks = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(*marks, loc="outside lower center", ncols=4)
    axes[0].set_ylabel("common embedding, no unit", color=inks().quiet, fontsize=sized(8.5))
    return axes
