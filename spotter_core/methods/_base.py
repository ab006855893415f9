"""What all unlearning methods share: frozen settings, a copy that is trained, a record.

Layer 4. A method is a frozen object; calling it returns a new network. One that forgets from forget
samples alone is never handed anything else, so it *can't* read a retained one.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from spotter_core._checks import check_forget_classes
from spotter_core.data import ImageSet
from spotter_core.methods._descent import Descent, Phase, Plan, Task
from spotter_core.models import Classifier
from spotter_core.training import Diverged, Predictions, Watch, predict

Reads = Literal["forget", "retain", "both"]


@dataclass
class Unlearned:
    """The unlearned copy, the mean losses of every epoch, and what the run read.

    Attributes:
        model: In eval mode, on the original's device.
        history: One dict an epoch; none where a method is done in one step.
        reads: Images that the losses were computed on, by side, repetitions counted. What is asked
            of the original, or whether to stop, about images that training reads anyway is not
            counted, nor are perturbed copies of them.
        notes: Numbers worth reporting beside the result, such as Boundary Shrink's flip rate.
    """

    model: Classifier
    history: list[dict[str, float]] = field(default_factory=list)
    reads: dict[str, int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method(ABC):
    """A named way to unlearn, with its settings."""

    name: ClassVar[str]
    reads: ClassVar[Reads]
    source: ClassVar[str]

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


@dataclass(frozen=True)
class RetainMethod(Method):
    """A method that is handed retained samples beside the forget samples."""

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

    def check_retained(self, retain: ImageSet) -> None:
        """Raise ``ValueError`` if there is no retained sample."""
        if len(retain) == 0:
            raise ValueError(f"retain is empty: {self.name} needs samples of the other classes")


@dataclass(frozen=True)
class DescentMethod(Descent, Method):
    """A method that descends losses step by step; any of them also works under Spotter."""

    @abstractmethod
    def plan(self, task: Task) -> Plan:
        """Return what is to be done; all that depends on the original alone is computed here."""

    def carry_out(self, task: Task, watch: Watch | None) -> Unlearned:
        """Plan and descend, and return the unlearned copy with what was read.

        Raises:
            Diverged: If a loss, or what the copy says of the samples, is NaN or infinite.
        """
        plan = self.plan(task)
        history, reads = self.descend(plan, task.generator, watch)
        model = plan.finish(plan.student).eval()
        # every loss was finite, but nobody has looked at the network since the last step
        seen = task.retain if self.reads == "retain" else task.forget
        if not bool(predict(model, seen.images).logits.isfinite().all()):
            raise Diverged(
                f"{self.name}: the network's logits are not finite after the last step: lower "
                f"learning_rate (it is {self.learning_rate})"
            )
        return Unlearned(model, history, reads, plan.notes)


@dataclass(frozen=True)
class RetainDescent(DescentMethod, RetainMethod):
    """A descent that also reads retained samples.

    Attributes:
        retain_share: Share of the retained samples that the run works with, in (0, 1]: drawn once,
            whatever their class. Time falls with it, where retained samples are most of the data.
    """

    reads: ClassVar[Reads] = "both"
    retain_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.retain_share <= 1.0:
            raise ValueError(f"retain_share must lie in (0, 1], got {self.retain_share}")

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
        """Return an unlearned copy; arguments as in :class:`ForgetOnlyMethod`, and ``retain``.

        Raises:
            ValueError: If there is no retained sample, or as there.
            Diverged: If a loss becomes NaN or infinite.
        """
        self.check_retained(retain)
        generator = generator or Generator().manual_seed(0)
        share = drawn_share(retain, self.retain_share, generator)
        classes = forgotten_classes(original, forget, forget_classes)
        return self.carry_out(Task(original, forget, classes, generator, share), watch)


@dataclass(frozen=True)
class ForgetOnlyMethod(DescentMethod):
    """A descent that is handed the original and the forget samples, and nothing else."""

    reads: ClassVar[Reads] = "forget"

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
        return self.carry_out(Task(original, forget, classes, generator), watch)


@dataclass(frozen=True)
class TargetMethod(ForgetOnlyMethod):
    """Targets, computed once from the original, and a loss of the student's logits against them.

    The student stays in eval mode, so batch-norm statistics are frozen.
    """

    @abstractmethod
    def targets(self, task: Task, notes: dict[str, float]) -> Tensor:
        """Return ``(N, ...)`` targets of the forget samples; may leave numbers in ``notes``."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, forget_classes: tuple[int, ...]) -> Tensor:
        """Return the scalar loss of ``(N, C)`` student logits against their targets."""

    def finished(self, student: Classifier, forget: ImageSet) -> bool:
        """Whether to stop before the last epoch; looks at the forget samples alone."""
        return False

    def plan(self, task: Task) -> Plan:
        """Return one phase over the forget samples."""
        notes: dict[str, float] = {}
        targets = self.targets(task, notes)

        def loss(out: Predictions, index: Tensor) -> dict[str, Tensor]:
            return {"loss": self.loss(out.logits, targets[index], task.forget_classes)}

        phase = Phase(task.forget, "forget", loss)
        return Plan(
            copy.deepcopy(task.original).eval(),
            lambda epoch: [phase],
            finished=lambda student: self.finished(student, task.forget),
            notes=notes,
        )


def drawn_share(samples: ImageSet, share: float, generator: Generator) -> ImageSet:
    """Return that share of the samples, one at least; all of them, and no draw, at 1."""
    if share == 1.0:
        return samples
    kept = max(1, round(share * len(samples)))
    index = torch.randperm(len(samples), generator=generator)[:kept].sort().values
    return samples.subset(index.to(samples.labels.device))


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
