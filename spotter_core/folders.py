"""Image folders: ``root/train/<class>/*`` and ``root/test/<class>/*``, or laid out as TinyImageNet.

Layer 1: listing and decoding only; what a split or a class means is decided above.
"""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor

from spotter_core.sources import function_digest

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ANNOTATIONS = "val/val_annotations.txt"  # TinyImageNet's, and nobody else's
TICK = 0.02  # seconds; longer than the clock of a file system takes to move on


class File(NamedTuple):
    """An image file below the root, and what can't stay when its content changes.

    ``changed`` is set by the system alone, also where a file is replaced by one with an old date.
    """

    path: str
    size: int
    modified: int
    changed: int


@dataclass(frozen=True)
class Listing:
    """The files of an image folder by class: all that is known of it before decoding."""

    root: Path
    class_names: tuple[str, ...]
    train: tuple[tuple[File, ...], ...]
    test: tuple[tuple[File, ...], ...]

    @property
    def files(self) -> list[File]:
        """All files, those of training first, then by class, then by name."""
        return [file for part in (self.train, self.test) for files in part for file in files]

    def labels(self) -> tuple[Tensor, Tensor]:
        """Return the labels of training and test images, int64."""
        train, test = (torch.tensor([len(f) for f in part]) for part in (self.train, self.test))
        classes = torch.arange(len(self.class_names))
        return classes.repeat_interleave(train), classes.repeat_interleave(test)

    def key(self, *, size: int | None) -> str:
        """Return what the decoded images depend on, hashed: files, size, decoder."""
        decoder = (PIL.__version__, function_digest(decode, decode_one, image_fingerprints))
        everything = (decoder, size, [tuple(file) for file in self.files])
        return hashlib.sha256(repr(everything).encode()).hexdigest()


def list_image_folder(root: Path) -> Listing:
    """Return the files of an image folder, its classes sorted by name.

    A folder with ``val/val_annotations.txt`` is TinyImageNet's: ``train/<id>/images/*`` for
    training, ``val/images/*`` for test, because its ``test/`` has no labels. Its classes are sorted
    by id and called by the first word of ``words.txt``, if that is there.

    Raises:
        FileNotFoundError: If ``root``, its ``train/`` or ``test/``, or all images are missing.
        ValueError: If there is one class only, the classes of the parts differ, or annotations
            and files don't match.
    """
    tiny = (root / ANNOTATIONS).is_file()
    train = list_classes(root, "train", inner="/images" if tiny else "")
    test = list_annotated(root) if tiny else list_classes(root, "test")
    ids = sorted(train)
    if len(ids) < 2:
        raise ValueError(
            f"{root / 'train'} holds the class {ids[0]!r} only: unlearning a class needs at "
            "least two, one folder a class"
        )
    if strangers := sorted(set(test) ^ set(ids)):
        raise ValueError(
            f"{root}: classes {strangers} have images in only one of train/ and "
            f"{'val' if tiny else 'test'}/: each class needs both"
        )
    names = readable_names(root / "words.txt", ids) if tiny else ids
    return Listing(root, tuple(names), tuple(train[c] for c in ids), tuple(test[c] for c in ids))


def list_classes(root: Path, part: str, *, inner: str = "") -> dict[str, tuple[File, ...]]:
    """Return the image files of each ``root/part/<class><inner>``."""
    folder = root / part
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not there: an image folder is {root}/train/<class>/ and "
            f"{root}/test/<class>/ with images inside"
        )
    found = {
        sub.name: list_images(root, f"{part}/{sub.name}{inner}")
        for sub in folder.iterdir()
        if sub.is_dir() and not sub.name.startswith(".")
    }
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no class folder with images ({', '.join(SUFFIXES)})"
        )
    return found


