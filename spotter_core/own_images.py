"""A user's own images as a data set: ``train/`` and ``test/`` below them, or divided here.

Layer 3.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from spotter_core._checks import check_positive
from spotter_core.data import Dataset, ImageSet, load_dataset, stratified_parts
from spotter_core.folders import decode, list_images

DIVISION = (0.6, 0.15)
"""Share of each class for training and validation, where the folder is not divided; 25 % test."""


def load_own_images(folder: Path, *, size: int | None = None) -> Dataset:
    """Return a folder of images: ``<class>/*``, or ``train/<class>/*`` and ``test/<class>/*``.

    Classes are sorted by name, as torchvision's ``ImageFolder`` does. A folder of classes alone is
    divided by class; nobody can then know which images a network was trained on.

    Raises:
        FileNotFoundError: If the folder or its images are not there.
        ValueError: If there is one class only, a class has too few images, or one can't be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"images: {folder} is not there; expected a folder with a folder of images a class"
        )
    if is_divided(folder):
        return load_dataset(f"folder:{folder.absolute()}", size=size)
    if size is not None:
        check_positive(size=size)
    classes = sorted(sub.name for sub in folder.iterdir() if sub.is_dir() and sub.name[0] != ".")
    files = {name: found for name in classes if (found := list_images(folder, name))}
    if len(files) < 2:
        raise ValueError(
            f"images: {folder} holds {len(files)} class folders with images; expected two or more, "
            "<class>/*, or train/<class>/* and test/<class>/*"
        )
    images = decode([folder / file.path for own in files.values() for file in own], size=size)
    counts = torch.tensor([len(own) for own in files.values()])
    everything = ImageSet(images, torch.arange(len(files)).repeat_interleave(counts))
    name = f"folder:{folder.absolute().name}"
    parts = stratified_parts(everything.labels, DIVISION, name=name)
    return Dataset(name, tuple(files), *(everything.subset(index) for index in parts))


def is_divided(folder: Path) -> bool:
    """Return whether an image folder has its own training part."""
    return (folder / "train").is_dir()


def with_channels(dataset: Dataset, channels: int) -> Dataset:
    """Return the data set with grey images repeated to ``channels``, as colour networks want them.

    Raises:
        ValueError: If the images have another number of channels and are not grey.
    """
    found = dataset.train.images.shape[1]
    if found == channels:
        return dataset
    if found != 1:
        raise ValueError(
            f"mean and std are of {channels} channels, but the images have {found}: pass one "
            f"number, or {found}"
        )

    def repeated(part: ImageSet) -> ImageSet:
        return ImageSet(part.images.expand(-1, channels, -1, -1).contiguous(), part.labels)

    return replace(
        dataset,
        train=repeated(dataset.train),
        validation=repeated(dataset.validation),
        test=repeated(dataset.test),
    )


def forget_indices(named: Sequence[str], class_names: Sequence[str]) -> tuple[int, ...]:
    """Return class indices for names; a number that is no name is an index.

    Raises:
        ValueError: If a class is unknown, named twice, or all of them are named.
    """
    names, found = list(class_names), []
    for each in named:
        if each in names:
            found.append(names.index(each))
        elif each.isdecimal() and int(each) < len(names):
            found.append(int(each))
        else:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ValueError(
                f"forget class {each!r} is unknown; expected a name, {shown}, or an index below "
                f"{len(names)}"
            )
    if not found or len(set(found)) != len(found) or len(found) == len(names):
        raise ValueError(
            f"forget must name one or more of {len(names)} classes, each once and not all, got "
            f"{', '.join(named) or 'none'}"
        )
    return tuple(sorted(found))
