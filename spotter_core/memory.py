"""When memory runs out: recognised on every device, and answered with a size that fits.

Layer 0: knows neither networks nor images.
"""

import traceback
from collections.abc import Callable

import torch


class OutOfMemory(MemoryError):
    """The device has too little memory for a step; the sentence says what would fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, on a GPU or in torch's allocator on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()  # the CPU allocator raises a plain RuntimeError, worded by platform
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("not enough memory", "can't allocate memory", "out of memory")
    )


def release(error: BaseException) -> None:
    """Let go of the tensors that the frames of ``error`` hold, and of CUDA's own reserve."""
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def largest_fitting(trial: Callable[[int], object], below: int) -> int | None:
    """Return the first of ``below / 2``, ``below / 4``, … at which ``trial`` succeeds, or None."""
    size = below // 2
    while size >= 1:
        try:
            trial(size)
        except Exception as error:  # whatever its reason, a size that failed is not recommended
            release(error)
        else:
            return size
        size //= 2
    return None


def out_of_memory(
    error: BaseException, device: torch.device, batch_size: int, fits: int | None
) -> OutOfMemory:
    """Return the error to raise: batch size, what came, and the size that a trial showed to fit."""
    came = str(error).split("\n")[0].rstrip(". ") or type(error).__name__
    advice = (
        f"batch_size={fits} fits, a trial step says; try that"
        if fits
        else "not even a step of one image fits; take a narrower network or another device"
    )
    return OutOfMemory(
        f"batch_size={batch_size} needs more memory than {device} has ({came}): {advice}"
    )
