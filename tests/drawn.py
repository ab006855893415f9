"""Every picture of the study, drawn from made-up numbers, for tests that hold for all of them."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import test_plots as few
import test_plots_battery as battery
import test_plots_many as many
import test_plots_motion as motion
from made_keyframes import made_keyframes
from made_rows import SOUND, frame_of

from spotter_core import plots
from spotter_core.claims import Claim
from spotter_core.plots import audit
from spotter_core.plots.battery import plot_battery, plot_excess, plot_fine_tuning, plot_layers
from spotter_core.results import to_frame
from spotter_core.scores import regained

SHOWN = ("original", "retrain", "random_label", "boundary_shrink", "spotter+random_label")


def view(models=SHOWN):
    """A plane with a forget class in the middle of four others, and damage of every size."""
    axis = np.linspace(-0.35, 0.35, 41)
    x, y = np.meshgrid(axis, axis)
    inside = np.maximum(np.abs(x), np.abs(y))
    predicted = np.where(inside < 0.15, 3, (x > 0) + 2 * (y > 0))
    answers = {}
    for i, model in enumerate(models):
        damage = np.clip(math.log(2) * (1 - inside / 0.35) * i / 2, 0.0, math.log(2))
        answers[model] = SimpleNamespace(
            predicted=predicted if i == 0 else (x > 0) + 2 * (y > 0) * (i % 2),
            probability=np.clip(0.3 + np.abs(x) * 2, 0, 1),
            margin=0.15 - inside,
            over_unlearning=damage,
            conditional_shift=damage,
        )
    return SimpleNamespace(
        along=axis,
        across=axis,
        distance=inside,
        epsilon=0.1,
        answers=answers,
        forget_classes=(3,),
        target=2,
    )


NAMES = ("cat", "bird", "ship", "airplane", "frog", "horse")


def embedding(draw=plots.plot_embedding, **more):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 50)
    middles = 10 * random.normal(size=(6, 2))
    spaces = {m: middles[labels] + random.normal(size=(300, 2)) for m in SHOWN[:4]}
    return draw(spaces, labels, forget_classes=[3], class_names=NAMES, **more)


def whole_embedding():
    numbers = {m: {"mean cosine": 0.25, "kNN purity": 0.5} for m in SHOWN[:4]}
    crosses = {m: np.ones((1, 2)) for m in SHOWN[:4]}
    return embedding(prototypes=crosses, numbers=numbers)


def strips(names=NAMES):
    images, answer = np.full((8, 6, 6), 0.5), (np.arange(8) % 4, np.linspace(0.3, 1.0, 8))
    options = {"positions": list(np.arange(8) / 20), "forget_classes": [3], "class_names": names}
    return plots.plot_strips(images, {"original": answer, "retrain": answer}, **options)


def toy():
    random = np.random.default_rng(1)
    points, labels = random.uniform(size=(300, 2)), random.integers(0, 4, 300)
    return plots.plot_toy(view(), points, labels, class_names=["A", "B", "C", "middle"])


def training():
    history = [{"loss": 2.0 / (i + 1)} for i in range(12)]
    return plots.plot_training(dict.fromkeys(SHOWN, history))


def claims():
    made = [
        Claim(1, "worst of those that forget (random_label)", 0.04, 0.02, 0.06, 0.05, "ratio"),
        Claim(3, "points lost, held-out images", 1.7, 1.4, 2.1, 1.0, "points"),
    ]
    marks = {"original": [1.5, 0.0], "retrain": [0.7, 0.1]}
    return plots.plot_claims(made, yardsticks=marks)


def layers():
    stages = [frame_of(SOUND).assign(stage=s) for s in ("stem", "blocks.0", "blocks.1")]
    return plot_layers(pd.concat(stages), attack="nearest_mean")


def fine_tuning():
    few_images = battery.curves_frame()
    more = few_images[few_images["shots"] == 5].assign(shots=50)
    return plot_fine_tuning(pd.concat([few_images, more]))


def accuracies():
    rows = [few.made("accuracy", split, models=many.ALL) for split in SPLITS]
    return plots.plot_accuracies(to_frame([row for each in rows for row in each]))


SPLITS = ("forget/test", "retain/test")
PICTURES = {
    "plot_accuracies": accuracies,
    "plot_training": training,
    "plot_dispersion": lambda: plots.plot_dispersion(few.dispersion_frame()),
    "plot_embedding": whole_embedding,
    "plot_by_epoch": lambda: plots.plot_by_epoch(motion.epoch_frame()),
    "plot_filmstrip": lambda: plots.plot_filmstrip(made_keyframes()),
    "plot_class_damage": lambda: plots.plot_class_damage(few.damage_frame(points=3)),
    "plot_ou_by_radius": lambda: plots.plot_ou_by_radius(few.radius_frame()),
    "plot_ou_parts": lambda: plots.plot_ou_parts(few.parts_frame()),
    "plot_relearning": lambda: plots.plot_relearning(many.relearning_frame(many.ALL)),
    "plot_relearning_price": lambda: plots.plot_relearning_price(few.relearning_frame()),
    "plot_slices": lambda: plots.plot_slices(view(), class_names=NAMES),
    "plot_strips": strips,
    "plot_blind_spots": lambda: plots.plot_blind_spots(few.blind_cells()),
    "plot_claims": claims,
    "plot_tradeoff": lambda: few.FROM_FRAMES["tradeoff"][0](few.ablation_frame()),
    "plot_toy": toy,
    "plot_battery": lambda: plot_battery(battery.battery_frame()),
    "plot_excess": lambda: plot_excess(regained(battery.battery_frame(), 5)),
    "plot_fine_tuning": fine_tuning,
    "plot_layers": layers,
    "audit.plot_battery": lambda: audit.plot_battery(
        regained(battery.battery_frame(), 5).groupby("method", sort=False).mean(), 5
    ),
    "audit.plot_neighborhoods": lambda: audit.plot_neighborhoods(few.parts_frame()),
    "audit.plot_shots": lambda: audit.plot_shots(few.relearning_frame()),
    "audit.plot_spaces": lambda: embedding(audit.plot_spaces),
}
"""Name of the plot function: the call that returns its Axes."""
