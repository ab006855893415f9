"""What all pictures ask of a table of rows: the right columns, both yardsticks, mean and interval.

Layer 8. Frames come from ``results.to_frame``; none is ever changed.
"""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spotter_core.plots.style import YARDSTICKS, look
from spotter_core.results import summarise

Axeses = np.ndarray
"""An array of Axes, one a panel, as ``plt.subplots`` returns it."""


def chosen(frame: pd.DataFrame, *, needs: Sequence[str] = (), **where: object) -> pd.DataFrame:
    """Return the rows where every keyword's column has that value, or one of a list of values.

    Raises:
        ValueError: If a column is missing, or no row is left (says which condition failed).
    """
    missing = [c for c in (*where, "method", "value", *needs) if c not in frame]
    if missing:
        raise ValueError(
            f"frame has no column {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}: "
            "pass results.to_frame(rows) of the measurement that the docstring names"
        )
    for column, wanted in where.items():
        values = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        rest = frame[frame[column].isin(values)]
        if rest.empty:
            known = ", ".join(map(repr, frame[column].dropna().unique()[:12]))
            raise ValueError(f"frame has no row with {column} {wanted!r}; it has {known or 'none'}")
        frame = rest
    return frame


def methods_of(frame: pd.DataFrame) -> list[str]:
    """Return the methods in order of appearance, the yardsticks first.

    Raises:
        ValueError: If a yardstick is missing: no picture is drawn without both.
    """
    found = list(dict.fromkeys(frame["method"]))
    check_models(found)
    return [*YARDSTICKS, *(name for name in found if name not in YARDSTICKS)]


def check_models(found: Iterable[str]) -> None:
    """Raise ``ValueError`` unless both yardsticks are among the models of a picture."""
    names = list(map(str, found))
    if missing := [name for name in YARDSTICKS if name not in names]:
        raise ValueError(
            f"there is no {' and no '.join(missing)} among {', '.join(names) or 'no models'}: "
            f"every picture shows both yardsticks, so measure {' and '.join(YARDSTICKS)}, too"
        )


def panels(
    axes: Axeses | Sequence[Axes] | Axes | None,
    count: int,
    size: tuple[float, float],
    **options: object,
) -> Axeses:
    """Return ``axes`` as a flat array of ``count``, or new ones in a row, ``size`` inches in all.

    Raises:
        ValueError: If another number of Axes was passed.
    """
    if axes is None:
        _, axes = plt.subplots(
            1,
            count,
            figsize=size,
            layout="constrained",
            squeeze=False,
            **options,  # type: ignore[call-overload]
        )
    flat = np.asarray(axes, dtype=object).reshape(-1)
    if len(flat) != count:
        raise ValueError(f"axes must hold {count} Axes, one a panel, got {len(flat)}")
    return flat


def draw_curve(
    ax: Axes, frame: pd.DataFrame, over: str, method: str, *, scale: float = 1.0
) -> None:
    """Draw the mean of ``value`` against column ``over`` and its 95 % interval as a band."""
    curve, style = summarise(frame, [over]).sort_values(over), look(method)
    if method not in YARDSTICKS:
        ax.fill_between(
            curve[over],
            scale * curve["low"],
            scale * curve["high"],
            color=style.color,
            alpha=0.09,
            lw=0,
        )
    ax.plot(curve[over], scale * curve["mean"], **style.line())


def legend_of(methods: Sequence[str], ax: Axes, **options: object) -> None:
    """Put one legend of all methods, in their fixed order, beside ``ax``."""
    handles = [ax.plot([], [], **look(m).line())[0] for m in methods]
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), **options)
