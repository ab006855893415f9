"""A table as a picture: colours for the overview, figures on top for the numbers.

Layer 9. Near the paper's colour is nothing; every figure is black or white, whichever is read
better on its cell.
"""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.style import inks, legible, sized


def draw_heat(
    ax: Axes,
    table: pd.DataFrame,
    *,
    most: float,
    digits: int,
    points: float = 8.0,
    bar: str | None = None,
) -> None:
    """Draw a table of numbers from 0 to ``most``; its index and columns become tick labels.

    Args:
        ax: To draw on.
        table: Empty cells are NaN.
        most: What the end of the colour map stands for.
        digits: Decimals.
        points: Height of the figures, on paper.
        bar: Label of the colour bar; none is drawn without one.
    """
    # Costs a second to import, and few pictures need it.
    from seaborn import heatmap

    options: dict[str, Any] = {"cbar": bar is not None}
    if bar is not None:
        options["cbar_kws"] = {"label": bar, "pad": 0.02}
    heatmap(
        table,
        ax=ax,
        cmap=inks().damage_map,
        vmin=0.0,
        vmax=most,
        annot=table.round(digits) + 0.0,  # no figure reads -0.0
        fmt=f".{digits}f",
        annot_kws={"fontsize": sized(points)},
        linewidths=sized(0.7),
        linecolor=inks().paper,
        **options,
    )
    mesh = ax.collections[0]
    shown = table.stack()  # texts stand in the order of the cells that have a number
    for text, value in zip(ax.texts, shown, strict=True):
        text.set_color(legible(mesh.cmap(mesh.norm(value))))
    ax.tick_params(length=0)
    ax.set(xlabel="", ylabel="")
