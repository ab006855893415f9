"""The search: what it may look at, how it chooses, and what its tables say, on a made study."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from spotter_core import equivalence, search
from spotter_core.attacks import Seen
from spotter_core.profiles import Cell, load_profile
from spotter_core.results import Row
from spotter_core.study import Study

CELL = Cell((3,), 0)


def seen(labels):
    labels = torch.tensor(labels)
    values = torch.arange(len(labels), dtype=torch.float64)[:, None]
    return Seen(values, values, labels)


PARTS = {
    "forget/validation": seen([3] * 7),
    "retain/validation": seen([0, 1, 2] * 5),
    "forget/test": seen([3] * 4),
    "retain/test": seen([0, 1]),
}


def test_on_validation_images_each_half_is_scored_once_and_never_chosen_on():
    folds = list(search.folds(PARTS, CELL, "validation"))
    assert len(folds) == 2
    (first, then), (again, before) = folds
    assert torch.equal(first.labels, before.labels)
    assert torch.equal(then.labels, again.labels)
    assert len(first.labels) + len(then.labels) == 22
    assert [int((part.labels == 3).sum()) for part in (first, then)] == [3, 4]
    together = torch.cat([first.features, then.features])[:, 0].sort().values
    assert torch.equal(together, search.joined(PARTS, "validation").features[:, 0].sort().values)


def test_test_images_are_scored_and_validation_images_chosen_on():
    ((chosen_on, scored),) = search.folds(PARTS, CELL, "test")
    assert len(chosen_on.labels) == 22
    assert scored.labels.tolist() == [3, 3, 3, 3, 0, 1]


def test_candidates_are_the_grid_and_every_ablation_leaves_one_setting_out():
    profile = load_profile("digits")
    known = search.candidates()
    assert len(known) == np.prod([len(values) for values in search.GRID.values()])
    method = search.configured(profile, **known["probe 0.5, mixture 0.3"])
    assert (method.probe, method.mixture) == (0.5, 0.3)
    assert method.twins == profile.methods["spotter"]["twins"]
    for settings in search.WITHOUT.values():
        assert len(settings) == 1
        assert search.configured(profile, **(known["probe 0.5, mixture 0.3"] | settings)) != method


def test_fresh_cells_share_no_class_and_no_seed_with_the_others(tmp_path):
    study = Study("digits", root=tmp_path)
    known = [*study.profile.cells, *map(Cell.parse, study.profile.tuning["cells"])]
    fresh = search.fresh_cells(study)
    assert [str(cell) for cell in fresh] == [
        *("forget1-seed200", "forget2-seed201", "forget4-seed202", "forget6-seed203"),
    ]
    assert not {c for cell in fresh for c in cell.forget} & {c for k in known for c in k.forget}
    assert not {cell.seed for cell in fresh} & {k.seed for k in known}


def rows_of(values, *, retain_loss=0.0, shift=0.01, forget=0.0, stage=True):
    """Rows of three cells of class 3 for each method; ``values[method]`` is a number or several."""
    rows = []
    for method, given in values.items():
        each = given if isinstance(given, list) else [given] * 3
        for seed, value in enumerate(each):

            def row(split, measure, value, method=method, seed=seed, **at):
                return Row("made", "mlp", method, "3", seed, split, measure, value, "", "", at)

            for attack, k in (("pra", 1), ("lda", 5)):
                at = {"attack": attack, "shots": k, "support": "own"}
                rows.append(row("forget/test", "relearned", value, **at))
                if stage:
                    rows.append(row("forget/test", "relearned", value, stage="body.0", **at))
            lost = 0.5 if (method, seed) == ("retrain", 3) else retain_loss
            rows += [
                row("retain/validation", "retain_loss", lost),
                row("retain/test", "retain_loss", retain_loss),
                row("forget/test", "accuracy", forget),
                row("forget/test", "conditional_shift", shift),
                row("forget/test", "mean_cosine", 0.5),
            ]
    return rows


LEVELS = {"retrain": [0.45, 0.5, 0.55, 0.0, 0.48, 0.52, 0.47, 0.53], "spotter": 0.1, "near": 0.5}


def test_a_method_passes_if_it_is_near_sound_and_shifts_no_more_than_spotter():
    table = equivalence.compared(rows_of(LEVELS), "test")
    assert table.index.tolist() == ["near", "spotter"]
    assert table["passes"].tolist() == [True, False]
    assert table["oracles"].tolist() == [7, 7]  # the one that lost half of its accuracy is left out
    assert table.loc["near", "stages"] == pytest.approx(table.loc["near", "largest"])


@pytest.mark.parametrize("fault", [{"retain_loss": 0.02}, {"shift": 0.02}, {"forget": 0.02}])
def test_what_is_near_but_damaged_does_not_pass(fault):
    others = {name: level for name, level in LEVELS.items() if name != "near"}
    table = equivalence.compared(rows_of(others) + rows_of({"near": 0.5}, **fault), "test")
    assert table.loc["near", "equivalent"]
    assert not table.loc["near", "passes"]
    assert np.isnan(equivalence.compared(rows_of(LEVELS, stage=False), "test")["stages"]).all()


def test_the_rule_takes_the_nearest_of_those_that_may_be_taken():
    table = pd.DataFrame(
        {"eligible": [False, True, True, True], "largest": [0.1, 0.3, 0.2, 0.0]},
        index=["damaged", "far", "close", "spotter"],
    )
    assert search.chosen(table, dict.fromkeys(["damaged", "far", "close"])) == "close"
    assert search.chosen(table.assign(eligible=False), {"damaged": 0, "far": 0}) == "damaged"


def test_tables_are_written_in_markdown():
    table = equivalence.regained_table(rows_of(LEVELS), "test")
    text = equivalence.in_markdown(table)
    assert text.splitlines()[0] == "|   | retrain | spotter | near |"
    assert "| pra 1 |" in text
    odd = pd.DataFrame({"a": [True, np.nan]}, index=["x", "y"], dtype=object)
    assert equivalence.in_markdown(odd).splitlines()[2:] == ["| x | yes |", "| y | – |"]


@pytest.mark.slow
def test_one_model_is_measured_without_a_look_at_a_test_image(tmp_path, monkeypatch):
    profile = load_profile("digits")
    recipe = profile.recipe | {"epochs": 3}
    study = Study(replace(profile, recipe=recipe), root=tmp_path)
    monkeypatch.setattr(search, "DRAWS", 2)
    part, asked = study.part, []
    monkeypatch.setattr(study, "part", lambda cell, where: asked.append(where) or part(cell, where))
    rows = search.measured(study, CELL, "mine", study.model(CELL, "original"), "validation")
    assert not any("test" in where for where in asked)
    assert not any("test" in row.split for row in rows)
    assert {row.measure for row in rows} == {
        *("relearned", "retain_loss", "accuracy", "mean_cosine", "conditional_shift"),
    }
    rows = search.measured(study, CELL, "mine", study.model(CELL, "original"), "test")
    assert {row.at["stage"] for row in rows if "stage" in row.at}
    assert any(row.split == "forget/test" for row in rows)
