"""Pictures of the relearning battery: notebook 04b."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from spotter_core.plots.blocks import block_edges, blocks_of, in_blocks
from spotter_core.plots.dots import dot_panels, draw_dots
from spotter_core.plots.frames import (
    Axeses,
    check_models,
    chosen,
    draw_curve,
    legend_of,
    methods_of,
    panels,
    say_spread,
)
from spotter_core.plots.heat import draw_heat
from spotter_core.plots.style import figure_size, fitted, inks, look, sized, width_of
from spotter_core.scores import beyond_oracles, regained

ATTACK_LABELS = {
    "pra": "PRA, published row",
    "pra_calibrated": "PRA, calibrated",
    "nearest_mean": "nearest mean",
    "lda": "LDA",
    "nearest_image": "nearest image",
    "linear_probe": "linear probe",
    "all_means": "all class means",
    "novelty": "novelty, no image",
    "worst": "worst of these",
    "fine_tuning": "fine-tuning",
    "retain_only": "fine-tuning, no image",
    "batch_norm": "batch-norm anew",
    "noise": "weight noise",
    "int8": "int8 weights",
    "full_probe": "new head, all images",
}
"""What pictures and tables call an attack."""
SUPPORTS = {
    "own": "images of the class",
    "shuffled": "control: images of other classes",
    "never seen": "control: a class never seen",
}
"""Whose images the attacker takes for the forgotten class."""
LEAST = 5.0
"""Points on either side of the oracle that an axis shows at least."""
CELL_WIDTH, CELL_HEIGHT = 0.47, 0.27
"""Inches of a cell of the grid, on paper."""
CELL_LEAST = 0.26
"""Inches on paper that three figures take."""


def plot_battery(
    frame: pd.DataFrame,
    *,
    shots: int = 5,
    supports: Sequence[str] = tuple(SUPPORTS),
    axes: Axeses | None = None,
) -> Axeses:
    """What every attack regains from every network, a panel for each kind of the attacker's images.

    Means over cells, in percent of the forget test images; of the never-seen class its own. *Worst
    of these* is the mean of each cell's worst head-level attack; behind it stand those that change
    weights.

    Args:
        frame: ``to_frame`` of ``measurements.head_attacks``, and of ``training_attacks`` if
            measured: columns ``method``, ``forget``, ``seed``, ``split``, ``measure``, ``attack``,
            ``shots``, ``support``, ``value``.
        shots: k.
        supports: Panels, keys of :data:`SUPPORTS`.
        axes: One Axes a panel, to draw on.

    Returns:
        ``(supports,)`` Axes.

    Raises:
        ValueError: If a column, a yardstick or the k is missing.
    """
    rows = chosen(frame, measure="relearned", needs=("attack", "shots", "support", "split"))
    methods = in_blocks(methods_of(rows))
    tables = [100 * regained(rows, shots, support=s) for s in supports]
    means = [t.groupby("method", sort=False).mean().reindex(methods) for t in tables]
    known = [[a for a in ATTACK_LABELS if a in table] for table in means]
    columns = [len(names) for names in known]
    size = grid_size(len(methods), columns, more=1.9)
    ratios = {"gridspec_kw": {"width_ratios": columns}}
    grid = panels(axes, len(supports), size, sharey=True, **ratios)
    for ax, table, names, support in zip(grid, means, known, supports, strict=True):
        draw_grid(ax, table[names])
        ax.set_title(fitted(SUPPORTS[support], width_of(ax), 9.5), fontsize=sized(9.5))
        for edge in block_edges(methods):
            ax.axhline(edge, color=inks().ink, linewidth=sized(0.9))
    grid[0].set_yticklabels([look(m).label for m in methods], rotation=0)
    if axes is None:
        note = f"accuracy on test images of the class (%), k = {shots}; lower is safer"
        note += f" ({inks().more}: more comes back)"
        grid[0].figure.supxlabel(note, fontsize=sized(8), color=inks().quiet)
    return grid


def grid_size(rows: int, columns: Sequence[int], *, more: float) -> tuple[float, float]:
    """Return the size of a picture with grids side by side; ``more`` inches are for the names.

    Cells are no narrower than the figures in them, whatever the width of a slide.
    """
    width, height = figure_size(more + CELL_WIDTH * sum(columns), 1.9 + CELL_HEIGHT * rows)
    least = sized(more + CELL_LEAST * sum(columns))
    return max(width, least), height


def draw_grid(ax: Axes, table: pd.DataFrame) -> None:
    """Draw percentages, a line a method and a column an attack.

    Args:
        ax: To draw on.
        table: Columns keys of :data:`ATTACK_LABELS`; ``worst`` is set apart.
    """
    names = list(table)
    draw_heat(ax, table.rename(columns=ATTACK_LABELS), most=100.0, digits=0, points=7.5)
    ax.set_yticklabels([look(str(m)).label for m in table.index], rotation=0)
    ax.tick_params(axis="x", rotation=90)
    if "worst" in names:
        place = names.index("worst")
        for edge in {place, place + 1} - {len(names)}:
            ax.axvline(edge, color=inks().ink, linewidth=sized(0.9))


def plot_excess(
    table: pd.DataFrame,
    *,
    attacks: Sequence[str] = ("pra", "pra_calibrated", "worst"),
    axes: Axeses | None = None,
) -> Axeses:
    """What is regained beyond the oracles of the same classes, in points, a panel an attack.

    Args:
        table: As from ``scores.regained``: a line for each method and cell, a column an attack.
        attacks: Columns to draw.
        axes: One Axes an attack, to draw on.

    Returns:
        ``(attacks,)`` Axes.

    Raises:
        ValueError: If a yardstick or an attack is missing.
    """
    check_models(table.index.unique("method"))
    frame = beyond_oracles(table).melt(ignore_index=False, var_name="attack").reset_index().dropna()
    grid = dot_panels(axes, len(attacks), frame)
    for ax, attack in zip(grid, attacks, strict=True):
        draw_dots(ax, chosen(frame, attack=attack), scale=100.0)
        low, high = ax.get_xlim()
        ax.set_xlim(min(low, -LEAST), max(high, LEAST))
        ax.set_title(ATTACK_LABELS.get(attack, attack))
        ax.set_xlabel("points beyond the oracle\nnearer to 0 is better")
    return grid


def plot_layers(
    frame: pd.DataFrame, *, attack: str = "lda", shots: int = 5, ax: Axes | None = None
) -> Axes:
    """What comes back from the features of every stage, from the input on.

    Args:
        frame: ``to_frame`` of ``measurements.layer_sweep``; stages in order of appearance.
        attack: Which one.
        shots: k.
        ax: To draw on.

    Raises:
        ValueError: If a column, the attack, the k or a yardstick is missing.
    """
    rows = chosen(
        frame,
        measure="relearned",
        split="forget/test",
        attack=attack,
        shots=shots,
        needs=("stage",),
    )
    methods, stages = in_blocks(methods_of(rows)), list(dict.fromkeys(rows["stage"]))
    rows = rows.assign(place=rows["stage"].map(stages.index))
    (ax,) = panels(ax, 1, figure_size(6.4, max(3.2, 0.19 * len(methods) + 1.0)))
    for method in reversed(methods):
        draw_curve(ax, chosen(rows, method=method), "place", method, scale=100.0)
    ax.set_xticks(range(len(stages)), [s.removeprefix("stages.") for s in stages], rotation=30)
    ax.set(
        ylim=(-4, 104), xlabel="features after this stage of the network (last: before the head)"
    )
    ax.set_ylabel("forget test accuracy (%)\nlower is safer")
    ax.set_title(f"{ATTACK_LABELS[attack]}, k = {shots}")
    legend_of(methods, ax)
    say_spread(ax, rows, ["place"])
    return ax


def plot_fine_tuning(frame: pd.DataFrame, *, axes: Axeses | None = None) -> Axeses:
    """How the class comes back while an attacker trains, step by step, a panel for each k.

    Args:
        frame: ``to_frame`` of ``measurements.training_attacks``: rows with the measure
            ``relearning_curve``, columns ``shots``, ``step``.
        axes: One Axes a k, to draw on.

    Returns:
        ``(k,)`` Axes.

    Raises:
        ValueError: If a column or a yardstick is missing.
    """
    rows = chosen(frame, measure="relearning_curve", split="forget/test", needs=("step",))
    methods, ks = methods_of(rows), sorted(rows["shots"].unique())
    rows = rows.assign(place=np.log1p(rows["step"]))
    grid = panels(axes, len(ks), figure_size(2.2 + 2.5 * len(ks), 3.4), sharey=True)
    steps = sorted(rows["step"].unique())
    for ax, k in zip(grid, ks, strict=True):
        for block in blocks_of(methods).values():
            for method in reversed(in_blocks(block)):
                own = chosen(rows, shots=k, method=method)
                draw_curve(ax, own, "place", method, scale=100.0)
        ax.xaxis.set_major_locator(FixedLocator([np.log1p(s) for s in steps]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{np.expm1(x):.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
        images = "no image of the class" if k == 0 else f"{k:.0f} images of the class"
        ax.set(ylim=(-4, 104), title=fitted(images, width_of(ax), 10.5))
        ax.set_xlabel(fitted("steps of fine-tuning, log scale", width_of(ax), 9.5))
    grid[0].set_ylabel("accuracy on forget test images (%)\nlower is safer")
    legend_of(in_blocks(methods), grid[-1])
    say_spread(grid[0], rows, ["shots", "place"])
    return grid
