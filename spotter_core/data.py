"""Data sets as tensors, and their split into what is forgotten and what is retained.

Layer 2: images are decoded once, kept as bytes, moved to a device once; no loader processes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from spotter_core._checks import (
    check_forget_classes,
    check_labels,
    check_positive,
    check_unit_images,
)
from spotter_core.cache import cached_tensors
from spotter_core.files import settings_hash
from spotter_core.folders import image_fingerprints, list_image_folder, read_images
from spotter_core.places import cache_root, data_root, find_folder
from spotter_core.runtime import seeded_generator

TORCHVISION_SETS = {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their labels: ``(N, ...)`` bytes, or floats in [0, 1], and ``(N,)`` int64.

    ``fingerprints`` are those of :func:`image_fingerprints`, where the images came with them; what
    builds a set of other images (``dataclasses.replace`` too) starts without.
    """

    images: Tensor
    labels: Tensor
    fingerprints: Tensor | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_labels(self.labels, len(self.images))
        if self.images.is_floating_point() and len(self.images):
            check_unit_images(self.images)

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Return the images at ``index`` as floats in [0, 1]."""
        chosen = self.images[index]
        return chosen if chosen.is_floating_point() else chosen.float() / 255.0

    def subset(self, index: Tensor) -> "ImageSet":
        """Return the samples at ``index``, indices or a boolean mask of shape ``(N,)``."""
        chosen = ImageSet(self.images[index], self.labels[index])
        return chosen if self.fingerprints is None else chosen.marked(self.fingerprints[index])

    def to(self, device: torch.device) -> "ImageSet":
        """Return the set on ``device``."""
        moved = ImageSet(self.images.to(device), self.labels.to(device))
        return moved if self.fingerprints is None else moved.marked(self.fingerprints.to(device))

    def marked(self, fingerprints: Tensor) -> "ImageSet":
        """Return the set with the fingerprints of its images, which are then not taken anew."""
        copy = ImageSet(self.images, self.labels)
        object.__setattr__(copy, "fingerprints", fingerprints)
        return copy

    def batches(self, batch_size: int, generator: Generator) -> Iterator[Tensor]:
        """Yield the indices of one shuffled epoch, batch by batch, on the set's device."""
        order = torch.randperm(len(self), generator=generator).to(self.labels.device)
        yield from order.split(batch_size)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set in three parts. ``test`` is for reported numbers alone."""

    name: str
    class_names: tuple[str, ...]
    train: ImageSet
    validation: ImageSet
    test: ImageSet

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    def channel_statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of the training pixels, by channel, in [0, 1]."""
        images = self.train.images
        if images.is_floating_point():
            dims = [d for d in range(images.ndim) if d != 1]
            return images.mean(dims).tolist(), images.std(dims).clamp_min(1e-3).tolist()
        # As floats the images would take four times their memory; how often each byte occurs is all
        levels = torch.arange(256, dtype=torch.float64) / 255.0
        counts = torch.stack([c.flatten().bincount(minlength=256) for c in images.unbind(1)]).cpu()
        total = counts.sum(dim=1)
        mean = counts.double() @ levels / total
        squares = (counts * (levels - mean[:, None]) ** 2).sum(dim=1)
        return mean.tolist(), (squares / (total - 1)).sqrt().clamp_min(1e-3).tolist()

    def digest(self) -> str:
        """Return 12 hex digits of all images and labels, part by part."""
        found = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            known = part.fingerprints
            prints = image_fingerprints(part.images) if known is None else known
            found.update(str((part.images.dtype, tuple(part.images.shape))).encode())
            for values in (prints, part.labels.long()):
                found.update(values.cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:12]

    def to(self, device: torch.device) -> "Dataset":
        """Return the data set with all its parts on ``device``."""
        parts = (part.to(device) for part in (self.train, self.validation, self.test))
        return Dataset(self.name, self.class_names, *parts)


