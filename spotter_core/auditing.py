"""Audit somebody's unlearned classifier: open what he names, measure it as the study does.

Layer 10.
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from spotter_core import measurements
from spotter_core.audit_request import Request
from spotter_core.data import Dataset, load_dataset
from spotter_core.foreign import build_foreign, call_factory, check_fits, read_state
from spotter_core.given import GivenStudy, given_profile, oracle_name
from spotter_core.heads import as_classifier
from spotter_core.metrics import accuracy
from spotter_core.models import Classifier
from spotter_core.own_images import forget_indices, is_divided, load_own_images, with_channels
from spotter_core.result_files import Result
from spotter_core.results import Row
from spotter_core.runtime import describe_run, seeded_generator
from spotter_core.scores import ORIGINAL

log = logging.getLogger(__name__)
QUICK = (
    measurements.accuracies,
    measurements.over_unlearning_everywhere,
    measurements.relearning,
    measurements.dispersion,
    measurements.damage_to_retained,
    measurements.head_attacks,
)
FULL = (*QUICK, measurements.layer_sweep, measurements.training_attacks)
"""What is measured; the last two train, or look at every stage, and take most of the time."""
Watch = Callable[[str], None]


def open_audit(request: Request, root: Path) -> GivenStudy:
    """Return the networks of an audit as a study, everything that was named checked.

    Args:
        request: What is to be audited.
        root: Folder for rows; those made before by the same code of the same weights are kept.

    Raises:
        FileNotFoundError: If a file or folder is not there.
        ValueError: If anything does not fit; names the argument.
    """
    paths = {"original": request.original, "unlearned": request.unlearned}
    paths |= {f"oracle {i + 1}": path for i, path in enumerate(request.oracles)}
    states = {argument: read_state(path, argument) for argument, path in paths.items()}
    dataset, mean, std = open_images(request)
    forget = forget_indices(request.forget, dataset.class_names)
    blank = build(request, dataset, mean, std)
    own = f"{request.arch or request.factory} for {dataset.num_classes} classes"
    check_fits(states["original"], blank, argument="original", of=own)
    for argument, state in states.items():
        check_fits(state, blank, argument=argument, of="the original")

    wrapped = partial(
        as_classifier,
        mean=mean,
        std=std,
        num_classes=dataset.num_classes,
        example=dataset.test.pixels(slice(0, 2)),
        head=request.head,
    )
    names = [ORIGINAL, request.name, *(oracle_name(i) for i in range(len(request.oracles)))]
    untrained, models = wrapped(blank), {}
    for name, state in zip(names, states.values(), strict=True):
        network = build(request, dataset, mean, std)
        network.load_state_dict(state, strict=False)  # checked above; old files lack counters
        models[name] = wrapped(network)
    profile = given_profile(
        dataset,
        forget,
        shots=request.shots,
        epsilon=request.epsilon,
        supports=5 if request.quick else 20,
        evaluated=500 if request.quick else 2000,
        arch=str(request.arch or request.factory).removeprefix("torchvision:"),
    )
    study = GivenStudy(profile, dataset, models, untrained, root=root, device=request.device)
    check_knows(study)
    return study


def open_images(request: Request) -> tuple[Dataset, tuple[float, ...], tuple[float, ...]]:
    """Return the images as the network takes them, and its normalisation by channel."""
    if request.images in ("digits", "cifar10", "cifar100"):
        dataset = load_dataset(request.images)
    else:
        dataset = load_own_images(Path(request.images).expanduser(), size=request.size)
    if request.mean is None or request.std is None:
        own_mean, own_std = dataset.channel_statistics()
        return dataset, tuple(own_mean), tuple(own_std)
    channels = max(len(request.mean), len(request.std))
    if channels == 1:
        channels = dataset.train.images.shape[1]
    mean, std = (v * channels if len(v) == 1 else v for v in (request.mean, request.std))
    return with_channels(dataset, channels), mean, std


def build(
    request: Request, dataset: Dataset, mean: Sequence[float], std: Sequence[float]
) -> nn.Module:
    """Return a network of the architecture with weights that mean nothing, always the same."""
    generator = seeded_generator("untrained")
    classes = dataset.num_classes
    if request.factory is not None:
        return call_factory(request.factory, num_classes=classes, generator=generator)
    return build_foreign(
        str(request.arch),
        num_classes=classes,
        input_shape=tuple(dataset.train.images.shape[1:]),
        mean=mean,
        std=std,
        width=request.width,
        generator=generator,
    )


def check_knows(study: GivenStudy) -> None:
    """Raise ``ValueError`` unless the original knows the retained classes better than by guessing.

    It is how a wrong normalisation, or another order of the classes, shows.
    """
    logits = study.predictions(study.cell, ORIGINAL, "retain/test").logits
    right = accuracy(logits, study.part(study.cell, "retain/test").labels)
    chance = 1.0 / (study.dataset.num_classes - len(study.cell.forget))
    if right <= chance + 0.05:
        names = ", ".join(study.dataset.class_names[:4])
        raise ValueError(
            f"original: it is right on {right:.1%} of the retained test images, and guessing on "
            f"{chance:.1%}: check mean and std, size, and that its classes are in the order of the "
            f"folders' names ({names}, ...)"
        )


def run_audit(
    request: Request, root: Path, *, watch: Watch = log.info
) -> tuple[GivenStudy, Result]:
    """Return the study of an audit and its result: every measurement made.

    Args:
        request: What is to be audited.
        root: Folder for rows.
        watch: Called with a line before each measurement.

    Raises:
        FileNotFoundError: As :func:`open_audit`.
        ValueError: Likewise.
    """
    study = open_audit(request, root)
    rows: list[Row] = []
    computed = QUICK if request.quick else FULL
    for number, compute in enumerate(computed, 1):
        watch(f"{number}/{len(computed)} {compute.__name__.replace('_', ' ')}")
        rows += study.measured(compute, study.cell, study.methods)
    return study, result_of(request, study, [row for row in rows if math.isfinite(row.value)])


def result_of(request: Request, study: GivenStudy, rows: Sequence[Row]) -> Result:
    """Return what was measured, with all that it depends on."""
    claim: dict[str, Any] = {
        "method": request.name,
        "forgets": [study.dataset.class_names[c] for c in study.cell.forget],
        "reads": request.reads,
    }
    claim |= {key: text for key in ("says", "source") if (text := getattr(request, key))}
    shots = sorted({int(row.at["shots"]) for row in rows if "shots" in row.at} | {request.shots})
    attacker = {
        "weights": True,
        "forget_images": shots,
        "retained_images": True,
        "allowed_loss": 0.01,
    }
    blank: Classifier = study.blank
    parts = {where: len(study.part(study.cell, where)) for where in measurements.SPLITS}
    settings = {
        "shots": request.shots,
        "num_classes": study.dataset.num_classes,
        "epsilon": request.epsilon,
        "oracles": len(request.oracles),
        "quick": request.quick,
        "draws": study.profile.supports,
        "images": parts,
        "mean": [round(v, 6) for v in blank.mean.tolist()],
        "std": [round(v, 6) for v in blank.std.tolist()],
        "notes": notes_of(request, study),
    }
    versions = {**describe_run(), "spotter_core": version("spotter-core")}
    return Result(claim, attacker, settings, versions, rows)


def notes_of(request: Request, study: GivenStudy) -> list[str]:
    """Return sentences on what a reader must know of the images and networks."""
    found, folder = [], Path(request.images).expanduser()
    if folder.is_dir() and not is_divided(folder):
        found.append(
            "The folder has no train/ and test/: images were divided here, so some that are called "
            "held out may have been trained on, and accuracies may be too high."
        )
    prints = {name: study.fingerprint(study.cell, name) for name in study.methods}
    twins = [n for n in study.methods if n != ORIGINAL and prints[n] == prints[ORIGINAL]]
    if twins:
        found.append(f"The weights of {', '.join(twins)} are those of the original.")
    few = [w for w in ("forget/test", "forget/validation") if len(study.part(study.cell, w)) < 20]
    if few:
        told = ", ".join(f"{len(study.part(study.cell, w))} {w}" for w in few)
        found.append(f"Few images of the forgotten class ({told}): each is several points.")
    return found
