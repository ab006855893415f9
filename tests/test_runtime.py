import os

import pytest
import torch
from torch import nn

from spotter_core.runtime import (
    derive_seed,
    describe_precision,
    describe_run,
    evaluating,
    full_precision,
    global_seed_from,
    has_bfloat16,
    mixed_precision,
    pick_device,
    repeatable_kernels,
    seeded_generator,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)

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


# --- precision ------------------------------------------------------------------------------------

PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def set_hardware(monkeypatch, *, bfloat16):
    for name in PROBES:
        monkeypatch.setattr(torch.cpu, name, lambda: bfloat16, raising=False)


def product():
    return torch.ones(2, 2) @ torch.ones(2, 2)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (9, 0)])
def test_a_gpu_has_bfloat16_from_capability_eight_on(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bfloat16(GPU) == (capability >= (8, 0))


def test_a_cpu_has_bfloat16_where_torch_finds_its_instructions(monkeypatch):
    set_hardware(monkeypatch, bfloat16=True)
    assert has_bfloat16(CPU)
    set_hardware(monkeypatch, bfloat16=False)
    assert not has_bfloat16(CPU)
    for name in PROBES:
        monkeypatch.delattr(torch.cpu, name)  # private, so a later torch may lack them
    assert not has_bfloat16(CPU)
    assert not has_bfloat16(torch.device("meta"))


@pytest.mark.parametrize(
    ("precision", "hardware", "dtype"),
    [
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("float32", True, torch.float32),
        ("bfloat16", False, torch.bfloat16),
    ],
)
def test_auto_follows_the_hardware_and_the_rest_is_done_as_said(
    monkeypatch, precision, hardware, dtype
):
    set_hardware(monkeypatch, bfloat16=hardware)
    with mixed_precision(CPU, precision):
        assert product().dtype == dtype
    assert product().dtype == torch.float32
    words = describe_precision(CPU, precision)
    assert ("bfloat16" in words) == (dtype == torch.bfloat16)


def test_a_precision_without_meaning_is_refused():
    said = "precision must be one of auto, float32, bfloat16; got 'half'"
    with pytest.raises(ValueError, match=said), mixed_precision(CPU, "half"):
        pass


def test_full_precision_holds_inside_a_coarser_block():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with full_precision(CPU):
            assert product().dtype == torch.float32
        assert product().dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
@pytest.mark.parametrize("fails", [False, True])
def test_on_a_gpu_tf32_is_off_and_kernels_repeat_inside_the_block_alone(fails):
    def switches():
        return (
            torch.backends.cudnn.conv.fp32_precision,
            torch.backends.cuda.matmul.fp32_precision,
            torch.backends.cudnn.deterministic,
        )

    before = switches()
    try:
        with full_precision(GPU), repeatable_kernels(GPU):
            assert switches() == ("ieee", "ieee", True)
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert switches() == before
    with full_precision(CPU), repeatable_kernels(CPU):
        assert switches() == before


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


def test_a_run_tells_its_precision_when_it_is_given(monkeypatch):
    set_hardware(monkeypatch, bfloat16=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert describe_run("auto") == {**describe_run(), "precision": "float32"}
    assert describe_run("bfloat16")["precision"].startswith("trained in bfloat16")
