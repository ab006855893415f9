"""Image folders as byte tensors: ``root/train/<class>/*`` and ``root/test/<class>/*``.

Layer 1: decoding only; what a split or a class means is decided above.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}

Labelled = tuple[Tensor, Tensor]


def read_image_folder(
    root: Path, *, size: int | None = None
) -> tuple[tuple[str, ...], Labelled, Labelled]:
    """Return class names (sorted), training and test ``(images, labels)`` of an image folder.

    Images are ``(N, 1, H, W)`` bytes if every one is grey, else ``(N, 3, H, W)``.

    Raises:
        FileNotFoundError: If ``root``, its ``train/`` or ``test/``, or all images are missing.
        ValueError: If there is one class only, the classes of the parts differ, images differ in
            size and no ``size`` is given, or an image can't be decoded; names the file.
    """
    files = {part: list_images(root, part) for part in ("train", "test")}
    names = tuple(sorted(files["train"]))
    if len(names) < 2:
        raise ValueError(
            f"{root / 'train'} holds the class {names[0]!r} only: unlearning a class needs at "
            "least two, one folder a class"
        )
    if strangers := sorted(set(files["test"]) ^ set(names)):
        raise ValueError(
            f"{root}: classes {strangers} have images in only one of train/ and test/: "
            "each class needs both"
        )
    flat = [
        (part, label, path)
        for part in files
        for label, c in enumerate(names)
        for path in files[part][c]
    ]
    images = decode([path for _, _, path in flat], size=size)
    labels = torch.tensor([label for _, label, _ in flat])
    in_train = torch.tensor([part == "train" for part, _, _ in flat])
    return names, (images[in_train], labels[in_train]), (images[~in_train], labels[~in_train])


def list_images(root: Path, part: str) -> dict[str, list[Path]]:
    """Return the image files of each class folder below ``root/part``, sorted by name."""
    folder = root / part
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not there: an image folder is {root}/train/<class>/ and "
            f"{root}/test/<class>/ with images inside"
        )
    found = {
        sub.name: sorted(
            f
            for f in sub.iterdir()
            if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")  # macOS leaves ._a.jpg
        )
        for sub in folder.iterdir()
        if sub.is_dir() and not sub.name.startswith(".")
    }
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no class folder with images ({', '.join(sorted(SUFFIXES))})"
        )
    return found


def decode(paths: list[Path], *, size: int | None) -> Tensor:
    """Return all images as one byte tensor, decoded in parallel."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        arrays = list(pool.map(lambda path: decode_one(path, size), paths))
    if any(array.ndim == 3 for array in arrays):  # one colour image makes the whole set colour
        arrays = [array if array.ndim == 3 else np.stack([array] * 3, axis=-1) for array in arrays]
    shapes = {array.shape[:2] for array in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"images differ in size, {len(shapes)} sizes from {min(shapes)} to {max(shapes)} "
            "(height, width): pass size=, the side in pixels they are all resized to"
        )
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2).contiguous()


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
