"""What an audit asks of a network: each number with unit, direction and meaning, read off rows.

Layer 3.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from spotter_core.results import TRAINED
from spotter_core.scores import ORACLE, ORIGINAL, against_oracles, regained

Better = Literal["lower", "higher", "as the oracle"]
Picked = Callable[[pd.DataFrame, int], "pd.Series[float]"]
"""(frame of all rows, k) -> the mean over runs, by method."""


@dataclass(frozen=True)
class Measure:
    """One number of an audit.

    Attributes:
        label: What tables call it.
        unit: ``fraction`` or ``nats`` or ``cosine``.
        better: Which way is better.
        meaning: A sentence for somebody who has not read the paper.
        pick: How it is read off the rows.
    """

    label: str
    unit: str
    better: Better
    meaning: str
    pick: Picked


def by_method(frame: pd.DataFrame, measure: str, split: str, **at: object) -> "pd.Series[float]":
    """Return the mean by method of a measure on a split; rows of single classes do not count."""
    mask = (frame["measure"] == measure) & (frame["split"] == split)
    for column, value in at.items():
        mask &= frame[column] == value
    if "retained" in frame and "near" not in at:
        mask &= frame["retained"].isna()
    return frame[mask].groupby("method", sort=False)["value"].mean()


def near_forgotten(measure: str) -> Picked:
    """Return how a measure in the headline's neighborhood is read, the first of the frame."""

    def pick(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
        first = frame["neighborhood"].dropna().iloc[0]
        return by_method(frame, measure, "forget/test", neighborhood=first)

    return pick


def accuracy_lost(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return how far retained test accuracy lies below the original's."""
    found = by_method(frame, "accuracy", "retain/test")
    return found[ORIGINAL] - found


def shift_of_neighbors(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return the mean shift of the retained test images that are most like the forgotten ones."""
    rows = frame[(frame["measure"] == "conditional_shift") & (frame["near"] == "neighbors")]
    weighted = rows.assign(total=rows["value"] * rows["points"]).groupby("method", sort=False)
    found: pd.Series[float] = weighted["total"].sum() / weighted["points"].sum()
    return found


def published_attack(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return what a cosine row of unit length regains at the attacker's best alpha."""
    rows = frame[
        (frame["measure"] == "pra_accuracy")
        & (frame["split"] == "forget/test")
        & (frame["shots"] == shots)
        & (frame["metric"] == "cosine")
        & (frame["scale"] == 0.0)
    ]
    means = rows.groupby(["method", "alpha"], sort=False)["value"].mean()
    return means.groupby("method", sort=False).max()


def worst_of_head(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return what the strongest attack on the last features regains."""
    table = regained(frame, shots)
    return table["worst"].groupby("method", sort=False).mean()


def worst_of_layers(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return what the strongest of the layer sweep's attacks regains at its best stage."""
    if "stage" not in frame:
        return pd.Series(dtype=float)
    rows = frame[(frame["measure"] == "relearned") & frame["stage"].notna()]
    rows = rows[(rows["shots"] == shots) & (rows["split"] == "forget/test")]
    worst = rows.groupby(["method", "forget", "seed"], sort=False)["value"].max()
    return worst.groupby("method", sort=False).mean()


def trained(attacks: Iterable[str]) -> Picked:
    """Return how the strongest of some attacks that train, or cost nothing, is read."""
    wanted = list(attacks)

    def pick(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
        rows = frame[(frame["measure"] == "relearned") & frame["attack"].isin(wanted)]
        rows = rows[(rows["split"] == "forget/test") & (rows["shots"] <= shots)]
        rows = rows[rows["support"] == "own"]  # the others are controls
        means = rows.groupby(["method", "attack", "shots"], sort=False)["value"].mean()
        return means.groupby("method", sort=False).max()

    return pick


def excess(frame: pd.DataFrame, shots: int) -> "pd.Series[float]":
    """Return how far the strongest attack on the last features lies above the oracles' mean."""
    table = regained(frame, shots)
    if ORACLE not in table.index.get_level_values("method"):
        return pd.Series(dtype=float)
    found: pd.Series[float] = against_oracles(table)["mean"].xs("worst", level="attack")
    return found


MEASURES: dict[str, Measure] = {
    "forget_accuracy": Measure(
        "Accuracy on the forgotten class",
        "fraction",
        "lower",
        "Share of held-out images of the forgotten class that the network still names.",
        lambda frame, shots: by_method(frame, "accuracy", "forget/test"),
    ),
    "retain_accuracy": Measure(
        "Accuracy on the other classes",
        "fraction",
        "higher",
        "Share of held-out images of the retained classes that it names.",
        lambda frame, shots: by_method(frame, "accuracy", "retain/test"),
    ),
    "retain_accuracy_lost": Measure(
        "Retained accuracy lost",
        "fraction",
        "lower",
        "How far that lies below the original's.",
        accuracy_lost,
    ),
    "over_unlearning": Measure(
        "Over-unlearning, OU@ε",
        "nats",
        "lower",
        "How far its answers moved from the original's on points within ε of forgotten images, the "
        "forgotten class cut out of these: 0 is not at all, 0.693 (ln 2) the most. The original "
        "itself is not at 0, as it still gives the class its share.",
        near_forgotten("over_unlearning"),
    ),
    "residual_forget_mass": Measure(
        "OU@ε, part 1: left on the class",
        "fraction",
        "lower",
        "Probability that it still gives the forgotten class on those points.",
        near_forgotten("residual_forget_mass"),
    ),
    "conditional_shift": Measure(
        "OU@ε, part 2: shift among the others",
        "nats",
        "lower",
        "How far the answers about the other classes moved there, among themselves.",
        near_forgotten("conditional_shift"),
    ),
    "neighbors_shift": Measure(
        "Shift on look-alikes",
        "nats",
        "lower",
        "The same on real retained images: the tenth that is most like the forgotten class.",
        shift_of_neighbors,
    ),
    "pra": Measure(
        "Published prototype attack",
        "fraction",
        "as the oracle",
        "What comes back when one row of the head is replaced by the mean of k images, at the "
        "attacker's best blend, whatever it costs the other classes.",
        published_attack,
    ),
    "head_worst": Measure(
        "Strongest attack on the last features",
        "fraction",
        "as the oracle",
        "What the best of all attacks that leave the network as it is regains with k images, for "
        "at most a point of accuracy on the other classes.",
        worst_of_head,
    ),
    "head_excess": Measure(
        "Strongest attack, above the oracle",
        "fraction",
        "as the oracle",
        "The same, less the oracles' mean: above 0 something was left, far below 0 it is hidden.",
        excess,
    ),
    "layer_worst": Measure(
        "Strongest attack on any layer",
        "fraction",
        "as the oracle",
        "The same on the features of every stage of the network.",
        worst_of_layers,
    ),
    "for_nothing": Measure(
        "Comes back without a forgotten image",
        "fraction",
        "as the oracle",
        "What fine-tuning on retained images, new batch-norm statistics, noise on the weights or "
        "int8 bring back.",
        trained([name for name in TRAINED if name != "fine_tuning"]),
    ),
    "fine_tuning": Measure(
        "Fine-tuning with k images",
        "fraction",
        "as the oracle",
        "What at most 100 steps on k forgotten and many retained images bring back.",
        trained(["fine_tuning"]),
    ),
    "mean_cosine": Measure(
        "Mean cosine of the class",
        "cosine",
        "as the oracle",
        "How tightly its held-out images sit together: 1 is one direction, 0 none in common.",
        lambda frame, shots: by_method(frame, "mean_cosine", "forget/test"),
    ),
    "knn_purity": Measure(
        "Neighbors of the same class",
        "fraction",
        "as the oracle",
        "Share of a forgotten image's ten nearest among all test images that are of its class.",
        lambda frame, shots: by_method(frame, "knn_purity", "forget/test"),
    ),
}
"""All numbers of an audit, in the order of its table; thresholds name them."""
