"""What is to be audited: by a user, in so many words, or of a study's own models.

Layer 9.
"""

from dataclasses import dataclass
from pathlib import Path

from spotter_core._checks import check_positive
from spotter_core.given import RESERVED
from spotter_core.models import ARCHITECTURES
from spotter_core.places import find_folder
from spotter_core.profiles import Cell
from spotter_core.study import Study

KS = (1, 5, 10, 50)
"""Values of k that the battery knows."""


@dataclass(frozen=True)
class Request:
    """What is to be audited, and how; the command's options by the same names.

    Attributes:
        original: Checkpoint before unlearning.
        unlearned: And after.
        images: Folder of images, or the name of a data set.
        forget: Names or indices of the classes that were to be forgotten.
        arch: Architecture by name; or ``factory``, a function that makes the network.
        factory: ``package.module:function``.
        oracles: Checkpoints of networks retrained without the classes.
        mean: By channel, that the networks were trained with; default, for architectures of ours
            alone, that of the training images.
        std: Likewise.
        size: Side that a folder's images are resized to.
        width: Of an architecture of ours.
        head: Name of the last linear layer, where it is not found.
        name: Of the unlearned network in tables.
        reads: Data that the method was handed: forget, forget and retain, unknown.
        says: Its makers' claim, a sentence.
        source: Paper or code.
        shots: The attacker's k of the main numbers, one of :data:`KS`.
        epsilon: Radius of the neighborhoods, images in [0, 1].
        quick: Fewer draws and images, no attack that trains, no layer but the last.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``.
    """

    original: Path
    unlearned: Path
    images: str
    forget: tuple[str, ...]
    arch: str | None = None
    factory: str | None = None
    oracles: tuple[Path, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: int | None = None
    width: int | None = None
    head: str | None = None
    name: str = "unlearned"
    reads: str = "unknown"
    says: str = ""
    source: str = ""
    shots: int = 5
    epsilon: float = 8 / 255
    quick: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)
        if (self.arch is None) == (self.factory is None):
            raise ValueError(
                "one of arch and factory is needed, and not both: the architecture by its name, or "
                "package.module:function, which makes the network"
            )
        if self.name.startswith(RESERVED) or not self.name:
            raise ValueError(f"name must be none of {', '.join(RESERVED)}, got {self.name!r}")
        if self.shots not in KS:
            raise ValueError(f"shots must be one of {', '.join(map(str, KS))}, got {self.shots}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together: pass both or neither")
        if self.mean is None and self.arch not in ARCHITECTURES:
            raise ValueError(
                "mean and std are needed, by channel, for images in [0, 1]: those that the network "
                "was trained with, or 0 and 1 if it was trained on such images as they are"
            )


def request_of(study: Study, cell: Cell, method: str, *, quick: bool = False) -> Request:
    """Return the request to audit a study's own model; what is missing is made.

    Its oracles are those of all the profile's seeds: independent trainings by one recipe.

    Args:
        study: Of a profile.
        cell: Forget classes and seed of the original and of the model.
        method: Of the profile, no yardstick.
        quick: As in :class:`Request`.
    """
    profile = study.profile
    others = [other for other in profile.cells if other.forget == cell.forget]
    runs = [cell, *(other for other in others if other != cell)]
    for made, name in ((cell, "original"), (cell, method), *((run, "retrain") for run in runs)):
        study.made(made, name)
    kind, _, path = profile.dataset.partition(":")
    settings = profile.neighborhoods[profile.headline]
    return Request(
        original=study.path(cell, "original"),
        unlearned=study.path(cell, method),
        oracles=tuple(study.path(run, "retrain") for run in runs),
        images=str(find_folder(path)) if kind == "folder" else profile.dataset,
        forget=tuple(study.dataset.class_names[c] for c in cell.forget),
        arch=profile.model["name"],
        width=profile.model["width"],
        mean=tuple(study.blank.mean.tolist()),
        std=tuple(study.blank.std.tolist()),
        size=profile.size,
        name=method,
        epsilon=settings.get("epsilon") or settings["sigma"],
        quick=quick,
        device=study.device.type,
    )
