"""How long the parts take, as a Markdown table: `python tests/bench.py`.

Each row is the median of several runs beside the same work done plainly, in the same process; where
the plain way would take minutes it does a part of the work and is scaled up. Both results are
compared, so that a fast row is also a right one.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from spotter_core.attacks import PrototypeSweep, draw_support
from spotter_core.data import ForgetSplit, ImageSet, load_dataset
from spotter_core.losses import dispersion_loss
from spotter_core.methods import METHODS
from spotter_core.metrics import over_unlearning
from spotter_core.models import Classifier, build_model
from spotter_core.neighborhoods import BoundaryNeighborhood
from spotter_core.runtime import describe_run
from spotter_core.training import Predictions, Recipe, fit


@dataclass(frozen=True)
class Row:
    """Seconds of our way and of the plain way to do the same, and what we promise."""

    work: str
    ours: float
    plain: float
    plain_is: str
    target: float | None = None

    def __str__(self) -> str:
        target = "–"
        if self.target is not None:
            verdict = "met" if self.ours <= self.target else "**missed**"
            target = f"{seconds(self.target)}, {verdict}"
        ratio = f"{self.plain / self.ours:.3g}"
        cells = [self.work, seconds(self.ours), target, seconds(self.plain), ratio, self.plain_is]
        return f"| {' | '.join(cells)} |"


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it, to three digits."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def median(work: Callable[[], object], runs: int) -> float:
    """Return the median of several runs, in seconds, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise ``AssertionError`` if the two ways do not agree."""
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


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


def mask_by_loop(probabilities: Tensor, forget_classes: list[int]) -> Tensor:
    """Set forget classes to 0 entry by entry, then divide by the sum, as published."""
    masked = probabilities.clone()
    for i in range(len(masked)):
        for c in forget_classes:
            masked[i, c] = 0.0
    return masked / (masked.sum(dim=1, keepdim=True) + 1e-10)


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


def dispersion_by_matrix(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cosine over same-class pairs, read off an N×N matrix."""
    pairs = labels[:, None] == labels[None, :]
    pairs &= ~torch.eye(len(labels), dtype=torch.bool)
    units = F.normalize(features, dim=1)
    return (units @ units.T)[pairs].sum() / pairs.sum()


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


def unlearn_plainly(
    original: Classifier, forget: ImageSet, near: Tensor, epochs: int, generator: Generator
) -> Classifier:
    """Spotter as published: two teacher and three student passes a step, N×N matrix, mask loops."""
    student = build_model("small_cnn", num_classes=10, width=32, input_shape=(1, 8, 8))
    student.load_state_dict(original.state_dict())
    student.mean, student.std = original.mean, original.std
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    images = forget.pixels()
    for _ in range(epochs):
        for index in forget.batches(32, generator):
            optimizer.zero_grad()
            with torch.no_grad():
                target = mask_by_loop(original(images[index]).softmax(dim=1), [3])
                near_target = mask_by_loop(original(near[index]).softmax(dim=1), [3])
            own = student(images[index]).log_softmax(dim=1)
            other = student(near[index]).log_softmax(dim=1)
            loss = (
                0.7 * F.kl_div(own, target, reduction="batchmean")
                + 0.3 * F.kl_div(other, near_target, reduction="batchmean")
                + dispersion_by_matrix(student.features(images[index]), forget.labels[index])
            )
            loss.backward()
            optimizer.step()
    return student


def spotter_row(runs: int, epochs: int = 20) -> Row:
    """Spotter on the digits' CNN against the published loop, perturbed images made in both."""
    dataset = load_dataset("digits")
    forget = ForgetSplit(dataset, [3]).forget.train
    mean, std = dataset.channel_statistics()
    settings = {"num_classes": 10, "width": 32, "input_shape": (1, 8, 8), "mean": mean, "std": std}
    blank = build_model("small_cnn", **settings, generator=Generator().manual_seed(0))
    recipe = Recipe(epochs=3)
    original = fit(blank, dataset.train, recipe=recipe, generator=Generator().manual_seed(0)).model
    neighborhood = BoundaryNeighborhood()
    method = METHODS["spotter"].with_settings(
        epochs=epochs, batch_size=32, learning_rate=1e-3, neighborhood=neighborhood
    )

    def ours() -> Classifier:
        return method(original, forget, generator=Generator().manual_seed(0)).model

    def plain() -> Classifier:
        generator = Generator().manual_seed(0)
        near = neighborhood(original, forget.pixels(), forget.labels, [3], generator=generator)
        return unlearn_plainly(original, forget, near, epochs, generator)

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


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="runs that a median is taken of")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    runs = arguments.runs
    about = describe_run()
    print(f"torch {about['torch']}, {about['hardware']}; medians of up to {runs} runs\n")
    print("| work | ours | target | plain | plain / ours | plain is |")
    print("|---|---|---|---|---|---|")
    makers: list[Callable[[int], Row | list[Row]]] = [
        sweep_row,
        over_unlearning_row,
        dispersion_rows,
        spotter_row,
        import_row,
    ]
    for make in makers:
        rows = make(runs)
        for row in rows if isinstance(rows, list) else [rows]:
            print(row, flush=True)


if __name__ == "__main__":
    main()
