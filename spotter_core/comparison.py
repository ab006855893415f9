"""The published numbers, and ours beside them: measured as published, and corrected.

Layer 3: rows in, a table out.

Differences between the last two groups of columns, on the same networks, are differences of
measuring: training images or held-out ones, the published perturbation or one inside its ball, an
alpha for each model or the attacker's best.
"""

import pandas as pd

from spotter_core.cells import (
    PUBLISHED_NEAR,
    SHOTS,
    blocks,
    per_cell,
    pick,
    plain_rows,
    state,
    unit_row,
)

NUMBERS = ["forget acc. %", "retain acc. %", "OU@ε", "PRA % (k=5)"]
THEIRS, AS_PUBLISHED, CORRECTED = "published", "ours, measured as published", "ours, corrected"
PUBLISHED = [
    ("original", "", 100.0, 100.0, None, 100.0, "table"),
    ("retrain", "", 0.0, 100.0, 0.2384, 58.70, "table"),
    ("neggrad", "", 0.18, 87.73, 0.3269, 2.54, "table"),
    ("boundary_shrink", "", 3.82, 93.79, 0.1435, 72.96, "table"),
    ("unsc", "", 0.0, 99.98, 0.1575, 71.10, "table"),
    ("spotter", "λ2 = 1", 0.0, 99.98, 0.0228, 0.24, "table"),
    ("spotter", "λ2 = 0.1", 0.0, 100.0, 0.0139, 62.12, "table"),
    ("salun", "", None, None, 0.1664, 11.70, "stacking table"),
    ("spotter+salun", "", None, None, 0.0345, 4.44, "stacking table"),
    ("delete", "", None, None, 0.1216, 31.72, "stacking table"),
    ("spotter+delete", "", None, None, 0.0232, 3.34, "stacking table"),
    ("spotter+unsc", "", None, None, None, 18.54, "stacking table"),
    ("unsc", "beside its stacking", None, None, None, 73.62, "stacking table"),
    ("original", "one run", 100.0, 100.0, None, 100.0, "code"),
    ("retrain", "one run", 0.0, 100.0, 0.2359, 56.02, "code"),
    ("spotter", "one run", 0.0, 99.98, 0.0286, 0.10, "code"),
]
"""Method, variant, the four numbers, source. Of several lines of a method ours stands beside the
first."""
ALPHAS = {"original": 0.5, "retrain": 1.0, "spotter": 0.8}
"""Alpha of the published attack by model; no other is said, for which 1 is taken here."""


def published_table() -> pd.DataFrame:
    """Return the published numbers: CIFAR-10, ResNet-18, one class, one seed, training images.

    References:
        Ha et al. (2025), arXiv:2506.01318; ``table``: published summaries of the main table,
        ``stacking table``: those of the one with Spotter around other methods, ``code``: outputs
        stored in the published notebook.
    """
    lines = [(named(method, variant), *rest) for method, variant, *rest in PUBLISHED]
    return pd.DataFrame(lines, columns=["method", *NUMBERS, "source"])


def named(method: str, variant: str) -> str:
    """Return a method with its variant in parentheses, if it is one."""
    return f"{method} ({variant})" if variant else method


def published_alpha(method: str) -> float:
    """Return the published attack's alpha against a model; Spotter's also where it is stacked."""
    return ALPHAS.get(method.partition("+")[0], 1.0)


def nearest(wanted: float, grid: list[float]) -> float:
    """Return the value of the grid next to ``wanted``; of two, the larger: the stronger attack.

    >>> nearest(0.5, [0.2, 0.4, 0.6, 0.8, 1.0])
    0.6
    """
    return min(grid, key=lambda alpha: (round(abs(alpha - wanted), 9), -alpha))


def as_published(frame: pd.DataFrame, neighborhood: str = PUBLISHED_NEAR) -> pd.DataFrame:
    """Return published numbers, ours measured as published, and ours corrected; a line a method.

    *Measured as published*: training images throughout, OU@ε in the published code's neighborhood,
    PRA by the cosine row of unit length at five shots with the published alpha of that model (0.5
    original, 1 oracle, 0.8 Spotter, also around another method; 1 for the rest, where none is
    said), or with the nearest one measured; the column says so. *Corrected*: held-out images, the
    headline neighborhood, the attacker's best alpha. Means over the cells in which there is a
    network, percent to 2 digits and OU to 4 as in the published table; NaN where nothing was
    measured or published. Published lines that ours have no method for follow at the end.

    Args:
        frame: As for :func:`~spotter_core.cells.per_cell`.
        neighborhood: Name of the published code's neighborhood in it.

    Returns:
        Two levels of columns: ``method``, :data:`THEIRS`, :data:`AS_PUBLISHED`, :data:`CORRECTED`,
        and ``note`` where a method diverged or collapsed.
    """
    cells = per_cell(frame)
    near = frame["neighborhood"] == neighborhood
    attacked = unit_row(frame) & (frame["shots"] == SHOTS)
    regained = frame[attacked & (frame["split"] == "forget/train")]
    grid = sorted(regained["alpha"].unique())
    taken = {m: nearest(published_alpha(m), grid) if grid else None for m in frame["method"]}
    chosen = attacked & (frame["alpha"] == frame["method"].map(taken))
    train = pd.DataFrame(
        {
            NUMBERS[0]: 100 * pick(frame, "accuracy", "forget/train", plain_rows(frame)).mean(),
            NUMBERS[1]: 100 * pick(frame, "accuracy", "retain/train", plain_rows(frame)).mean(),
            NUMBERS[2]: pick(frame, "over_unlearning", "forget/train", near).mean(),
            NUMBERS[3]: 100 * pick(frame, "pra_accuracy", "forget/train", chosen).mean(),
        }
    )
    train = train.groupby("method").mean()
    test = cells.groupby("method")[["forget", "retain", "ou", "pra"]].mean()
    ours = [m for block in blocks(cells).values() for m in block]
    first = {line[0]: line for line in reversed(PUBLISHED)}
    beside = [first.get(m, (m, "", None, None, None, None, None)) for m in ours]
    later = [line for line in PUBLISHED if line not in beside]  # these have their variant as name
    names = [*ours, *(named(*line[:2]) for line in later)]
    alone = [None] * len(later)
    parts = {
        THEIRS: pd.DataFrame(
            [[*line[2:6], line[6]] for line in (*beside, *later)], columns=[*NUMBERS, "source"]
        ).assign(variant=[*(line[1] or None for line in beside), *alone]),
        AS_PUBLISHED: train.reindex(names).assign(
            α=[*(said_alpha(m, taken[m]) if m in train.index else None for m in ours), *alone]
        ),
        CORRECTED: test.set_axis(NUMBERS, axis=1).reindex(names),
    }
    table = pd.concat({k: part.set_axis(names) for k, part in parts.items()}, axis=1)
    table = table.round({c: 4 if c[1] == NUMBERS[2] else 2 for c in table if c[1] in NUMBERS})
    table.insert(0, ("", "method"), names)
    notes = [state(cells.loc[m]) for m in ours]
    if any(notes):
        table["", "note"] = [*(note or None for note in notes), *alone]
    return table.reset_index(drop=True)


def said_alpha(method: str, taken: float | None) -> str | None:
    """Return the alpha that was used, and the published one where it was not measured."""
    wanted = published_alpha(method)
    if taken is None:
        return None
    return f"{taken:g}" if taken == wanted else f"{taken:g} for {wanted:g}"
