"""Pictures of accuracies and of training: notebooks 01, 02."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spotter_core.plots.dots import dot_panels, draw_dots
from spotter_core.plots.frames import Axeses, chosen
from spotter_core.plots.style import figure_size, look, sized

PARTS = {"train": "training", "validation": "validation", "test": "test"}
DASHES = ("-", "--", ":", "-.")


def plot_accuracies(
    frame: pd.DataFrame,
    *,
    splits: Sequence[str] = ("forget/test", "retain/test"),
    axes: Axeses | None = None,
) -> Axeses:
    """Accuracy by method, a panel for each split: a dot a cell, mean and 95 % interval.

    Args:
        frame: ``to_frame`` of ``measurements.accuracies``: columns ``method``, ``split``,
            ``measure`` (rows with ``accuracy`` are used), ``value``.
        splits: One panel each, left to right.
        axes: One Axes a split, to draw on.

    Returns:
        ``(len(splits),)`` Axes.

    Raises:
        ValueError: If a column, a split or a yardstick is missing.
    """
    rows = chosen(frame, measure="accuracy", split=list(splits))
    axes = dot_panels(axes, len(splits), rows)
    for ax, split in zip(axes, splits, strict=True):
        draw_dots(ax, chosen(rows, split=split), scale=100.0)
        side, _, part = split.partition("/")
        better = "lower" if side == "forget" else "higher"
        ax.set(
            xlabel=f"accuracy, {PARTS[part]} images (%)\n{better} is better",
            title="Forget classes" if side == "forget" else "Retained classes",
        )
        low, high = ax.get_xlim()
        ax.set_xlim(max(low, -4.0), min(high, 104.0))
    return axes


def plot_training(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    terms: Sequence[str] = ("loss",),
    ax: Axes | None = None,
) -> Axes:
    """Loss by epoch, a line for each model.

    Args:
        histories: ``{method: [{"loss": 0.3, ...}, ...]}``, one dict an epoch, as
            ``study.made(cell, method).record["history"]`` has them.
        terms: Which entries to draw, each with its own dashes; those that a history lacks are left
            out.
        ax: To draw on.

    Raises:
        ValueError: If no history has any of the terms.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=figure_size(5.2, 3.2), layout="constrained")
    drawn = 0
    for method, history in histories.items():
        style = look(method)
        for term, dashes in zip(terms, DASHES, strict=False):
            values = [epoch[term] for epoch in history if term in epoch]
            if values:
                name = (
                    style.label if len(terms) == 1 else f"{style.label}: {term.replace('_', ' ')}"
                )
                line = {**style.line(), "label": name, "markersize": sized(3.5)}
                line["markevery"] = max(1, len(values) // 15)
                if len(terms) > 1:
                    line["linestyle"] = dashes
                ax.plot(range(1, len(values) + 1), values, **line)
                drawn += 1
    if not drawn:
        known = sorted(
            {key for history in histories.values() for epoch in history for key in epoch}
        )
        raise ValueError(f"no history has any of the terms {list(terms)}; they have {known}")
    ax.set(xlabel="epoch", ylabel="mean training loss (nats), lower is better")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return ax
