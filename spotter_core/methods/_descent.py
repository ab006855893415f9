"""How a plan is carried out: phases of an epoch, batch by batch, on a copy of the original.

Layer 4. A method says *what* is descended; the loop that does it is this one, for all of them.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from spotter_core._checks import NotFinite
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.runtime import global_seed_from, mixed_precision
from spotter_core.training import Diverged, Predictions, Watch

Side = Literal["forget", "retain", "both"]
BatchLoss = Callable[[Predictions, Tensor], dict[str, Tensor]]
"""(what the student says of a batch, its indices) -> named scalars, the one to descend ``loss``."""
Confine = Callable[[str, Tensor], Tensor]
"""(a parameter's name, its displacement from the original) -> what of the displacement may stay."""


@dataclass(frozen=True)
class Phase:
    """One shuffled pass over some samples, within an epoch.

    Attributes:
        samples: Whose indices are shuffled and cut into batches.
        side: Which side of the split they are from.
        loss: Of the student's features and logits on a batch, in float32.
        inputs: Images to show the student for a batch of indices; default ``samples.pixels``.
        batch_size: Default: the method's.
        reads: Images read in one pass, by side; default all samples, of ``side``.
    """

    samples: ImageSet
    side: Side
    loss: BatchLoss
    inputs: Callable[[Tensor], Tensor] | None = None
    batch_size: int | None = None
    reads: Mapping[str, int] | None = None

    def show(self, index: Tensor) -> Tensor:
        """Return the images that the student sees for a batch of indices."""
        return self.samples.pixels(index) if self.inputs is None else self.inputs(index)

    def read(self) -> Mapping[str, int]:
        """Return the images read in one pass, by side."""
        return {self.side: len(self.samples)} if self.reads is None else self.reads


@dataclass
class Plan:
    """A method made ready for one original and one forget set.

    Attributes:
        student: The copy to train, in the mode that it is trained in; in eval mode batch-norm
            statistics are frozen.
        phases: Epoch, counted from 1 -> its phases, in order.
        confine: Linear map that every parameter's displacement from its start must pass after each
            step; so momentum and weight decay can't move what is to stay.
        finished: Asked after every epoch whether to stop before the last.
        finish: Turns the trained student, left as it is, into the unlearned network; also asked for
            what a watcher sees.
        reads: Images read before training, by side.
        notes: Numbers worth reporting beside the result.
    """

    student: Classifier
    phases: Callable[[int], Sequence[Phase]]
    confine: Confine | None = None
    finished: Callable[[Classifier], bool] = lambda student: False
    finish: Callable[[Classifier], Classifier] = lambda student: student
    reads: Mapping[str, int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Descent:
    """Optimiser and length of a run."""

    name: str
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    momentum: float
    weight_decay: float
    epochs: int
    batch_size: int
    max_norm: float | None
    precision: str

    def build_optimizer(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Return SGD with momentum, or Adam, whose first moment takes the momentum's place."""
        if self.optimizer == "adam":
            betas = (self.momentum, 0.999)
            return torch.optim.Adam(
                parameters, lr=self.learning_rate, betas=betas, weight_decay=self.weight_decay
            )
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )

    def run(
        self, plan: Plan, generator: Generator, watch: Watch | None = None
    ) -> tuple[list[dict[str, float]], dict[str, int]]:
        """Train the plan's student in place; return every epoch's mean losses, and images read.

        Raises:
            Diverged: If a loss becomes NaN or infinite; names method, epoch and learning rate.
        """
        student = plan.student
        optimizer = self.build_optimizer(list(student.parameters()))
        start = None
        if plan.confine is not None:
            start = {name: p.detach().clone() for name, p in student.named_parameters()}
        history: list[dict[str, float]] = []
        reads = {"forget": 0, "retain": 0}
        for side, images in plan.reads.items():
            reads[side] += images
        # dropout draws from torch's global generator; in eval mode nothing does
        seeded = global_seed_from(generator) if student.training else contextlib.nullcontext()
        with seeded:
            for epoch in range(1, self.epochs + 1):
                sums: dict[str, Tensor] = {}
                counts: dict[str, int] = {}
                for phase in plan.phases(epoch):
                    self._pass(phase, plan, start, optimizer, generator, epoch, sums, counts)
                    for side, images in phase.read().items():
                        reads[side] += images
                history.append({name: sums[name].item() / counts[name] for name in sums})
                self._check(history[-1], epoch)
                if watch is not None:
                    watch(epoch, plan.finish(student), history[-1])
                if plan.finished(student):
                    break
        return history, reads

    def _pass(
        self,
        phase: Phase,
        plan: Plan,
        start: Mapping[str, Tensor] | None,
        optimizer: torch.optim.Optimizer,
        generator: Generator,
        epoch: int,
        sums: dict[str, Tensor],
        counts: dict[str, int],
    ) -> None:
        """Run one phase; add its losses, weighted by samples, to ``sums`` and ``counts``."""
        student = plan.student
        for index in phase.samples.batches(phase.batch_size or self.batch_size, generator):
            with mixed_precision(student.device, self.precision):
                features = student.features(phase.show(index))
                logits = student.head(features)
            try:
                losses = phase.loss(Predictions(features.float(), logits.float()), index)
            except NotFinite as error:  # raised where logits are checked, before the loss
                raise Diverged(
                    f"{self.name}: {error} (epoch {epoch} of {self.epochs}, learning_rate "
                    f"{self.learning_rate})"
                ) from error
            optimizer.zero_grad()
            losses["loss"].backward()
            if self.max_norm is not None:
                torch.nn.utils.clip_grad_norm_(student.parameters(), self.max_norm)
            optimizer.step()
            if plan.confine is not None and start is not None:
                confine_displacement(student, start, plan.confine)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach() * len(index)
                counts[name] = counts.get(name, 0) + len(index)

    def _check(self, losses: Mapping[str, float], epoch: int) -> None:
        if not all(torch.tensor(list(losses.values())).isfinite()):
            raise Diverged(
                f"{self.name}: a loss is not finite in epoch {epoch} of {self.epochs} "
                f"({dict(losses)}): lower learning_rate (it is {self.learning_rate})"
            )


@torch.no_grad()
def confine_displacement(
    student: Classifier, start: Mapping[str, Tensor], confine: Confine
) -> None:
    """Put every parameter back to where its displacement from ``start`` may be, in place."""
    for name, parameter in student.named_parameters():
        parameter.copy_(start[name] + confine(name, parameter - start[name]))
