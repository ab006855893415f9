"""Both blind spots in one picture: notebook 08."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.cells import state
from spotter_core.plots.frames import check_models, log_scale
from spotter_core.plots.style import YARDSTICKS, Look, area, figure_size, inks, look, sized


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
        _, ax = plt.subplots(figsize=figure_size(7.4, height), layout="constrained")
    log_scale(ax, "x", 0.0, cells["ou"].max(), linear=0.01)
    means = cells.groupby("method")[["ou", "pra"]].mean()
    for name in methods:
        style, own, mean = look(name), cells.loc[name], means.loc[name]
        words, top = state(own), 4 if name in YARDSTICKS else 3
        label = "\n".join([style.label, *words.split("; ")] if words else [style.label])
        size = marker_size(style)
        ax.scatter(own["ou"], own["pra"], s=area(12), color=style.color, alpha=0.5, linewidths=0)
        marks: dict[str, Any] = {
            "s": size,
            "label": label,
            "linewidths": sized(1.4),
            **style.dots(),
        }
        ax.scatter(mean["ou"], mean["pra"], zorder=top, **marks)
        if own["collapsed"].any():
            ax.scatter(mean["ou"], mean["pra"], s=area(240), marker="x", color=inks().bad, zorder=5)
    oracle: dict[str, Any] = {
        "color": look("retrain").color,
        "linestyle": "--",
        "linewidth": sized(1.0),
    }
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
    return area(150.0 if style.marker == "*" or isinstance(style.marker, tuple) else 70.0)
