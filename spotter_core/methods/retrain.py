"""Retrain: the oracle, trained from scratch without the forget classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from torch import Generator

from spotter_core.data import ImageSet
from spotter_core.methods._base import Reads, RetainMethod, Unlearned, forgotten_classes
from spotter_core.models import Classifier
from spotter_core.training import Recipe, Watch, fit


@dataclass(frozen=True)
class Retrain(RetainMethod):
    """Train a fresh network of the same architecture by the original's recipe on retained samples.

    Reads: retained samples. The head keeps all C rows, so that every attack meets the same shape;
    the forget classes' rows are only ever pushed down. Give ``recipe`` the one that
    trained the original.
    """

    name: ClassVar[str] = "retrain"
    reads: ClassVar[Reads] = "retain"
    source: ClassVar[str] = "exact unlearning, the definition"
    recipe: Recipe = field(default_factory=Recipe)

    def __call__(
        self,
        original: Classifier,
        forget: ImageSet,
        *,
        retain: ImageSet,
        forget_classes: Sequence[int] | None = None,
        generator: Generator | None = None,
        watch: Watch | None = None,
        resume: Path | None = None,
        settings: str = "",
    ) -> Unlearned:
        """Return the retrained oracle; of ``original`` only the architecture is used.

        Killed, it goes on where it was: ``resume`` and ``settings`` are those of
        :func:`~spotter_core.training.fit`.
        """
        forgotten_classes(original, forget, forget_classes)
        generator = generator or Generator().manual_seed(0)
        fitted = fit(
            original.fresh(generator),
            retain,
            recipe=self.recipe,
            generator=generator,
            watch=watch,
            resume=resume,
            settings=settings,
        )
        history = [{"loss": loss} for loss in fitted.losses]
        reads = {"forget": 0, "retain": self.recipe.epochs * len(retain)}
        return Unlearned(fitted.model, history, reads)
