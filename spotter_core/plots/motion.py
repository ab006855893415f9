"""A class scattering while it is unlearned: stored moments side by side, or one after the other.

Layer 9. Drawn from keyframes alone. Numbers are those of the last moment that was measured, and a
film halts there; on the way between two moments samples go straight, which nobody measured.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spotter_core.keyframes import Keyframes, Run
from spotter_core.plots.embedding import draw_classes, square
from spotter_core.plots.frames import Axeses
from spotter_core.plots.gauges import Gauge
from spotter_core.plots.gif import Shot, photograph
from spotter_core.plots.style import YARDSTICKS, look

COLUMNS = 6
"""Moments in a strip."""
DOTS = 100
"""Of an inch in a film: 700 wide, as a README shows it."""
STEP, HALT, END = 70, 420, 3200
"""Milliseconds of a shot on the way, of a measured moment, and of the last one."""

TICK: dict[str, Any] = {"marker": "|", "markersize": 9.0, "markeredgewidth": 1.8, "linewidth": 0.0}
"""How a yardstick's place in a gauge is named."""


def plot_filmstrip(frames: Keyframes, *, epochs: Sequence[int] | None = None) -> Axeses:
    """Moments side by side, a row for each method, the retrained oracle at the end.

    Args:
        frames: From ``motion.keyframes``, or loaded.
        epochs: A column each; a run shows its last moment that is not later. Default: six that were
            measured, from the original to the end.

    Returns:
        ``(methods, columns + 1)`` Axes, sharing their limits.

    Raises:
        ValueError: If an epoch was not measured of any run.
    """
    known = frames.epochs
    chosen = list(epochs) if epochs is not None else some_of(known, COLUMNS)
    if strange := [epoch for epoch in chosen if epoch not in known] or not chosen:
        raise ValueError(f"epochs must be among those measured, {known}; got {strange}")
    shape = (len(frames.runs), len(chosen) + 1)
    size = (1.45 * shape[1] + 0.4, 2.1 * shape[0] + 0.45)
    _, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for row, (method, run) in zip(axes, frames.runs.items(), strict=True):
        for ax, epoch in zip(row, chosen, strict=False):
            i = run.until(epoch)
            draw_moment(ax, frames, run.points[i])
            name = look("original").label if i == 0 else f"epoch {run.epochs[i]}"
            over = ", the last" if i and run.epochs[i] == run.epochs[-1] else ""
            title_panel(ax, name + over, run.numbers[i])
        draw_moment(row[-1], frames, frames.oracle)
        title_panel(row[-1], look("retrain").label, frames.yardsticks["retrain"])
        row[0].set_ylabel(look(method).label, color=look(method).color, fontsize="large")
    marks = axes[0, 0].get_legend_handles_labels()
    figure = axes[0, 0].figure
    figure.legend(*marks, loc="outside lower center", handletextpad=0.2)
    return axes


def some_of(values: Sequence[int], most: int) -> list[int]:
    """Return the first, the last and evenly many between them.

    >>> some_of([0, 1, 2, 4, 9, 17, 25], 4)
    [0, 2, 9, 25]
    """
    count = min(most, len(values))
    return [values[int(i)] for i in np.linspace(0, len(values) - 1, count).round()]


def title_panel(ax: Axes, name: str, numbers: Any) -> None:
    """Write above a panel what it shows, and the two numbers that tell the story."""
    forgotten, cosine = 100 * numbers["forget_accuracy"], numbers["mean_cosine"]
    ax.set_title(f"{name}\nforget acc. {forgotten:.0f} %\ncosine {cosine:.2f}", fontsize="small")


def draw_moment(ax: Axes, frames: Keyframes, points: np.ndarray) -> list[PathCollection]:
    """Draw all samples at one moment, in limits that hold all moments; return the clouds."""
    draw_classes(ax, points, frames.labels, frames.forget_classes, frames.class_names)
    every = [frames.oracle, *(run.points.reshape(-1, 2) for run in frames.runs.values())]
    ax.set(xticks=[], yticks=[], aspect="equal", **square(np.concatenate(every)))
    ax.grid(visible=False)
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=look("retrain").color, linewidth=0.5)
    return [each for each in ax.collections if isinstance(each, PathCollection)]


def clouds_of(frames: Keyframes, count: int) -> list[np.ndarray]:
    """Return which samples are in each of the clouds that ``draw_classes`` made, in its order."""
    forgotten = sorted(frames.forget_classes)
    retained = [[c] for c in np.unique(frames.labels) if c not in forgotten]
    apart = count == len(retained) + len(forgotten)
    groups = [*retained, *([[c] for c in forgotten] if apart else [forgotten])]
    return [np.isin(frames.labels, classes) for classes in groups]


def eased(share: float) -> float:
    """Return a share of the way, slow at both ends.

    >>> [round(eased(share), 3) for share in (0.0, 0.25, 0.5, 1.0)]
    [0.0, 0.156, 0.5, 1.0]
    """
    return share * share * (3.0 - 2.0 * share)