def list_images(root: Path, folder: str) -> tuple[File, ...]:
    """Return the image files of ``root/folder``, sorted by name; none if it is not there."""
    if not (root / folder).is_dir():
        return ()
    found = []
    with os.scandir(root / folder) as entries:
        for entry in entries:
            name = entry.name
            if name.lower().endswith(SUFFIXES) and name[0] != ".":  # macOS leaves ._a.jpg
                stat = entry.stat()
                found.append(
                    File(f"{folder}/{name}", stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
                )
    return tuple(sorted(found))


def list_annotated(root: Path) -> dict[str, tuple[File, ...]]:
    """Return the image files below ``root/val/images`` by the class that the annotations say."""
    files = {Path(file.path).name: file for file in list_images(root, "val/images")}
    found: dict[str, list[File]] = {}
    for number, line in enumerate((root / ANNOTATIONS).read_text("utf-8").splitlines(), 1):
        name, _, rest = line.partition("\t")
        if name not in files:
            raise ValueError(
                f"{root / ANNOTATIONS}, line {number}: {name!r} is not in {root / 'val/images'}, "
                "or named twice: expected the name of an image, a tab and its class"
            )
        found.setdefault(rest.split("\t")[0], []).append(files.pop(name))
    if files:
        raise ValueError(
            f"{root / ANNOTATIONS} says nothing about {len(files)} images of val/images, such as "
            f"{min(files)}: add them there or delete them"
        )
    return {name: tuple(sorted(listed)) for name, listed in found.items()}


def readable_names(words: Path, ids: list[str]) -> list[str]:
    """Return the first word for every id; the id where there is none, or two ids share it."""
    lines = words.read_text("utf-8").splitlines() if words.is_file() else []
    known = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [known.get(each, each).split(",")[0].strip() for each in ids]
    return [
        name if names.count(name) == 1 else f"{name} ({each})"
        for name, each in zip(names, ids, strict=True)
    ]


def read_images(listing: Listing, *, size: int | None = None) -> dict[str, Tensor]:
    """Return ``images`` and ``fingerprints`` of all files of a listing, in its order.

    Images are ``(N, 1, H, W)`` bytes if every one is grey, else ``(N, 3, H, W)``; fingerprints are
    those of :func:`image_fingerprints`.

    Raises:
        ValueError: If images differ in size and no ``size`` is given, or one can't be decoded;
            names the file.
        RuntimeError: If the folder has changed since it was listed.
    """
    time.sleep(TICK)  # else a file written after it is read could bear the listed time
    images = decode([listing.root / file.path for file in listing.files], size=size)
    if list_image_folder(listing.root) != listing:
        raise RuntimeError(
            f"{listing.root} changed while its images were read: wait until whatever writes there "
            "is done, then run again"
        )
    return {"images": images, "fingerprints": image_fingerprints(images)}


def image_fingerprints(images: Tensor) -> Tensor:
    """Return ``(N, 16)`` bytes: half of the SHA-256 of each image of ``(N, ...)``."""
    rows = images.cpu().contiguous().numpy()
    digests = b"".join(hashlib.sha256(row).digest()[:16] for row in rows)
    return torch.tensor(np.frombuffer(digests, dtype=np.uint8)).view(-1, 16)


def decode(paths: list[Path], *, size: int | None) -> Tensor:
    """Return all images as one byte tensor, decoded in parallel."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        arrays = list(pool.map(lambda path: decode_one(path, size), paths))
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"images differ in size, {len(shapes)} sizes from {min(shapes)} to {max(shapes)} "
            "(height, width): pass size=, the side in pixels they are all resized to"
        )
    channels = 3 if any(array.ndim == 3 for array in arrays) else 1  # one colour image suffices
    images = np.empty((len(arrays), channels, *shapes.pop()), dtype=np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[...] = array if array.ndim == 2 else array.transpose(2, 0, 1)
    return torch.from_numpy(images)


def decode_one(path: Path, size: int | None) -> np.ndarray:
    """Return ``(H, W)`` grey or ``(H, W, 3)`` colour bytes."""
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                raise ValueError("its pixels are floats of unknown range")
            if image.mode.startswith("I"):  # 16 bits a pixel: convert() would cut them at 255
                picture = Image.fromarray((np.asarray(image) // 256).clip(0, 255).astype(np.uint8))
            else:
                picture = image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} can't be read as an image ({error}): replace it or delete it"
        ) from error
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)
