import os

import pytest
import torch
from torch import nn

from spotter_core.runtime import (
    derive_seed,
    describe_run,
    evaluating,
    global_seed_from,
    pick_device,
    seeded_generator,
)

# --- devices and seeds ----------------------------------------------------------------------------


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device().type == "cuda"


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="'cuda:1' was asked for, but torch sees no GPU"):
        pick_device("cuda:1")


def test_a_seed_is_the_same_in_every_process_and_version():
    assert derive_seed(0, "unlearn", "spotter") == 1148165589657356898
    assert derive_seed() == 2858069222894195974


def test_a_seed_depends_on_every_part_and_on_where_it_ends():
    parts = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("c", "b", "a"), (0,), (1,), ()]
    seeds = {derive_seed(*p) for p in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_of_equal_parts_draw_equal_numbers():
    draws = [torch.rand(3, generator=seeded_generator(1, "fit")) for _ in range(2)]
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], torch.rand(3, generator=seeded_generator(2, "fit")))


def test_the_global_generator_is_seeded_inside_the_block_and_put_back_after_it():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    inside = []
    for seed in (1, 1, 2):
        with global_seed_from(torch.Generator().manual_seed(seed)):
            inside.append(torch.rand(3))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(inside[0], inside[1])
    assert not torch.equal(inside[0], inside[2])


def test_the_global_generator_is_put_back_when_the_block_raises(generator):
    before = torch.get_rng_state()
    with pytest.raises(KeyError), global_seed_from(generator):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_two_blocks_from_one_generator_differ(generator):
    with global_seed_from(generator):
        first = torch.rand(3)
    with global_seed_from(generator):
        assert not torch.equal(torch.rand(3), first)


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_evaluating_puts_mixed_modes_back(fails):
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(), nn.Linear(2, 2)))
    network[0].eval()
    network[1][0].eval()
    modes = [module.training for module in network.modules()]
    assert len(set(modes)) == 2
    try:
        with evaluating(network):
            assert not any(module.training for module in network.modules())
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert [module.training for module in network.modules()] == modes


# --- surroundings ---------------------------------------------------------------------------------


def test_a_run_is_described_in_words_without_names_of_machine_or_user():
    about = describe_run()
    assert all(isinstance(value, str) and value for value in about.values())
    assert about["torch"] == torch.__version__
    assert os.sep not in about["executable"]
