"""Unlearning methods by name; each in a file of its own, with what it reads and where it is from.

Layer 4. ``METHODS["spotter"](original, forget)`` returns an :class:`Unlearned` copy;
``METHODS["spotter"].with_settings(lambda_2=3.0)`` is the same method with another setting.
``METHODS["spotter+neggrad"]`` is a base method's loss under Spotter (plug-and-play).
"""

from pathlib import Path
from typing import Any

from torch import Generator

from spotter_core.data import ForgetSplit
from spotter_core.methods._base import (
    DescentMethod,
    ForgetOnlyMethod,
    Method,
    RetainMethod,
    Unlearned,
)
from spotter_core.methods.bad_teacher import BadTeacher
from spotter_core.methods.boundary_expand import BoundaryExpand
from spotter_core.methods.boundary_shrink import BoundaryShrink
from spotter_core.methods.delete import Delete
from spotter_core.methods.finetune import Finetune
from spotter_core.methods.l1_sparse import L1Sparse
from spotter_core.methods.neggrad import NegGrad
from spotter_core.methods.neggrad_plus import NegGradPlus
from spotter_core.methods.random_label import RandomLabel
from spotter_core.methods.retrain import Retrain
from spotter_core.methods.salun import SalUn
from spotter_core.methods.scrub import Scrub
from spotter_core.methods.spotter import Spotter, around
from spotter_core.methods.ssd import SSD
from spotter_core.methods.unsc import UNSC
from spotter_core.models import Classifier
from spotter_core.training import Watch

_ALONE: tuple[ForgetOnlyMethod | RetainMethod, ...] = (
    Retrain(),
    Finetune(),
    NegGrad(),
    NegGradPlus(),
    RandomLabel(),
    BoundaryShrink(),
    BoundaryExpand(),
    BadTeacher(),
    Scrub(),
    SalUn(),
    SSD(),
    L1Sparse(),
    UNSC(),
    Delete(),
    Spotter(),
)
METHODS: dict[str, ForgetOnlyMethod | RetainMethod] = {method.name: method for method in _ALONE}
"""Every method with its default settings; those that descend also as ``spotter+<base>``."""
METHODS |= {
    f"spotter+{base.name}": around(base)
    for base in _ALONE
    if isinstance(base, DescentMethod) and not isinstance(base, Spotter)
}


def find_method(name: str) -> ForgetOnlyMethod | RetainMethod:
    """Return the method of that name.

    Raises:
        ValueError: If there is none; lists those that are.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]


def unlearn(
    method: ForgetOnlyMethod | RetainMethod,
    original: Classifier,
    split: ForgetSplit,
    generator: Generator,
    watch: Watch | None = None,
    *,
    resume: Path | None = None,
    settings: str = "",
) -> Unlearned:
    """Run a method on a split; one that forgets from forget samples is handed nothing else.

    ``resume`` and ``settings`` are those of :func:`~spotter_core.training.fit`; only retraining is
    long enough to need them.
    """
    options: dict[str, Any] = {
        "forget_classes": split.forget_classes,
        "generator": generator,
        "watch": watch,
    }
    if not isinstance(method, ForgetOnlyMethod):
        options["retain"] = split.retain.train
    if isinstance(method, Retrain):
        options |= {"resume": resume, "settings": settings}
    return method(original, split.forget.train, **options)


__all__ = [
    "METHODS",
    "DescentMethod",
    "ForgetOnlyMethod",
    "Method",
    "RetainMethod",
    "Unlearned",
    "find_method",
    "unlearn",
]
