"""How a plan is carried out: phases of an epoch, batch by batch, on a copy of the original.

Layer 4. A method says *what* is descended; the loop that does it is this one, for all of them.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from spotter_core._checks import NotFinite, check_choice, check_positive
from spotter_core.data import ForbiddenSet, ImageSet
from spotter_core.models import Classifier
from spotter_core.runtime import (
    Precision,
    global_seed_from,
    mixed_precision,
    repeatable_kernels,
)
from spotter_core.training import Diverged, Predictions, Watch

Side = Literal["forget", "retain", "both"]
BatchLoss = Callable[[Predictions, Tensor], dict[str, Tensor]]
"""(what the student says of a batch, its indices) -> named scalars, the one to descend ``loss``."""
Confine = Callable[[str, Tensor], Tensor]
"""(a parameter's name, its displacement from the original) -> what of the displacement may stay."""


@dataclass(frozen=True)
class Task:
    """What a method is asked to do, checked.

    Attributes:
        original: Left as it is; what is trained is a copy.
        forget: Training samples of the forget classes.
        forget_classes: Sorted.
        generator: Of everything random.
        retain: Training samples of the others; a method that reads none is handed what can't be
            read.
    """

    original: Classifier
    forget: ImageSet
    forget_classes: tuple[int, ...]
    generator: Generator
    retain: ImageSet = field(default_factory=ForbiddenSet)

    @property
    def retain_classes(self) -> Tensor:
        """All classes that are not to be forgotten, in order."""
        every = range(self.original.num_classes)
        return torch.tensor([c for c in every if c not in self.forget_classes])


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
    """How a plan is carried out: optimiser and length of a run.

    The defaults are DELETE's and Spotter's for CIFAR-10 with ResNet-18; a small network and small
    images want others. No method augments its images, so what the original says of them is
    computed once.
    """

    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epochs: int = 10
    batch_size: int = 128
    max_norm: float | None = None
    optimizer: Literal["sgd", "adam"] = "sgd"
    precision: Precision = "auto"

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_positive(
            learning_rate=self.learning_rate, epochs=self.epochs, batch_size=self.batch_size
        )
        check_choice("optimizer", self.optimizer, ("sgd", "adam"))

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

    def descend(
        self, plan: Plan, generator: Generator, watch: Watch | None = None
    ) -> tuple[list[dict[str, float]], dict[str, int]]:
        """Train the plan's student in place; return every epoch's mean losses, and images read.

        Raises:
            Diverged: If a loss becomes NaN or infinite; names method, epoch and learning rate.
        """
        student = plan.student
        optimizer = self.build_optimizer(list(student.parameters()))
        hold = confinement(student, plan.confine)
        history: list[dict[str, float]] = []
        reads = {"forget": 0, "retain": 0}
        for side, images in plan.reads.items():
            reads[side] += images
        # dropout draws from torch's global generator; in eval mode nothing does
        seeded = global_seed_from(generator) if student.training else contextlib.nullcontext()
        with seeded, repeatable_kernels(student.device):
            for epoch in range(1, self.epochs + 1):
                sums: dict[str, Tensor] = {}
                counts: dict[str, int] = {}
                for phase in plan.phases(epoch):
                    for losses, count in self._steps(phase, student, optimizer, generator, epoch):
                        hold()
                        for name, value in losses.items():
                            sums[name] = sums.get(name, 0.0) + value.detach() * count
                            counts[name] = counts.get(name, 0) + count
                    for side, images in phase.read().items():
                        reads[side] += images
                history.append({name: sums[name].item() / counts[name] for name in sums})
                self._check(history[-1], epoch)
                if watch is not None:
                    watch(epoch, plan.finish(student), history[-1])
                if plan.finished(student):
                    break
        return history, reads

    def _steps(
        self,
        phase: Phase,
        student: Classifier,
        optimizer: torch.optim.Optimizer,
        generator: Generator,
        epoch: int,
    ) -> Iterator[tuple[dict[str, Tensor], int]]:
        """Run one phase; yield the losses of every step and its number of samples."""
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
            yield losses, len(index)

    def _check(self, losses: Mapping[str, float], epoch: int) -> None:
        if not all(torch.tensor(list(losses.values())).isfinite()):
            raise Diverged(
                f"{self.name}: a loss is not finite in epoch {epoch} of {self.epochs} "
                f"({dict(losses)}): lower learning_rate (it is {self.learning_rate})"
            )


def confinement(student: Classifier, confine: Confine | None) -> Callable[[], None]:
    """Return what puts every parameter back to where its displacement from now may be, in place."""
    if confine is None:
        return lambda: None
    start = {name: p.detach().clone() for name, p in student.named_parameters()}

    @torch.no_grad()
    def hold() -> None:
        for name, parameter in student.named_parameters():
            parameter.copy_(start[name] + confine(name, parameter - start[name]))

    return hold
