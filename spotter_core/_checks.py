"""Argument checks: every sentence names the argument, what came, what was expected, what to do.

Layer 0: nothing but tensors comes in; nothing is changed.
"""

import operator
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class NotFinite(ValueError):
    """Logits hold NaN or +inf: the network that made them has diverged."""


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    known = sorted(choices)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def check_positive(**numbers: float) -> None:
    """Raise ``ValueError`` unless every keyword's value is a number above zero."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def check_fraction(**numbers: float) -> None:
    """Raise ``ValueError`` unless every keyword's value lies in ``[0, 1]``."""
    for name, value in numbers.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {value}")


def check_unit_images(images: Tensor) -> None:
    """Raise ``ValueError`` unless ``images`` are floats in ``[0, 1]``, one or more of them."""
    if not images.is_floating_point():
        raise ValueError(
            f"images must be floating point in [0, 1], got {images.dtype}: "
            "divide bytes by 255 first (ImageSet.pixels() does)"
        )
    if images.ndim < 2 or len(images) == 0:
        raise ValueError(f"images must be (N, ...) with N >= 1, got shape {tuple(images.shape)}")
    low, high = (bound.item() for bound in images.detach().aminmax())
    if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
        raise ValueError(
            f"images must lie in [0, 1], got [{low:.3g}, {high:.3g}]: "
            "pass raw pixels, the network normalises them itself"
        )


def check_forget_classes(forget_classes: Sequence[int], num_classes: int) -> tuple[int, ...]:
    """Return ``forget_classes`` as a sorted tuple of ints.

    Raises:
        ValueError: If empty, holding duplicates, out of ``[0, num_classes)``, or all classes.
    """
    classes = [operator.index(c) for c in forget_classes]  # 0.9 and "1" are no classes
    hint = f"expected distinct class indices in [0, {num_classes})"
    if not classes:
        raise ValueError(f"forget_classes is empty: {hint}, at least one")
    if len(set(classes)) != len(classes):
        raise ValueError(f"forget_classes holds duplicates: got {classes}; {hint}")
    if min(classes) < 0 or max(classes) >= num_classes:
        raise ValueError(f"forget_classes is out of range: got {classes}; {hint}")
    if len(classes) == num_classes:
        raise ValueError(
            f"forget_classes names all {num_classes} classes: at least one must be retained"
        )
    return tuple(sorted(classes))


def check_logits(**logits: Tensor) -> None:
    """Raise ``ValueError`` unless every keyword is ``(N, C)``, floating point, free of NaN.

    ``-inf`` is a legal logit (a class of probability 0), ``+inf`` is not; NaN and ``+inf`` raise
    ``NotFinite``, a kind of ``ValueError``.
    """
    for name, value in logits.items():
        if value.ndim != 2 or not value.is_floating_point():
            raise ValueError(
                f"{name} must be a floating-point (N, C) tensor, "
                f"got {value.dtype} of shape {tuple(value.shape)}"
            )
        # NaN < inf is False, so one comparison finds both NaN and +inf
        if not bool((value.detach() < torch.inf).all()):
            rows = (~(value.detach() < torch.inf)).any(dim=1).nonzero().flatten().tolist()
            raise NotFinite(
                f"{name} holds NaN or +inf in {len(rows)} of {len(value)} rows "
                f"(first: row {rows[0]}): the network that made them has diverged; "
                "lower its learning rate or check its inputs"
            )


def check_same_shape(**tensors: Tensor) -> None:
    """Raise ``ValueError`` unless all keyword tensors have one shape."""
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"shapes differ: {listed}; expected outputs for the same samples and classes"
        )


def check_labels(labels: Tensor, count: int) -> None:
    """Raise ``ValueError`` unless ``labels`` are ``(count,)`` integers."""
    if labels.ndim != 1 or labels.is_floating_point() or len(labels) != count:
        raise ValueError(
            f"labels must be integers of shape ({count},), one for each sample; "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )


def check_shots(shots: int, available: int, forget_class: int) -> None:
    """Raise ``ValueError`` unless ``1 <= shots <= available`` samples of ``forget_class``."""
    if shots < 1:
        raise ValueError(f"shots must be at least 1, got {shots}")
    if shots > available:
        raise ValueError(
            f"shots is {shots}, but only {available} samples of forget class {forget_class} "
            "were passed: pass more samples or lower shots"
        )