def between(run: Run, start: int, end: int, share: float) -> np.ndarray:
    """Return ``(N, 2)`` coordinates at a share of the way between two epochs that follow."""
    first, last = run.points[run.until(start)], run.points[run.until(end)]
    where: np.ndarray = first + eased(share) * (last - first)
    return where


class Screen:
    """One method's panel: its cloud, what was measured of it, and how far its run is."""

    def __init__(self, ax: Axes, frames: Keyframes, method: str, gauges: Sequence[Axes]) -> None:
        self.run, self.ax = frames.runs[method], ax
        self.clouds = draw_moment(ax, frames, self.run.points[0])
        self.masks = clouds_of(frames, len(self.clouds))
        self.color = look(method).color
        ax.set_title(look(method).label, color=self.color, fontsize="x-large", loc="left")
        right: dict[str, Any] = {"xy": (1, 1), "xycoords": "axes fraction", "ha": "right"}
        near = {"xytext": (0, 6), "textcoords": "offset points"}
        self.said = ax.annotate("", **right, **near, fontsize="medium")
        self.gauges = [
            Gauge(each, sign, frames.yardsticks, self.color)
            for each, sign in zip(gauges, self.run.numbers[0], strict=True)
        ]

    def show(self, start: int, end: int, share: float) -> None:
        """Move the samples; what is written is of the last moment that was reached."""
        points = between(self.run, start, end, share)
        for cloud, mask in zip(self.clouds, self.masks, strict=True):
            cloud.set_offsets(points[mask])
        i = self.run.until(end if share == 1.0 else start)
        done, last = self.run.epochs[i], self.run.epochs[-1]
        self.said.set_text(f"epoch {done} of {last}" + (", done" if done == last else ""))
        for gauge in self.gauges:
            gauge.show(self.run.numbers[i])


def animate_embedding(frames: Keyframes, *, between_moments: int = 4) -> list[Shot]:
    """Return a film: one panel a method at the same epoch, gauges below, progress at the bottom.

    Args:
        frames: From ``motion.keyframes``, or loaded.
        between_moments: Shots on the way between two measured moments, ``>= 0``.

    Returns:
        Shots for ``gif.save_gif``; the last stays longest.

    Raises:
        ValueError: If ``between_moments`` is negative.
    """
    if between_moments < 0:
        raise ValueError(f"between_moments must not be negative, got {between_moments}")
    figure, screens, bar = stage_of(frames)
    known, shots = frames.epochs, []
    shares = [(i + 1) / (between_moments + 1) for i in range(between_moments + 1)]
    for step in range(-1, len(known) - 1):
        start, end = known[max(step, 0)], known[step + 1]
        for share in shares if step >= 0 else [1.0]:
            for screen in screens:
                screen.show(start, end, share)
            bar.set_width(max(step, 0) + (eased(share) if step >= 0 else 0.0))
            last = share == 1.0 and step == len(known) - 2
            shots.append(photograph(figure, END if last else HALT if share == 1.0 else STEP))
    plt.close(figure)
    return shots


def stage_of(frames: Keyframes) -> tuple[Figure, list[Screen], Any]:
    """Return the figure of a film, its screens, and the bar that grows."""
    count = len(frames.runs)
    size = (3.5 * count, 5.6) if count > 1 else (4.2, 6.3)
    figure = plt.figure(figsize=size, dpi=DOTS, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(8.5, 1.5))
    screens = []
    parts = upper.subfigures(1, count, squeeze=False)[0]
    for part, method in zip(parts, frames.runs, strict=True):
        grid = part.add_gridspec(3, 2, height_ratios=(22, 1, 1))
        gauges = [part.add_subplot(grid[1 + k // 2, k % 2]) for k in range(4)]
        screens.append(Screen(part.add_subplot(grid[0, :]), frames, method, gauges))
    upper.suptitle(f"{frames.title} · held-out images", fontsize="large")
    return figure, screens, progress(lower.subplots(), screens[0].ax, frames)


def progress(ax: Axes, shown: Axes, frames: Keyframes) -> Any:
    """Draw the measured epochs along a line, mark where runs end, name marks; return the bar."""
    known = frames.epochs
    (bar,) = ax.barh([0], [0], height=0.5, align="edge", color=look("retrain").color)
    for method, run in frames.runs.items():
        ax.plot([known.index(run.epochs[-1])], [0.25], clip_on=False, **look(method).line())
    ax.set(xlim=(-0.1, len(known) - 0.9), ylim=(0, 0.5), yticks=[], xlabel="epochs done")
    ax.set_xticks(range(len(known)), [str(epoch) for epoch in known])
    ax.grid(visible=False)
    ax.tick_params(length=2)
    ax.spines[["left", "right", "top"]].set_visible(False)
    dots, names = shown.get_legend_handles_labels()
    ticks = [Line2D([], [], **TICK, color=look(name).color) for name in YARDSTICKS]
    names += [f"bars: {look(name).label}" for name in YARDSTICKS]
    ax.figure.legend([*dots, *ticks], names, loc="outside upper center", ncols=4, handlelength=1)
    return bar
