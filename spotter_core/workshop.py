"""A study's cells, and what is made of each: models, predictions, neighborhoods.

Layer 6. A cell is (forget classes, seed) of a profile, the unit of work and of resuming. Whatever
is asked for is loaded if it was made before by the same code with the same settings, else made now
and written whole; so it does not matter who asks first, in which order, or who was killed.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from cachetools import LRUCache
from torch import Tensor
from tqdm import tqdm

from spotter_core.attacks import PrototypeSweep
from spotter_core.checkpoints import load_weights, save_weights
from spotter_core.data import Dataset, ForgetSplit, ImageSet, load_dataset
from spotter_core.files import project_root, settings_hash, write_text_atomically
from spotter_core.methods import ForgetOnlyMethod, RetainMethod, unlearn
from spotter_core.models import Classifier, build_model
from spotter_core.neighborhoods import Neighborhood
from spotter_core.profiles import Cell, Profile, load_profile
from spotter_core.runtime import pick_device, seeded_generator
from spotter_core.settings import (
    configured_method,
    configured_neighborhood,
    configured_sweep,
)
from spotter_core.sources import code_fingerprint, function_digest
from spotter_core.training import Diverged, Predictions, Recipe, fit, predict

log = logging.getLogger(__name__)
Kept = TypeVar("Kept", "Near", "Made", Predictions)
UNLEARNING = function_digest(unlearn)
"""How a method is run belongs to what made a model."""
KEPT_BYTES = 2 * 2**30
"""Models, predictions and neighborhoods kept in memory; what was not asked for longest goes."""


class Near(NamedTuple):
    """A neighborhood's points, with the original's logits on them and the clean labels."""

    images: Tensor
    logits: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Made:
    """A model and what is known of its making: losses, images read, seconds."""

    model: Classifier
    record: dict[str, Any]


def size_of(kept: Near | Made | Predictions) -> int:
    """Return the bytes of what a study keeps in memory."""
    tensors: Iterable[Any] = kept.model.state_dict().values() if isinstance(kept, Made) else kept
    return sum(tensor.nbytes for tensor in tensors)


def fixed_sample(samples: ImageSet, most: int | None, *key: object) -> ImageSet:
    """Return at most so many of the samples, by a draw that depends on ``key`` alone.

    Args:
        samples: Returned as they are where they are no more than that, or ``most`` is ``None``.
        most: How many.
        *key: What makes it another draw.
    """
    if most is None or len(samples) <= most:
        return samples
    drawn = torch.randperm(len(samples), generator=seeded_generator(*key))
    return samples.subset(drawn[:most].sort().values.to(samples.labels.device))


class Workshop:
    """Everything made of a profile's cells, on disk below ``root`` and in memory while asked for.

    Args:
        profile: Or its name.
        root: Run folder; default ``runs/<profile>`` in the project.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
    """

    def __init__(
        self, profile: Profile | str, *, root: Path | None = None, device: str = "auto"
    ) -> None:
        self.profile = load_profile(profile) if isinstance(profile, str) else profile
        self.root = root or project_root() / "runs" / self.profile.name
        self.device = pick_device(device)
        torch.set_num_threads(self.profile.threads)
        self.recipe = Recipe(**self.profile.recipe)
        for name in self.profile.methods:  # a wrong setting is refused now, not in the third hour
            self.method(name)
        for name in (*self.profile.neighborhoods, *self.profile.curves):
            self.neighborhood(name)
        for variant in self.profile.attacks:
            self.sweep(**variant)
        self._splits: LRUCache[tuple[int, ...], ForgetSplit] = LRUCache(2)
        self._kept: LRUCache[tuple[str, ...], Any] = LRUCache(KEPT_BYTES, getsizeof=size_of)

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, decoded once and moved to the device once."""
        return load_dataset(self.profile.dataset, size=self.profile.size).to(self.device)

    @cached_property
    def blank(self) -> Classifier:
        """A network of the profile's architecture with weights that mean nothing."""
        mean, std = self.dataset.channel_statistics()
        shape = tuple(self.dataset.train.images.shape[1:])
        return build_model(
            **self.profile.model,
            num_classes=self.dataset.num_classes,
            input_shape=shape,
            mean=mean,
            std=std,
            generator=seeded_generator("blank"),
        ).to(self.device)

    @property
    def arch(self) -> str:
        """Architecture and width, as rows name it."""
        return f"{self.profile.model['name']}-{self.profile.model['width']}"

    def method(self, name: str, **settings: Any) -> ForgetOnlyMethod | RetainMethod:
        """Return a method with the profile's settings, then with ``settings`` over them."""
        return configured_method(self.profile, name, **settings)

    def neighborhood(self, name: str) -> Neighborhood:
        """Return a neighborhood of the profile by its name there."""
        return configured_neighborhood(self.profile, name)

    def sweep(self, **settings: Any) -> PrototypeSweep:
        """Return the profile's grid of attacks, the same for every model."""
        return configured_sweep(self.profile, **settings)

    def split(self, cell: Cell) -> ForgetSplit:
        """Return the data divided by the cell's forget classes."""
        if cell.forget not in self._splits:
            self._splits[cell.forget] = ForgetSplit(self.dataset, cell.forget)
        return self._splits[cell.forget]

    def part(self, cell: Cell, where: str) -> ImageSet:
        """Return the samples that are measured on, by name, such as ``"forget/test"``.

        Of ``"retain/train"``, much the largest part, a fixed random sample of the profile's
        ``evaluated`` images.
        """
        side, _, name = where.partition("/")
        chosen: ImageSet = getattr(getattr(self.split(cell), side), name)
        most = self.profile.evaluated if where == "retain/train" else None
        return fixed_sample(chosen, most, "evaluated", cell.classes)

    # --- models ---------------------------------------------------------------------------------

    def fingerprint(self, cell: Cell, method: str, **settings: Any) -> str:
        """Return what identifies a model: data, architecture, settings, seed, code, torch."""
        original = settings_hash(["original", cell.seed, *self._basis])
        if method == "original":
            return original
        unlearner = self.method(method, **settings)
        modules = [type(unlearner).__module__]
        if base_method := getattr(unlearner, "base", None):
            modules.append(type(base_method).__module__)
        return settings_hash([original, cell.forget, repr(unlearner), code_fingerprint(*modules)])

    @cached_property
    def _basis(self) -> list[Any]:
        """What every model of the study depends on besides its seed and its method."""
        blank = Workshop.__dict__["blank"].func
        return [
            self.dataset.digest(),
            self.profile.model,
            asdict(self.recipe),
            code_fingerprint("spotter_core.training"),
            [function_digest(Workshop._make, blank), UNLEARNING],
            [torch.__version__, self.device.type, self.profile.threads],
        ]

    def path(self, cell: Cell, method: str, **settings: Any) -> Path:
        """Return where a model lies; originals are shared by the cells of a seed."""
        if method == "original":
            return self.root / "models" / f"seed{cell.seed}" / "original.safetensors"
        name = f"{method}-{settings_hash(settings)}" if settings else method
        return self.root / "models" / str(cell) / f"{name}.safetensors"

    def made(self, cell: Cell, method: str, **settings: Any) -> Made:
        """Return a model and its record; loaded if it is there and true to its settings, else made.

        Args:
            cell: Forget classes and seed.
            method: ``"original"`` or a method of the profile.
            **settings: Over the profile's; for ablations.

        Raises:
            Diverged: If the run reached a loss that is not finite, now or when it was tried.
        """
        path = self.path(cell, method, **settings)
        key = (str(path), self.fingerprint(cell, method, **settings))
        return self._keep(
            ("made", *key), lambda: self._load(*key) or self._make(cell, method, settings, *key)
        )

    def _keep(self, key: tuple[str, ...], make: Callable[[], Kept]) -> Kept:
        """Return what is kept under ``key``, else what is made now."""
        if key in self._kept:
            kept: Kept = self._kept[key]
            return kept
        made = make()
        if size_of(made) <= KEPT_BYTES:
            self._kept[key] = made
        return made

    def surviving(self, cell: Cell, methods: Sequence[str]) -> list[str]:
        """Return those of ``methods`` that did not diverge, all of them made if they were not.

        Raises:
            Diverged: If a yardstick did: there is nothing to compare with.
        """
        left = []
        for method in methods:
            try:
                self.made(cell, method)
                left.append(method)
            except Diverged as error:
                if method in ("original", "retrain"):
                    raise
                log.warning("%s %s is left out: %s", cell, method, error)
        return left

    def model(self, cell: Cell, method: str, **settings: Any) -> Classifier:
        """Return the model of :meth:`made`."""
        return self.made(cell, method, **settings).model

    def _load(self, path: str, fingerprint: str) -> Made | None:
        if reason := self._failure(Path(path).with_suffix(".diverged.json"), fingerprint):
            raise Diverged(reason)
        if not Path(path).is_file():
            return None
        try:
            model, record = load_weights(self.blank, Path(path), settings=fingerprint)
            return Made(model.eval(), json.loads(record))
        except ValueError as error:  # cut short, foreign or out of date: say so, make it anew
            log.warning("%s; making it anew", error)
            return None

    @staticmethod
    def _failure(path: Path, fingerprint: str) -> str | None:
        """Return why a model could not be made when it was tried with these settings, if so."""
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_bytes())
            return str(found["reason"]) if found["settings"] == fingerprint else None
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s can't be read (%r); trying anew", path, error)
            return None

    def _make(
        self, cell: Cell, method: str, settings: dict[str, Any], path: str, fingerprint: str
    ) -> Made:
        generator = seeded_generator(self.profile.dataset, cell.seed, method)
        original = None if method == "original" else self.model(cell, "original")
        partial = Path(path).with_suffix(".partial.safetensors")
        start = time.perf_counter()
        with tqdm(desc=f"{cell} {method}", unit="epoch", leave=False) as bar:
            if original is None:
                fitted = fit(
                    self.blank.fresh(generator),
                    self.dataset.train,
                    recipe=self.recipe,
                    generator=generator,
                    watch=lambda *_: bar.update(),
                    resume=partial,
                    settings=fingerprint,
                )
                record: dict[str, Any] = {"history": [{"loss": loss} for loss in fitted.losses]}
                model = fitted.model
            else:
                chosen, split = self.method(method, **settings), self.split(cell)
                try:
                    result = unlearn(
                        chosen,
                        original,
                        split,
                        generator,
                        lambda *_: bar.update(),
                        resume=partial,
                        settings=fingerprint,
                    )
                except Diverged as error:  # kept, so that nobody tries again in vain
                    told = json.dumps({"settings": fingerprint, "reason": str(error)})
                    write_text_atomically(Path(path).with_suffix(".diverged.json"), told)
                    raise
                record = {"history": result.history, "reads": result.reads, "notes": result.notes}
                model = result.model
        record["seconds"] = round(time.perf_counter() - start, 3)
        save_weights(model, Path(path), settings=fingerprint, record=json.dumps(record))
        return Made(model, record)

    # --- what models say ------------------------------------------------------------------------

    def predictions(self, cell: Cell, method: str, where: str) -> Predictions:
        """Return features and logits of a model on a part of the split, from one pass."""
        return self._keep(
            ("predictions", str(cell), method, where),
            lambda: predict(self.model(cell, method), self.part(cell, where).images),
        )

    def near(self, cell: Cell, neighborhood: str | Neighborhood, where: str) -> Near:
        """Return a neighborhood's points around a part; they depend on the original alone."""
        maker = self.neighborhood(neighborhood) if isinstance(neighborhood, str) else neighborhood

        def make() -> Near:
            original, samples = self.model(cell, "original"), self.part(cell, where)
            generator = seeded_generator(self.profile.dataset, cell, "near", where)
            images = maker(
                original, samples.pixels(), samples.labels, cell.forget, generator=generator
            )
            return Near(images, predict(original, images).logits, samples.labels)

        return self._keep(("near", str(cell), repr(maker), where), make)
