"""Rows of single parts, on one thread: attack, measure, Spotter on the digits, import."""

import copy
import statistics
import subprocess
import sys

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from benchmarks.plain import dispersion_by_matrix, mask_by_loop, unlearn_plainly
from benchmarks.table import Row, median, same
from spotter_core.attacks import PrototypeSweep, draw_support
from spotter_core.data import ForgetSplit, load_dataset
from spotter_core.losses import dispersion_loss
from spotter_core.methods import METHODS
from spotter_core.metrics import over_unlearning
from spotter_core.models import Classifier, build_model
from spotter_core.neighborhoods import BoundaryNeighborhood
from spotter_core.training import Predictions, Recipe, fit

# --- the attack -----------------------------------------------------------------------------------


def sweep_row(runs: int) -> Row:
    """1,000 prototype attacks on cached features against a loop over the same attacks."""
    generator = Generator().manual_seed(0)
    labels = torch.arange(2000) % 10
    features = torch.rand(2000, 512, generator=generator) + F.one_hot(labels, 512)
    head = torch.nn.Linear(512, 10)
    with torch.no_grad():
        target = Predictions(features, head(features))
    sweep = PrototypeSweep()
    grid = [(k, a, s) for k in sweep.shots for a in sweep.alphas for s in sweep.seeds]

    def ours() -> Tensor:
        return sweep(head, features, labels, target, labels, [0])

    @torch.no_grad()
    def plain(attacks: list[tuple[int, float, int]]) -> list[float]:
        scores = []
        for shots, alpha, seed in attacks:
            support = draw_support(labels, [0], shots, Generator().manual_seed(seed))[0]
            weight, bias = head.weight.clone(), head.bias.clone()
            prototype = F.normalize(features[support].mean(dim=0), dim=0)
            weight[0] = alpha * prototype + (1.0 - alpha) * weight[0]
            bias[0] = (1.0 - alpha) * bias[0]
            predicted = (features @ weight.T + bias).argmax(dim=1)
            scores.append((predicted == labels).double().mean().item())
        return scores

    few = grid[::20]
    found = ours().flatten()[::20]
    same(found, torch.tensor(plain(few), dtype=torch.float64), 2.1 / len(labels))
    return Row(
        "PRA sweep: 1,000 attacks on features (2,000 × 512)",
        median(ours, runs),
        median(lambda: plain(few), runs) * len(grid) / len(few),
        f"a loop of attacks on the same features, {len(few)} of them, scaled",
        1.0,
    )


# --- the measure ----------------------------------------------------------------------------------


def over_unlearning_row(runs: int) -> Row:
    """OU of ten neighborhoods of 1,000 samples, from logits, against the published masking."""
    generator = Generator().manual_seed(0)
    original, unlearned = torch.randn(2, 10_000, 10, generator=generator).unbind()

    def ours() -> Tensor:
        return over_unlearning(original, unlearned, [0])

    def plain() -> Tensor:
        p, q = mask_by_loop(original.softmax(dim=1), [0]), unlearned.softmax(dim=1)
        middle = ((p + q) / 2.0 + 1e-12).log()
        parts = [F.kl_div(middle, x, reduction="batchmean") for x in (p, q)]
        return (parts[0] + parts[1]) / 2.0

    same(ours().float(), plain(), 1e-4)
    return Row(
        "OU@ε of 10 × 1,000 samples from logits",
        median(ours, runs),
        median(plain, max(1, runs // 3)),
        "softmax masked entry by entry, as published",
        0.05,
    )


def dispersion_rows(runs: int) -> list[Row]:
    """Dispersion of 50,000 samples, and of as many as the N×N matrix still has room for."""
    generator = Generator().manual_seed(0)
    features = torch.randn(50_000, 512, generator=generator) + 0.5
    labels = torch.arange(50_000) % 10
    few = 4000
    some = features[:few], labels[:few]
    same(dispersion_loss(*some), dispersion_by_matrix(*some), 1e-4)
    plain = median(lambda: dispersion_by_matrix(*some), max(1, runs // 3))
    plain_is = f"N×N matrix of {few:,} samples"
    return [
        Row(
            f"dispersion of {few:,} × 512",
            median(lambda: dispersion_loss(*some), runs),
            plain,
            plain_is,
        ),
        Row(
            "dispersion of 50,000 × 512",
            median(lambda: dispersion_loss(features, labels), max(1, runs // 3)),
            plain * (50_000 / few) ** 2,
            f"{plain_is}, scaled by N²: it would need 10 GB",
            1.0,
        ),
    ]


# --- the method -----------------------------------------------------------------------------------


def digits_row(runs: int, epochs: int = 20) -> Row:
    """Spotter on the digits' CNN against the published loop, perturbed images made in both."""
    dataset = load_dataset("digits")
    forget = ForgetSplit(dataset, [3]).forget.train
    mean, std = dataset.channel_statistics()
    settings = {"num_classes": 10, "width": 32, "input_shape": (1, 8, 8), "mean": mean, "std": std}
    blank = build_model("small_cnn", **settings, generator=Generator().manual_seed(0))
    recipe = Recipe(epochs=3)
    original = fit(blank, dataset.train, recipe=recipe, generator=Generator().manual_seed(0)).model
    neighborhood = BoundaryNeighborhood()
    steps = {"epochs": epochs, "batch_size": 32, "learning_rate": 1e-3}
    method = METHODS["spotter"].with_settings(neighborhood=neighborhood, **steps)

    def ours() -> Classifier:
        return method(original, forget, generator=Generator().manual_seed(0)).model

    def plain() -> Classifier:
        generator = Generator().manual_seed(0)
        near = neighborhood(original, forget.pixels(), forget.labels, [3], generator=generator)
        student = copy.deepcopy(original)
        unlearn_plainly(student, original, forget, near, **steps, generator=generator)
        return student

    same(ours().head.weight, plain().head.weight, 1e-3)
    return Row(
        f"Spotter, {epochs} epochs of {len(forget)} digits",
        median(ours, runs),
        median(plain, runs),
        "as published: teacher twice a step, student three times, mask loops",
    )


# --- the start ------------------------------------------------------------------------------------

HEAVY = ("matplotlib", "pandas", "scipy", "seaborn", "sklearn", "torchvision", "umap")
PROBE = f"""
import sys, time
start = time.perf_counter()
import torch
print(time.perf_counter() - start)
import spotter_core.losses
print(time.perf_counter() - start)
print([name for name in {HEAVY} if name in sys.modules])
"""


def import_row(runs: int) -> Row:
    """Importing the losses, and how much of that is torch; in processes of their own."""
    times = []
    for _ in range(max(2, runs // 3)):
        command = [sys.executable, "-c", PROBE]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        torch_alone, all_of_it, heavy = lines.splitlines()
        assert heavy == "[]", f"importing spotter_core.losses also imports {heavy}"
        times.append((float(all_of_it), float(torch_alone)))
    ours, plain = (statistics.median(column) for column in zip(*times, strict=True))
    without = ", ".join(HEAVY)
    return Row("`import spotter_core.losses`", ours, plain, f"torch in it; without {without}")
