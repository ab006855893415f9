"""Files of pictures: PNG and PDF, whole, equal where figures are equal, and small."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt
from drawn import PICTURES

from spotter_core.plots import save_figure, use_style
from spotter_core.plots.inks import THEMES

SOME = ("plot_slices", "plot_embedding", "plot_battery", "plot_ou_parts")


@pytest.fixture(autouse=True)
def restored():
    with mpl.rc_context():
        yield
    plt.close("all")


def figure_of(name):
    return np.asarray(PICTURES[name](), dtype=object).reshape(-1)[0].figure


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.mark.parametrize("name", SOME)
def test_equal_figures_give_equal_bytes_of_both_kinds_and_no_file_is_large(name, tmp_path):
    use_style()
    for number in "ab":
        save_figure(figure_of(name), tmp_path / number / "it.png")
    first = digests(tmp_path / "a")
    assert set(first) == {"it.png", "it.pdf"}
    assert first == digests(tmp_path / "b")
    data = (tmp_path / "a" / "it.pdf").read_bytes()
    assert b"CreationDate" not in data
    assert b"atplotlib" not in data
    assert len(data) < 400_000


def test_bytes_do_not_hang_on_the_process_nor_on_fonts_or_a_display(tmp_path):
    """The second process finds no display, no fonts of the system's and no settings."""
    code = (
        "import sys; sys.path.insert(0, 'tests'); from test_plots_saving import *; use_style(); "
        "save_figure(figure_of('plot_ou_parts'), Path(sys.argv[1]) / 'it.png')"
    )
    root = Path(__file__).parents[1]
    bare = {"HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "new"), "PATH": ""}
    for seed, others in (("1", os.environ), ("2", bare)):
        folder, environment = tmp_path / seed, {**others, "PYTHONHASHSEED": seed}
        call = [sys.executable, "-c", code, str(folder)]
        subprocess.run(call, check=True, cwd=root, env={**environment, "PYTHONPATH": str(root)})
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_a_dense_cloud_is_pixels_in_the_pdf_and_the_figure_stays_as_it_was(tmp_path):
    figure, ax = plt.subplots()
    cloud = ax.scatter(*np.random.default_rng(0).normal(size=(2, 20_000)))
    save_figure(figure, tmp_path / "it.png")
    assert (tmp_path / "it.pdf").stat().st_size < 150_000
    assert not cloud.get_rasterized()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    figure, _ = plt.subplots()
    save_figure(figure, tmp_path / "it.png")
    before = digests(tmp_path)

    def broken(self, *args, **kwargs):
        raise RuntimeError("no ink")

    monkeypatch.setattr(type(figure), "savefig", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        save_figure(figure, tmp_path / "it.png")
    assert digests(tmp_path) == before


@pytest.mark.parametrize("theme", THEMES)
def test_a_figure_is_saved_on_the_paper_it_was_drawn_on(theme, tmp_path):
    use_style(theme=theme)
    figure = figure_of("plot_training")
    use_style(theme="light")
    corner = plt.imread(save_figure(figure, tmp_path / "it.png"))[0, 0, :3]
    assert mpl.colors.to_hex(corner).upper() == THEMES[theme].paper
