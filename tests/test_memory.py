import gc
import weakref

import pytest
import torch

from spotter_core.memory import is_out_of_memory, largest_fitting, out_of_memory, release

CPU = torch.device("cpu")
LINUX = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
WINDOWS = "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(LINUX),
        RuntimeError(WINDOWS),
        MemoryError(),
    ],
)
def test_memory_that_ran_out_is_recognised(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError(LINUX)]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


def test_the_allocator_of_this_machine_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("below", "limit", "size"),
    [(512, 100, 64), (512, 256, 256), (7, 1, 1), (8, 0, None), (1, 1, None)],
)
def test_sizes_are_halved_until_one_fits(below, limit, size):
    tried = []

    def trial(count):
        tried.append(count)
        if count > limit:
            raise MemoryError

    assert largest_fitting(trial, below) == size
    assert tried == sorted(tried, reverse=True)
    assert all(count < below for count in tried)


def test_a_size_that_fails_for_another_reason_is_not_recommended_either():
    def trial(count):
        raise ValueError("Expected more than 1 value per channel when training")

    assert largest_fitting(trial, 4) is None


def test_release_lets_go_of_what_the_failed_step_held():
    kept = []

    def fails():
        large = torch.zeros(1000)
        kept.append(weakref.ref(large))
        raise MemoryError

    try:
        fails()
    except MemoryError as error:
        assert kept[0]() is not None
        release(error)
        gc.collect()
        assert kept[0]() is None


def test_the_sentence_says_what_was_asked_what_came_and_what_to_do():
    error = RuntimeError("CUDA out of memory.\nmany more lines")
    fits = str(out_of_memory(error, CPU, 512, 64))
    assert fits.startswith("batch_size=512 needs more memory than cpu has (CUDA out of memory):")
    assert "batch_size=64 fits" in fits
    assert "not even a step of one image fits" in str(out_of_memory(error, CPU, 512, None))
