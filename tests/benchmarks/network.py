"""Rows of whole networks, on all cores or a GPU: Spotter's step and the neighborhood it needs."""

import copy
from collections.abc import Callable, Iterable
from functools import cached_property

import torch
from torch import Generator, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import perturb_plainly, plain_copy, unlearn_plainly
from benchmarks.table import Rate, Row, elapsed, near, paired
from spotter_core.data import ImageSet
from spotter_core.methods import METHODS
from spotter_core.methods._descent import Plan, Task
from spotter_core.models import Classifier, build_model
from spotter_core.neighborhoods import BoundaryNeighborhood
from spotter_core.runtime import has_bfloat16, uses_bfloat16

EPOCHS = 10
"""Of the published run; what is made once is shared out over them."""
LEARNING_RATE = 1e-4


def seeded() -> Generator:
    return Generator().manual_seed(0)


def made_images(count: int, side: int = 32) -> Tensor:
    """Return random ``(count, 3, side, side)`` bytes."""
    shape = (count, 3, side, side)
    return torch.randint(0, 256, shape, generator=seeded(), dtype=torch.uint8)


def made_network(width: int, device: torch.device) -> Classifier:
    """Return an untrained ResNet-18 whose batch norms have seen some images, in eval mode."""
    model = build_model("resnet18", num_classes=10, width=width, generator=seeded()).to(device)
    images = made_images(32).to(device) / 255.0
    with torch.no_grad():
        for _ in range(5):
            model.train()(images)
    return model.eval()


class Stage:
    """One ResNet-18, its plain twin, and one batch of forget images; ours and plain on them.

    Args:
        device: Where all of it lies.
        width: 64 is the paper's network.
        images: Forget images, one batch.
        runs: That a median is taken of.
    """

    def __init__(
        self, device: torch.device, width: int = 64, images: int = 128, runs: int = 2
    ) -> None:
        self.device, self.images, self.runs = device, images, runs
        self.original = made_network(width, device)
        self.plain = plain_copy(self.original)
        labels = torch.zeros(images, dtype=torch.int64)
        self.forget = ImageSet(made_images(images), labels).to(device)
        self.name = f"ResNet-18 of width {width}, batch {images}"
        self.neighborhood = BoundaryNeighborhood()
        self.method = METHODS["spotter"].with_settings(
            epochs=1,  # of one batch: a run of the loop is a step
            batch_size=images,
            learning_rate=LEARNING_RATE,
            neighborhood=self.neighborhood,
        )
        few = self.forget.pixels(slice(8))
        with torch.no_grad():
            near(self.original(few), self.plain(few), 1e-2 if device.type == "cuda" else 1e-4)

    # --- what is made once --------------------------------------------------------------------

    def perturb(self) -> Tensor:
        """Return our twins."""
        return self.neighborhood(
            self.original, self.forget.pixels(), self.forget.labels, [0], generator=seeded()
        )

    def perturb_plainly(self) -> Tensor:
        """Return the same twins, made plainly."""
        return perturb_plainly(
            self.plain, self.forget.pixels(), [0], self.neighborhood, seeded(), self.images
        )

    @cached_property
    def twins(self) -> Tensor:
        """Our twins, after a look at the plain ones: signs of gradients near 0 may differ."""
        ours, plain = self.perturb(), self.perturb_plainly()
        moved = ((ours - plain).abs() > 1e-5).float().mean().item()
        most = 0.05 if self.device.type == "cuda" else 1e-2  # cuDNN rounds to TF32, both ways
        assert moved <= most, f"{moved:.2%} of the pixels differ between the two ways"
        return ours

    @cached_property
    def perturbing(self) -> tuple[float, float]:
        """Seconds of making the twins, ours and plain."""
        assert len(self.twins) == self.images  # made and compared before the clock starts
        return paired(self.perturb, self.perturb_plainly, self.runs)

    def plan(self) -> Plan:
        """Return Spotter's plan: twins and the original's outputs on both sets are made."""
        return self.method.plan(Task(self.original, self.forget, (0,), seeded()))

    # --- a step -------------------------------------------------------------------------------

    def step(self, plan: Plan) -> None:
        """Descend once, ours."""
        self.method.descend(plan, seeded())

    def step_plainly(self, student: nn.Module) -> None:
        """Descend once, plainly."""
        unlearn_plainly(
            student,
            self.plain,
            self.forget,
            self.twins,
            epochs=1,
            batch_size=self.images,
            learning_rate=LEARNING_RATE,
            generator=seeded(),
        )

    def first_steps(self, plan: Plan, student: nn.Module) -> int:
        """Descend once with both students, which must move alike; return a step's operations."""
        flops = counted(lambda: self.step(plan))
        self.step_plainly(student)
        moves = (
            flat(plan.student.parameters()) - flat(self.original.parameters()),
            flat(student.parameters()) - flat(self.plain.parameters()),
        )
        near(*moves, 0.1 if uses_bfloat16(self.device) else 1e-2)
        return flops


def flat(parameters: Iterable[Tensor]) -> Tensor:
    """Return all values in one row."""
    return torch.cat([p.detach().flatten() for p in parameters])


def neighborhood_row(stage: Stage) -> Row:
    """PGD of three steps against the way that computes every weight's gradient as well."""
    return Row(
        f"PGD neighborhood, 3 steps, {stage.name}",
        *stage.perturbing,
        "the same points, gradients of the weights computed as well, batch norm apart",
        times=3.0,
        but="in float32, for the sign's sake, 7 of the 10 passes are left to do",
    )


def spotter_rows(stage: Stage) -> tuple[Row, Rate]:
    """Spotter's step with its share of what is made once, against the published loop's step."""
    once_plainly = stage.perturbing[1]  # and warms our way up
    plans: list[Plan] = []
    once = elapsed(lambda: plans.append(stage.plan()))
    plan, student = plans[0], copy.deepcopy(stage.plain)
    flops = stage.first_steps(plan, student)
    ceiling, precision = product_ceiling(stage.device)
    step, step_plainly = paired(
        lambda: stage.step(plan), lambda: stage.step_plainly(student), stage.runs
    )
    ours, plain = (a + b / EPOCHS for a, b in ((step, once), (step_plainly, once_plainly)))
    row = Row(
        f"Spotter step, {stage.name}: {stage.images / ours:.3g} forget images/s, "
        f"plainly {stage.images / plain:.3g}",
        ours,
        plain,
        "as published: teacher twice a step, student three times, mask loops; "
        f"what either makes once is shared out over {EPOCHS} epochs",
        times=4.0,
        but="" if has_bfloat16(stage.device) else "no bfloat16 in this processor",
    )
    work = f"Spotter step alone, {stage.name}"
    return row, Rate(work, stage.images / step, flops / step, ceiling, precision)


def counted(work: Callable[[], object]) -> int:
    """Return the floating-point operations of a work's convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def product_rate(n: int, device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations a second of an ``n`` × ``n`` matrix product, the best of five."""
    a, b = torch.randn(2, n, n, generator=seeded()).to(device, dtype).unbind()
    out = torch.mm(a, b)
    return 2 * n**3 / min(elapsed(lambda: torch.mm(a, b, out=out)) for _ in range(5))


def product_ceiling(device: torch.device, precision: str = "auto") -> tuple[float, str]:
    """Return the best operations a second of square matrix products, and what it computes in."""
    half = uses_bfloat16(device, precision)
    dtype = torch.bfloat16 if half else torch.float32
    sizes = (4096, 8192, 16384) if device.type == "cuda" else (1024, 2048)
    best = max(product_rate(n, device, dtype) for n in sizes)
    return best, "bfloat16" if half else "float32"
