"""Pictures: one function each, numbers in, Axes out; nothing is saved, nothing is computed.

Layer 9. Drawn from rows (``results.to_frame``) or arrays, so a picture can be drawn again from the
files of a run. :mod:`~spotter_core.plots.inks` holds the colours; no other file chooses one.
``use_style`` sets the theme, light or dark, and the context, paper or presentation.
"""

from spotter_core.plots.accuracy import plot_accuracies, plot_training
from spotter_core.plots.by_epoch import plot_by_epoch
from spotter_core.plots.embedding import plot_dispersion, plot_embedding
from spotter_core.plots.gif import save_gif
from spotter_core.plots.motion import animate_embedding, plot_filmstrip
from spotter_core.plots.over_unlearning import plot_class_damage, plot_ou_by_radius, plot_ou_parts
from spotter_core.plots.relearning import plot_relearning, plot_relearning_price
from spotter_core.plots.slices import plot_slices, plot_strips
from spotter_core.plots.style import YARDSTICKS, look, save_figure, use_style
from spotter_core.plots.summary import plot_blind_spots, plot_claims, plot_tradeoff
from spotter_core.plots.toy import plot_toy

__all__ = [
    "YARDSTICKS",
    "animate_embedding",
    "look",
    "plot_accuracies",
    "plot_blind_spots",
    "plot_by_epoch",
    "plot_claims",
    "plot_class_damage",
    "plot_dispersion",
    "plot_embedding",
    "plot_filmstrip",
    "plot_ou_by_radius",
    "plot_ou_parts",
    "plot_relearning",
    "plot_relearning_price",
    "plot_slices",
    "plot_strips",
    "plot_toy",
    "plot_tradeoff",
    "plot_training",
    "save_figure",
    "save_gif",
    "use_style",
]
