"""A study so small that its notebooks can be executed here while their operations are counted.

The data is made: images of noise, as many of a class as a share of the real one's; the network is
as narrow as it gets. What is counted of it is exact; what it says of the real study is
``counted``'s matter.
"""

import contextlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from spotter_core import auditing
from spotter_core.files import project_root
from spotter_core.frontends import STATIC
from spotter_core.measurements import training_attacks
from spotter_core.planning.countable import CIFAR10, KNOWN, Full, refuse_uncountable
from spotter_core.profiles import Cell, Profile, load_profile
from spotter_core.relearning import Reminiscence
from spotter_core.study import Study

log = logging.getLogger(__name__)
NAME = "miniature"
WIDTH = 4
CELL = "forget0-seed0"
ENOUGH = 3
"""Times as many retained images are measured as the share would leave: an attacker asks for fifty
of a class. What is counted of measurements is rather too high for it."""
EPOCHS = 2
"""Of the yardsticks' training, whose operations are a multiple of one epoch's."""


def shrunk(profile: Profile, folder: Path, share: int) -> dict[str, Any]:
    """Return the content of the miniature's profile file.

    Learning rates are tiny: no run diverges, which would leave its operations out.
    """
    small = replace(
        profile,
        dataset=f"folder:{folder}",
        model={**profile.model, "width": WIDTH},
        recipe={**profile.recipe, "learning_rate": 0.01, "epochs": EPOCHS},
        methods={n: {**own, **gentle(n)} for n, own in profile.methods.items()},
        forget=((0,),),
        seeds=(0,),
        ablation_seeds=(0,),
        attacked=(),
        by_stage=(),
        by_training=(),
        evaluated=None if profile.evaluated is None else ENOUGH * profile.evaluated // share,
        size=None,
        jobs=None,
        gpus=0,
        threads=torch.get_num_threads(),
    )
    content = {key: value for key, value in asdict(small).items() if key != "name"}
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]  # tuples become lists


def gentle(method: str) -> dict[str, float]:
    """Return a learning rate with which nothing diverges, for those methods that have one."""
    return {} if method in ("retrain", "ssd") else {"learning_rate": 1e-5}


def write_images(folder: Path, full: Full, share: int) -> None:
    """Write made images, a share of the real number, as a folder of classes."""
    draw = np.random.default_rng(0)
    for part, count in (("train", full.train // share), ("test", full.test // share)):
        for c in range(full.classes):
            place = folder / part / f"{c:03d}"
            place.mkdir(parents=True)
            for i in range(count):
                noise = draw.integers(0, 64, (full.side, full.side, 3)) + 16 * (c % 12)
                Image.fromarray(noise.astype(np.uint8)).save(place / f"{i}.png")


@contextlib.contextmanager
def miniature(profile: Profile, share: int) -> Iterator[Path]:
    """Yield the folder of a project that holds the miniature's profile alone; work goes on there.

    Args:
        profile: Whose study it is of.
        share: The images are divided by.

    Raises:
        ValueError: If the profile's data or network is one that nobody can count.
    """
    refuse_uncountable(profile)
    here, root, kept = Path.cwd(), project_root(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder, attackers_images(), untaught_networks():
        project = Path(folder).resolve()
        for name in ("notebooks", "spotter_core"):
            (project / name).symlink_to(root / name)
        (project / "profiles").mkdir()
        write_images(project / "images", KNOWN[profile.dataset], share)
        text = yaml.safe_dump(shrunk(profile, project / "images", share), sort_keys=False)
        (project / "profiles" / f"{NAME}.yaml").write_text(text, encoding="utf-8")
        os.environ |= {"XDG_CACHE_HOME": str(project), "MPLBACKEND": "Agg", STATIC: "1"}
        os.environ |= {"SPOTTER_DATA": str(project), "TQDM_DISABLE": "1"}
        os.chdir(project)
        try:
            yield project
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ |= kept


@contextlib.contextmanager
def attackers_images() -> Iterator[None]:
    """Hand the attacker of the Reminiscence as many images as there would be of CIFAR-10.

    He holds a share of a class's, of which few are left here.
    """
    images_of = Reminiscence.images_of
    real = CIFAR10.train * 9 // 10
    Reminiscence.images_of = lambda self, available: min(available, images_of(self, real))  # type: ignore[method-assign]
    try:
        yield
    finally:
        Reminiscence.images_of = images_of  # type: ignore[method-assign]


@contextlib.contextmanager
def untaught_networks() -> Iterator[None]:
    """Let an audit take a network that knows nothing, as after two epochs on so few images."""
    check = auditing.check_knows
    auditing.check_knows = lambda study: None
    try:
        yield
    finally:
        auditing.check_knows = check


# --- counting -------------------------------------------------------------------------------------


class Convolutions(TorchDispatchMode):
    """Adds up the operations of convolutions, forward and backward.

    Torch's own counter also follows modules, by hooks that ``autograd.grad`` refuses, which makes
    neighborhoods.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: float = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do what is asked for, and count it if it is a convolution."""
        out = func(*args, **(kwargs or {}))
        kind = func._overloadpacket
        if kind in flop_registry and "convolution" in str(kind):
            self.operations += flop_registry[kind](*args, **(kwargs or {}), out_val=out)
        return out


def counted(work: Callable[[], object]) -> float:
    """Return the operations, in 10^12, of the convolutions of a work."""
    with Convolutions() as found:
        work()
    return float(found.operations) / 1e12


def execute_here(name: str, run: Path) -> int:
    """Execute a notebook's code in this process on the miniature's one cell.

    Returns:
        How many of its cells found something untrue: a network that learned nothing fails many a
        check. It goes on behind them; any other error is one.
    """
    path = project_root() / "notebooks" / f"{name}.ipynb"
    values = {"profile": NAME, "run": str(run), "cells": [CELL], "figures": str(run / "figures")}
    names: dict[str, Any] = {"__name__": "__main__"}
    untrue = 0
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec("".join(cell["source"]), names)
        except AssertionError:
            untrue += 1
        if "parameters" in cell["metadata"].get("tags", []):
            names |= values
    return untrue


@dataclass
class Counts:
    """Operations by step, in 10^12, and how many checks failed on the way.

    Attributes:
        again: Of a notebook on one cell that is made.
        made: In addition where the cell is to be made, by it alone.
        untrue: Cells of notebooks whose checks failed.
    """

    again: dict[str, float]
    made: dict[str, float]
    untrue: int


def attacks_of_one_network(run: Path) -> float:
    """Return the operations of attacks that train, on one network that knows nothing.

    It takes longest of all: the others learn sooner, and the attacker stops.
    """
    study = Study(load_profile(NAME), root=run)
    cell = Cell.parse(CELL)
    study.dataset  # noqa: B018  # loaded before anything is counted
    return counted(lambda: training_attacks(study, cell, []))
