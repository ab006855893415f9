"""A class scattering while it is unlearned: stored moments side by side, or one after the other.

Layer 9. Drawn from keyframes alone. Numbers are those of the last moment that was measured, and a
film halts there; on the way between two moments samples go straight, which nobody measured.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spotter_core.keyframes import Keyframes, Run
from spotter_core.plots.embedding import draw_classes, frame_panel, square
from spotter_core.plots.frames import Axeses
from spotter_core.plots.gauges import Gauge
from spotter_core.plots.gif import Shot, photograph
from spotter_core.plots.style import (
    YARDSTICKS,
    figure_size,
    fitted,
    look,
    on_paper,
    sized,
    width_of,
)

LOWER = "lower numbers: no longer named, and more scattered"
COLUMNS = 6
"""Moments in a strip."""
SMALL = 8.0
"""Points of what stands above a panel of it."""
DOTS = 100
"""Of an inch in a film: 700 wide, as a README shows it."""
COLUMN, HEIGHT = 3.5, 5.7
"""Inches of a film: width for a method, height."""
SCREEN: Any = {"font.size": 9.5, "figure.constrained_layout.use": False}
"""A film has a size of its own, whatever the context: its width in a page is given."""
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
    if not chosen or set(chosen) - set(known):
        raise ValueError(f"epochs must be among those measured, {known}; got {chosen}")
    shape = (len(frames.runs), len(chosen) + 1)
    size = figure_size(1.45 * shape[1] + 0.4, 2.05 * shape[0] + 0.6)
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
        row[0].set_ylabel(look(method).label, fontsize="large")
    marks = axes[0, 0].get_legend_handles_labels()
    figure = axes[0, 0].figure
    figure.legend(*marks, loc="outside lower center", handletextpad=0.2, title=LOWER)
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
    told = f"{name}\nforget acc. {forgotten:.0f}%\ncosine {cosine:.2f}"
    ax.set_title(fitted(told, width_of(ax), SMALL), fontsize=sized(SMALL))


def draw_moment(ax: Axes, frames: Keyframes, points: np.ndarray) -> list[PathCollection]:
    """Draw all samples at one moment, in limits that hold all moments; return the clouds."""
    every = [frames.oracle, *(run.points.reshape(-1, 2) for run in frames.runs.values())]
    ax.set(xticks=[], yticks=[], aspect="equal", **square(np.concatenate(every)))
    draw_classes(ax, points, frames.labels, frames.forget_classes, frames.class_names)
    frame_panel(ax)
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
        for cloud in self.clouds:  # a film is seen at half the size of a picture in print
            cloud.set_sizes(1.7 * cloud.get_sizes())
        self.masks = clouds_of(frames, len(self.clouds))
        self.color = look(method).color
        ax.set_title(look(method).label, fontsize="x-large", loc="left")
        right: dict[str, Any] = {"xy": (1, 1), "xycoords": "axes fraction", "ha": "right"}
        right |= {"xytext": (0, 6), "textcoords": "offset points"}
        self.said = ax.annotate("", **right, fontsize="medium")
        self.gauges = [
            Gauge(each, sign, frames.yardsticks, self.color)
            for each, sign in zip(gauges, self.run.numbers[0], strict=True)
        ]

    def show(self, start: int, end: int, share: float) -> None:
        """Move the samples; what is written is of the last moment that was reached."""
        points = between(self.run, start, end, share)
        for cloud, mask in zip(self.clouds, self.masks, strict=True):
            cloud.set_offsets(points[mask])
        i = self.run.until(start)
        done, last = self.run.epochs[i], self.run.epochs[-1]
        self.said.set_text(f"epoch {done} of {last}" + (", done" if done == last else ""))
        for gauge in self.gauges:
            gauge.show(self.run.numbers[i])


@on_paper
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
    known, shots = frames.epochs, []
    with mpl.rc_context(SCREEN):
        figure, screens, bar = stage_of(frames)
        for step, share in schedule(len(known), between_moments):
            for screen in screens:
                screen.show(known[step], known[min(step + 1, len(known) - 1)], share)
            bar.set_width(step + eased(share))
            stays = END if step == len(known) - 1 else STEP if share else HALT
            shots.append(photograph(figure, stays))
    plt.close(figure)
    return shots


def schedule(moments: int, between_moments: int) -> list[tuple[int, float]]:
    """Return for every shot the moment that was reached, and the share of the way to the next.

    >>> schedule(3, 1)
    [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5), (2, 0.0)]
    """
    shares = [i / (between_moments + 1) for i in range(between_moments + 1)]
    return [(step, s) for step in range(moments - 1) for s in shares] + [(moments - 1, 0.0)]


def stage_of(frames: Keyframes) -> tuple[Figure, list[Screen], Any]:
    """Return the figure of a film, its screens, and the bar that grows.

    Everything has a fixed place, so that nothing jumps when a number gets longer.
    """
    width = COLUMN * len(frames.runs)
    figure = plt.figure(figsize=(width, HEIGHT), dpi=DOTS)

    def axes_at(left: float, top: float, wide: float, high: float) -> Axes:
        """Return new Axes; inches from the upper left corner of the figure."""
        place = (left / width, 1 - (top + high) / HEIGHT, wide / width, high / HEIGHT)
        return figure.add_axes(place)

    screens = []
    for i, method in enumerate(frames.runs):
        left = COLUMN * i + 0.15
        gauges = [
            axes_at(left + 1.68 * (k % 2), 4.17 + 0.43 * (k // 2), 1.52, 0.1) for k in range(4)
        ]
        screens.append(Screen(axes_at(left, 0.65, 3.2, 3.2), frames, method, gauges))
    title = f"{frames.title} · held-out images"
    figure.text(0.15 / width, 1 - 0.25 / HEIGHT, title, weight="bold")
    bar = progress(axes_at(0.25, 5.16, width - 0.5, 0.1), screens[0].ax, frames)
    return figure, screens, bar


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
    above: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.6), "ncols": 4}
    ax.legend([*dots, *ticks], names, **above, handlelength=1, borderaxespad=0)
    return bar
