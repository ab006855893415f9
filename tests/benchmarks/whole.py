"""Rows of a study's long parts: training, all attacks on one model, loading the data."""

import time
from dataclasses import replace
from itertools import chain

import torch
from torch import Generator, Tensor

from benchmarks.network import counted, made_images, made_network, product_ceiling, seeded
from benchmarks.table import Rate, Row, Skipped, elapsed, median
from spotter_core.data import ImageSet, load_dataset
from spotter_core.folders import decode, list_image_folder
from spotter_core.models import build_model
from spotter_core.places import cache_root, find_folder
from spotter_core.profiles import load_profile
from spotter_core.settings import configured_sweep
from spotter_core.training import Predictions, Recipe, fit, predict

JPEG = "cifar10-jpeg"


def training_rate(device: torch.device, width: int, images: int, batch_size: int) -> Rate:
    """An epoch of ``fit`` with augmentation on random images."""
    blank = build_model("resnet18", num_classes=10, width=width, generator=seeded()).to(device)
    train = ImageSet(made_images(images), torch.arange(images) % 10).to(device)
    recipe = Recipe(epochs=1, batch_size=batch_size, learning_rate=0.01, augment=True)

    def epoch(samples: ImageSet) -> None:
        fit(blank, samples, recipe=recipe, generator=Generator().manual_seed(0))

    batch = ImageSet(train.images[:batch_size], train.labels[:batch_size])
    flops = counted(lambda: epoch(batch)) / len(batch)
    ceiling, precision = product_ceiling(device)
    taken = median(lambda: epoch(train), 1)
    work = f"training, ResNet-18 of width {width}, batch {batch_size}, augmented"
    return Rate(work, images / taken, images * flops / taken, ceiling, precision)


def attacks_row(device: torch.device, runs: int, width: int = 16, images: int = 10_000) -> Row:
    """Every attack of notebook 04 on one model, on its features, against making the features."""
    model = made_network(width, device)
    pixels = made_images(images).to(device)
    labels = torch.arange(images, device=device) % 10
    found: list[Predictions] = []
    predict(model, pixels[:1000])
    one_pass = elapsed(lambda: found.append(predict(model, pixels)))
    forget, out = labels == 0, found[0]
    pool = out.features[forget]
    pool = torch.cat([pool, pool + 0.01 * torch.randn_like(pool)])
    profile = replace(load_profile("cifar10-small"), shots=tuple(range(1, 11)), supports=20)
    sweeps = [configured_sweep(profile, **variant) for variant in profile.attacks]

    def ours() -> list[Tensor]:
        zeros = labels.new_zeros(len(pool))
        return [
            sweep(model.head, pool, zeros, Predictions(*(x[at] for x in out)), labels[at], [0])
            for sweep in sweeps
            for at in (forget, ~forget)
        ]

    attacks = sum(len(s.shots) * len(s.alphas) * len(s.seeds) for s in sweeps)
    assert sum(map(torch.numel, ours())) == 2 * attacks
    return Row(
        f"all {attacks:,} attacks of a model, {images:,} test images, {out.features.shape[1]} "
        "features",
        median(ours, runs),
        one_pass,
        f"one pass of ResNet-18 of width {width} over the test images",
        times=1.0,
    )


def dataset_row(runs: int, part: int = 2000) -> Row | Skipped:
    """Loading CIFAR-10 (JPEG) from the cache of decoded images, against decoding it."""
    work = "load CIFAR-10 (JPEG), 60,000 images"
    if not any((cache_root() / "decoded").glob(f"{JPEG}-*.safetensors")):
        return Skipped(work, "it was not decoded on this machine yet; a study does that")
    try:
        listing = list_image_folder(find_folder(JPEG))
    except FileNotFoundError:
        return Skipped(work, f"no image folder {JPEG} on this machine")
    load_dataset(f"folder:{JPEG}")  # decodes anew if the kept images are out of date
    few = [listing.root / file.path for file in chain(*listing.test)][:part]
    start = time.perf_counter()
    decoded = decode(few, size=None)
    plain = time.perf_counter() - start
    dataset = load_dataset(f"folder:{JPEG}")
    assert torch.equal(dataset.test.images[:part], decoded)
    return Row(
        work,
        median(lambda: load_dataset(f"folder:{JPEG}"), runs),
        plain * len(listing.files) / part,
        f"decoding {part:,} of the images on all cores, scaled",
        target=1.0,
    )
