"""How far a training has come, on disk: killed at any moment, it goes on at its last whole epoch.

Layer 2. Everything that the rest of the run depends on is kept, so that it ends with the same bits.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spotter_core.checkpoints import load_tensors, save_tensors

log = logging.getLogger(__name__)

SAVE_EVERY = 10.0
"""Seconds between two savings at least: a short training pays nothing."""

History = list[dict[str, float]]


def start_digest(tensors: Iterable[Tensor], *words: object) -> str:
    """Return 16 hex digits of where a training starts, so that no other one takes its file."""
    found = hashlib.sha256(json.dumps([str(word) for word in words]).encode())
    for tensor in tensors:
        found.update(str((tensor.dtype, tuple(tensor.shape))).encode())
        found.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return found.hexdigest()[:16]


@dataclass
class Progress:
    """The moving parts of a training and the file that they are kept in; none without a path.

    Weights, buffers, momentum, the schedule's position, ``generator`` and torch's global generators
    are saved; use it inside :func:`~spotter_core.runtime.global_seed_from`.
    """

    path: Path | None
    settings: str
    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    generator: Generator
    saved_at: float = field(default_factory=lambda: time.monotonic())

    def save(self, history: History) -> None:
        """Write the state after ``len(history)`` epochs, if the last writing is long enough ago."""
        if self.path is None or time.monotonic() - self.saved_at < SAVE_EVERY:
            return
        state = self.optimizer.state_dict()
        record = {
            "history": history,
            "groups": state["param_groups"],
            "schedule": self.schedule.state_dict(),
        }
        # clones, because safetensors refuses weights that share memory
        tensors = {name: value.clone() for name, value in self._tensors().items()}
        try:
            save_tensors(tensors, self.path, settings=self.settings, record=json.dumps(record))
        except OSError as error:  # a full disk takes the safety net away, not the training
            log.warning("%s; training goes on, but could not be resumed from here", error)
        self.saved_at = time.monotonic()

    def restore(self) -> History:
        """Put the state at the path back and return the epochs done; none if there is no true file.

        A file that is cut short, foreign or of other settings is left out with a warning.
        """
        if self.path is None or not self.path.is_file():
            return []
        try:
            tensors, text = load_tensors(self.path, settings=self.settings)
            record = json.loads(text)
            self._check(tensors)
        except ValueError as error:
            log.warning("%s; training starts anew", error)
            return []
        self._apply(tensors, record)
        history: History = record["history"]
        log.info("training goes on after epoch %d, kept in %s", len(history), self.path)
        return history

    def remove(self) -> None:
        """Delete the file: the training has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def _gpu(self) -> torch.device | None:
        device = next(self.model.parameters()).device
        return device if device.type == "cuda" else None

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            values = {name: value for name, value in state.items() if isinstance(value, Tensor)}
            found |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        found["generator"] = self.generator.get_state()
        found["random.cpu"] = torch.get_rng_state()
        if self._gpu is not None:
            found["random.cuda"] = torch.cuda.get_rng_state(self._gpu)
        return found

    def _check(self, tensors: dict[str, Tensor]) -> None:
        """Raise ``ValueError`` unless all weights and the generators' states are there."""
        for name, value in self._tensors().items():
            if name not in tensors or tensors[name].shape != value.shape:
                raise ValueError(f"checkpoint {self.path} lacks a fitting {name}")

    def _apply(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        weights = {
            name.removeprefix("model."): value
            for name, value in tensors.items()
            if name.startswith("model.")
        }
        self.model.load_state_dict(weights)
        state: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, entry = name.split(".")
                like = parameters[int(index)]  # the same memory layout as its parameter's
                state.setdefault(int(index), {})[entry] = torch.empty_like(like).copy_(value)
        self.optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
        self.schedule.load_state_dict(record["schedule"])
        self.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["random.cpu"])
        if self._gpu is not None:
            torch.cuda.set_rng_state(tensors["random.cuda"], self._gpu)
