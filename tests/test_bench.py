import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bench
import gpu
import pytest
import torch
from benchmarks.network import Stage, made_network, neighborhood_row, spotter_rows
from benchmarks.plain import perturb_plainly, plain_copy
from benchmarks.table import Alone, Rate, Row, near
from torch import Generator

from spotter_core.neighborhoods import BoundaryNeighborhood
from spotter_core.profiles import Cell, load_profile

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ({}, "–"),
        ({"target": 2.0}, "2 s, met"),
        ({"target": 0.5}, "500 ms, **missed**"),
        ({"times": 4.0}, "4×, met"),
        ({"times": 4.1, "but": "no luck"}, "4.1×, **missed**: no luck"),
    ],
)
def test_a_row_says_whether_its_promise_is_kept(promise, words):
    row = Row("work", 1.0, 4.0, "slow", **promise)
    assert row.promise == words
    assert str(row) == f"| work | 1 s | {words} | 4 s | 4 | slow |"


def test_a_row_without_a_plain_way_says_whether_its_promise_is_kept():
    assert str(Alone("work", 61.0, 60.0)) == "| work | 61 s | 60 s, **missed** | – | – | – |"
    assert "met" in str(Alone("work", 59.0, 60.0))


def test_a_rate_says_its_share_of_the_ceiling():
    rate = Rate("work", 1234.0, 2e12, 8e12, "float32")
    assert str(rate) == "| work | 1,234 | 2 | 8 | 25% | float32 |"


def test_rows_are_chosen_by_name():
    assert bench.chosen("spotter,attacks") == ["spotter", "attacks"]
    assert bench.chosen("") == [*bench.PARTS, *bench.NETWORKS]
    with pytest.raises(bench.argparse.ArgumentTypeError, match="unknown rows twins; known: sweep"):
        bench.chosen("spotter,twins")


def test_results_that_differ_stop_the_benchmark():
    near(torch.ones(4), torch.ones(4) + 1e-4, 1e-3)
    with pytest.raises(AssertionError, match=r"differ by 0\.5 of the result"):
        near(torch.ones(4), torch.full((4,), 2.0), 1e-3)


def test_the_plain_network_computes_what_ours_does_in_double_precision():
    ours = made_network(8, CPU).double()
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64, generator=Generator().manual_seed(1))
    torch.testing.assert_close(plain_copy(ours).double()(images), ours(images))


def test_the_plain_neighborhood_is_ours_where_nothing_is_rounded():
    ours = made_network(8, CPU).double()
    plain = plain_copy(ours).double()
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64, generator=Generator().manual_seed(1))
    labels, settings = torch.zeros(4, dtype=torch.int64), BoundaryNeighborhood()
    expected = settings(ours, images, labels, [0], generator=Generator().manual_seed(2))
    found = perturb_plainly(plain, images, [0], settings, Generator().manual_seed(2), 3)
    torch.testing.assert_close(found, expected)


def test_the_rows_of_networks_run_at_a_small_size():
    stage = Stage(CPU, width=8, images=4, runs=1)  # compares both ways, or raises
    assert neighborhood_row(stage).ratio > 0.0
    row, rate = spotter_rows(stage)
    assert row.times == 4.0
    assert rate.flops > 0.0
    assert "batch 4" in str(row)


def test_the_script_for_gpus_does_without_cachetools():
    code = (
        "import sys; sys.modules['cachetools'] = None\n"
        "import benchmarks, spotter_core.workshop\n"
        "from spotter_core.workshop import LRUCache\n"
        "kept = LRUCache(1, getsizeof=len); kept['a'], kept['b'] = 'long', 'longer'\n"
        "assert len(kept) == 2\n"
    )
    folder = str(Path(bench.__file__).parent)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


@pytest.mark.slow
def test_the_script_for_gpus_measures_all_it_promises(tmp_path):
    profile, dataset = gpu.small(load_profile("cifar10"), gpu.made_dataset())
    kept = {name: profile.methods[name] for name in ("retrain", "finetune", "delete", "spotter")}
    near = {name: profile.neighborhoods[name] for name in ("PGD toward", "Gaussian")}
    profile = replace(
        profile,
        label="made images",
        dataset="made",
        model={"name": "resnet18", "width": 8},
        methods=kept,
        neighborhoods=near,
        curves=["PGD toward"],
        threads=1,
    )
    report = gpu.measure(profile, dataset, Cell((0,), 0), tmp_path, tiny=True)
    assert list(report.signs) == ["original", "retrain", "delete", "spotter"]
    assert {len(values) for values in report.signs.values()} == {5}
    parts = [took.work for took in report.took]
    assert any(part.startswith("original: 1 epochs") for part in parts)
    assert sum(part.startswith("measurement") for part in parts) == len(gpu.MEASUREMENTS)
    assert len(report.bench) == 3
    assert len(report.rates) == 2
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert content["about"]["data"] == "made images"
    assert {row["plain_is"] for row in content["bench"]}
    assert (tmp_path / "gpu.md").read_text() == report.text()
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == len(report.rows) > 100
