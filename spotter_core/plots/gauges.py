"""A number on its way: a bar beside what the original and the retrained oracle have.

Layer 9.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes

from spotter_core.plots.style import YARDSTICKS, look

SIGNS = {
    "forget_accuracy": ("forget accuracy", "{:.0%}", 1.0),
    "retain_accuracy": ("retain accuracy", "{:.1%}", 1.0),
    "over_unlearning": ("over-unlearning", "{:.3f} nats", 0.45),
    "mean_cosine": ("mean cosine", "{:.2f}", 1.0),
}
"""A number's name, how it is written, and where its gauge ends unless a yardstick lies above."""


class Gauge:
    """A bar on an Axes of its own, with a tick at each yardstick, the number written above.

    Args:
        ax: To draw on.
        sign: Which number, a key of :data:`SIGNS`.
        yardsticks: ``{"original": {sign: value}, "retrain": {sign: value}}``.
        color: Of the bar.
    """

    def __init__(
        self, ax: Axes, sign: str, yardsticks: Mapping[str, Mapping[str, float]], color: str
    ) -> None:
        self.sign, self.ax = sign, ax
        _, _, top = SIGNS[sign]
        marks = {name: yardsticks[name][sign] for name in YARDSTICKS}
        (self.bar,) = ax.barh([0], [0], height=1.0, align="edge", color=color)
        for name, value in marks.items():
            style = look(name)
            ax.plot([value] * 2, [-0.5, 1.5], color=style.color, clip_on=False, linewidth=1.8)
        end = 1.02 * max(top, *marks.values())
        ax.set(xlim=(-0.01 * end, end), ylim=(0, 1), xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(True)
        ax.spines[:].set(color=look("retrain").color, linewidth=0.5)

    def show(self, numbers: Mapping[str, float]) -> None:
        """Set bar and figure; a negative value has no bar, one beyond the end a full one."""
        name, written, _ = SIGNS[self.sign]
        value = numbers[self.sign]
        self.bar.set_width(max(0.0, min(value, self.ax.get_xlim()[1])))
        self.ax.set_title(f"{name} {written.format(value)}", fontsize="small", pad=5)
