"""Which studies' operations can be counted, and what their data sets hold.

Without torch: a plan asks before it advises anybody to count.
"""

from dataclasses import dataclass

from spotter_core.profiles import Profile


@dataclass(frozen=True)
class Full:
    """What a data set holds, as far as costs depend on it: images of a class, side, classes."""

    train: int
    test: int
    side: int
    classes: int


CIFAR10 = Full(5000, 1000, 32, 10)
KNOWN = {"cifar10": CIFAR10, "folder:cifar10-jpeg": CIFAR10}
CONVOLUTIONAL = ("resnet18",)
"""Networks that do hardly anything but convolutions, which alone are counted: matrix products of a
network can't be told from those of the attacks on features, which are timed instead."""


def refuse_uncountable(profile: Profile) -> None:
    """Raise ``ValueError`` if a study's operations can't be counted on a miniature of it."""
    if profile.dataset not in KNOWN:
        raise ValueError(
            f"profile {profile.name!r}: nobody knows how many images {profile.dataset!r} has; "
            f"known: {', '.join(KNOWN)}"
        )
    if profile.model["name"] not in CONVOLUTIONAL:
        raise ValueError(
            f"profile {profile.name!r}: only convolutions are counted, which are not all that "
            f"{profile.model['name']!r} does; countable: {', '.join(CONVOLUTIONAL)}. Run it, and "
            "have its costs measured"
        )


def is_countable(profile: Profile) -> bool:
    """Return whether a study's operations can be counted."""
    try:
        refuse_uncountable(profile)
    except ValueError:
        return False
    return True