@dataclass(frozen=True, eq=False)
class Parts:
    """One side of a split: training, validation and test samples."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


class ForgetSplit:
    """A data set divided by class: ``split.forget.train``, ``split.retain.test`` and so on.

    Args:
        dataset: What to divide.
        forget_classes: Indices in ``[0, C)``; one or several, not all.

    Raises:
        ValueError: If ``forget_classes`` is no proper non-empty subset of the classes.
    """

    def __init__(self, dataset: Dataset, forget_classes: Sequence[int]) -> None:
        self.dataset = dataset
        self.forget_classes = check_forget_classes(forget_classes, dataset.num_classes)
        self.forget = self._side(forgotten=True)
        self.retain = self._side(forgotten=False)

    def _side(self, *, forgotten: bool) -> Parts:
        def pick(part: ImageSet) -> ImageSet:
            classes = torch.tensor(self.forget_classes, device=part.labels.device)
            return part.subset(torch.isin(part.labels, classes) == forgotten)

        return Parts(*map(pick, (self.dataset.train, self.dataset.validation, self.dataset.test)))


class ForbiddenSet(ImageSet):
    """Stands where retained data would stand and raises when anything of it is read.

    Handed to a method in place of the retain set, it proves that the method reads none.
    """

    def __init__(self) -> None:
        pass

    def __getattribute__(self, name: str) -> object:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise PermissionError(f"a retained sample was read ({name}): this method may not")

    def __len__(self) -> int:
        raise PermissionError("the retain set was asked for its size: this method may not")


def stratified_parts(labels: Tensor, fractions: Sequence[float], *, name: str) -> list[Tensor]:
    """Return index tensors that divide every class by ``fractions``, the last taking the rest.

    The division depends on ``name`` and the labels alone, not on the seed of a run: all runs share
    one test set.

    Raises:
        ValueError: If a class has too few samples to leave one in every part.
    """
    parts: list[list[Tensor]] = [[] for _ in range(len(fractions) + 1)]
    for c in labels.unique().tolist():
        members = (labels == c).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=seeded_generator(name, c))]
        sizes = [max(1, round(fraction * len(members))) for fraction in fractions]
        if sum(sizes) >= len(members):
            raise ValueError(
                f"{name}: class {c} has {len(members)} samples, too few to set "
                f"{list(fractions)} of them aside and keep one: add images or lower the share"
            )
        chunks = order.split([*sizes, len(members) - sum(sizes)])
        for part, chunk in zip(parts, chunks, strict=True):
            part.append(chunk)
    return [torch.cat(part).sort().values for part in parts]


def load_digits_dataset() -> Dataset:
    """Return scikit-learn's bundled handwritten digits: 1,797 grey images of 8×8, ten classes."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8))[:, None]
    everything = ImageSet(images, torch.from_numpy(bunch.target).long())
    chosen = stratified_parts(everything.labels, [0.6, 0.15], name="digits")
    names = tuple(str(digit) for digit in range(10))
    return Dataset("digits", names, *(everything.subset(index) for index in chosen))


def load_torchvision_dataset(name: str, *, download: bool, validation: float) -> Dataset:
    """Return CIFAR-10 or CIFAR-100 through torchvision's own class and cache layout.

    Raises:
        FileNotFoundError: If it is neither cached nor reachable; says what to put where.
    """
    from torchvision import datasets

    cls = getattr(datasets, TORCHVISION_SETS[name])
    root = data_root()
    try:
        train, test = (cls(root, train=part, download=download) for part in (True, False))
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(
            f"data set {name!r} is not in {root} ({error}): put {cls.base_folder}/ there "
            f"(from {cls.filename}), point SPOTTER_DATA at the folder that holds it, or call "
            f"load_dataset({name!r}, download=True) with a network"
        ) from error
    sets = [
        ImageSet(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
        )
        for part in (train, test)
    ]
    return with_validation(name, tuple(train.classes), *sets, validation=validation)


def load_folder_dataset(path: str, *, size: int | None, validation: float) -> Dataset:
    """Return an image folder, decoded once and kept in :func:`cache_root`.

    What is kept is used as long as no file is added, gone or touched; see ``Listing.key``.
    """
    folder = find_folder(path)
    listing = list_image_folder(folder)
    kept = cached_tensors(
        cache_root()
        / "decoded"
        / f"{folder.name}-{settings_hash([folder.resolve(), size])}.safetensors",
        key=listing.key(size=size),
        make=lambda: read_images(listing, size=size),
    )
    labels = listing.labels()
    images, prints = (kept[name].split([*map(len, labels)]) for name in ("images", "fingerprints"))
    train, test = (ImageSet(i, y).marked(p) for i, y, p in zip(images, labels, prints, strict=True))
    name = f"folder:{folder.name}"
    return with_validation(name, listing.class_names, train, test, validation=validation)


def with_validation(
    name: str, class_names: tuple[str, ...], train: ImageSet, test: ImageSet, *, validation: float
) -> Dataset:
    """Return a data set whose validation part is that fraction of every training class."""
    held, rest = stratified_parts(train.labels, [validation], name=name)
    return Dataset(name, class_names, train.subset(rest), train.subset(held), test)


def load_dataset(
    name: str, *, size: int | None = None, download: bool = False, validation: float = 0.1
) -> Dataset:
    """Return a data set, decoded into memory.

    Args:
        name: ``"digits"`` (bundled, no network), ``"cifar10"``, ``"cifar100"`` (torchvision's), or
            ``"folder:PATH"`` with ``train/<class>/*`` and ``test/<class>/*`` images below PATH, or
            TinyImageNet's layout, whose ``val/`` is the test set. A relative PATH is looked for,
            and an archive of its name unpacked, as :func:`find_folder` says.
        size: Side in pixels that a folder's images are resized to; needed if they differ in size.
        download: Whether torchvision may fetch what is not cached.
        validation: Fraction of every training class held out; ``digits`` has its own division
            (60 % train, 15 % validation, 25 % test).

    Raises:
        ValueError: If the name is unknown, a folder holds one class only or a broken image, or a
            class is too small for a validation part.
        FileNotFoundError: If the data is neither cached nor reachable, or a folder has no images.
    """
    if not 0.0 < validation < 1.0:
        raise ValueError(f"validation must lie inside (0, 1), got {validation}")
    if name == "digits":
        return load_digits_dataset()
    if name in TORCHVISION_SETS:
        return load_torchvision_dataset(name, download=download, validation=validation)
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        if size is not None:
            check_positive(size=size)
        return load_folder_dataset(path, size=size, validation=validation)
    known = ", ".join(["digits", *TORCHVISION_SETS, "folder:PATH"])
    raise ValueError(f"unknown data set {name!r}; expected one of {known}")
