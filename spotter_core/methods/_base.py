"""What all unlearning methods share: settings that are frozen, a copy that is trained, a record.

Layer 4. A method is a frozen object; calling it returns a new network. One that forgets from forget
samples alone is never handed anything else, so it *can't* read a retained one.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from spotter_core._checks import NotFinite, check_forget_classes, check_positive
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.training import Diverged, Watch

Reads = Literal["forget", "retain", "both"]
BatchLoss = Callable[[Classifier, Tensor], dict[str, Tensor]]
"""(student, indices of a batch) -> named scalar losses, the one to descend under ``"loss"``."""


@dataclass
class Unlearned:
    """The unlearned copy, the mean losses of every epoch, and what the run read.

    Attributes:
        model: In eval mode, on the original's device.
        history: One dict an epoch.
        reads: Images that went through the network in training, by side, repetitions counted.
        notes: Numbers worth reporting beside the result, such as Boundary Shrink's flip rate.
    """

    model: Classifier
    history: list[dict[str, float]] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method(ABC):
    """Settings common to all methods that descend a loss by SGD.

    The defaults are DELETE's and Spotter's for CIFAR-10 with ResNet-18; a small network and small
    images want others.
    """

    learning_rate: float = 1e-4
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epochs: int = 10
    batch_size: int = 128
    max_norm: float | None = None

    name: ClassVar[str]
    reads: ClassVar[Reads]
    source: ClassVar[str]

    def __post_init__(self) -> None:
        check_positive(
            learning_rate=self.learning_rate, epochs=self.epochs, batch_size=self.batch_size
        )

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy with other settings.

        Raises:
            ValueError: If a name is no setting of this method; lists those that are.
        """
        known = [f.name for f in fields(self)]
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(
                f"method {self.name!r} has no setting {', '.join(unknown)}; "
                f"it has {', '.join(known)}"
            )
        return replace(self, **settings)

    def descend(
        self,
        student: Classifier,
        samples: ImageSet,
        batch_loss: BatchLoss,
        generator: Generator,
        *,
        watch: Watch | None = None,
        stop: Callable[[Classifier], bool] | None = None,
    ) -> list[dict[str, float]]:
        """Train ``student`` in place on ``samples`` and return the mean losses of every epoch.

        Raises:
            Diverged: If a loss becomes NaN or infinite; names method, epoch and learning rate.
        """
        optimizer = torch.optim.SGD(
            student.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        history: list[dict[str, float]] = []
        for epoch in range(1, self.epochs + 1):
            sums: dict[str, Tensor] = {}
            for index in samples.batches(self.batch_size, generator):
                try:
                    losses = batch_loss(student, index)
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
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + value.detach() * len(index)
            history.append({name: total.item() / len(samples) for name, total in sums.items()})
            if not all(map(torch.isfinite, sums.values())):
                raise Diverged(
                    f"{self.name}: a loss is not finite in epoch {epoch} of {self.epochs} "
                    f"({history[-1]}): lower learning_rate (it is {self.learning_rate})"
                )
            if watch is not None:
                watch(epoch, student, history[-1])
            if stop is not None and stop(student):
                break
        return history


@dataclass(frozen=True)
class ForgetOnlyMethod(Method):
    """A method that is handed the original and the forget samples, and nothing else.

    It is a pair of ideas: *targets*, computed once from the original, and a *loss* of the student's
    logits against them. Spotter takes any such pair as its L_u. The student stays in eval mode, so
    batch-norm statistics are frozen.
    """

    reads: ClassVar[Reads] = "forget"

    @abstractmethod
    def targets(
        self,
        original: Classifier,
        forget: ImageSet,
        forget_classes: tuple[int, ...],
        generator: Generator,
        notes: dict[str, float],
    ) -> Tensor:
        """Return ``(N, ...)`` targets of the forget samples; may leave numbers in ``notes``."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the scalar loss of ``(N, C)`` student logits against their targets."""

    def finished(self, student: Classifier, forget: ImageSet) -> bool:
        """Whether to stop before the last epoch; looks at the forget samples alone."""
        return False

    def __call__(
        self,
        original: Classifier,
        forget: ImageSet,
        *,
        forget_classes: Sequence[int] | None = None,
        generator: Generator | None = None,
        watch: Watch | None = None,
    ) -> Unlearned:
        """Return an unlearned copy of ``original``.

        Args:
            original: Trained on forget and retain samples; left as it is.
            forget: All training samples of the forget classes.
            forget_classes: Default: the classes that occur in ``forget``.
            generator: Of everything random in the run; default seed 0.
            watch: Called after every epoch.

        Raises:
            ValueError: If ``forget`` is empty or the forget classes are all or none.
            Diverged: If a loss becomes NaN or infinite.
        """
        classes = forgotten_classes(original, forget, forget_classes)
        generator = generator or Generator().manual_seed(0)
        result = Unlearned(copy.deepcopy(original).eval())
        batch_loss = self.prepare(original, forget, classes, generator, result.notes)
        result.history = self.descend(
            result.model,
            forget,
            batch_loss,
            generator,
            watch=watch,
            stop=lambda student: self.finished(student, forget),
        )
        result.reads = {"forget": len(result.history) * len(forget), "retain": 0}
        return result

    def prepare(
        self,
        original: Classifier,
        forget: ImageSet,
        forget_classes: tuple[int, ...],
        generator: Generator,
        notes: dict[str, float],
    ) -> BatchLoss:
        """Return the loss of a batch; all that depends on the original alone is computed here."""
        targets = self.targets(original, forget, forget_classes, generator, notes)

        def batch_loss(student: Classifier, index: Tensor) -> dict[str, Tensor]:
            logits = student(forget.pixels(index))
            return {"loss": self.loss(logits, targets[index], forget_classes)}

        return batch_loss


@dataclass(frozen=True)
class RetainMethod(Method):
    """A method that reads retained samples, and none of the forget samples."""

    reads: ClassVar[Reads] = "retain"

    @abstractmethod
    def __call__(
        self,
        original: Classifier,
        forget: ImageSet,
        *,
        retain: ImageSet,
        forget_classes: Sequence[int] | None = None,
        generator: Generator | None = None,
        watch: Watch | None = None,
    ) -> Unlearned:
        """Return an unlearned copy; arguments as in :class:`ForgetOnlyMethod`, and ``retain``."""


def forgotten_classes(
    original: Classifier, forget: ImageSet, forget_classes: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the forget classes, checked; by default those that occur in ``forget``.

    Raises:
        ValueError: If ``forget`` is empty, or holds a class that is not to be forgotten.
    """
    if len(forget) == 0:
        raise ValueError("forget is empty: pass the training samples of the forget classes")
    present = forget.labels.unique().tolist()
    classes = check_forget_classes(
        present if forget_classes is None else forget_classes, original.num_classes
    )
    if strangers := sorted(set(present) - set(classes)):
        raise ValueError(
            f"forget holds samples of classes {strangers}, which are not in forget_classes "
            f"{list(classes)}: pass ForgetSplit(...).forget.train"
        )
    return classes
