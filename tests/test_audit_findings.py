"""What an audit says, from made rows: numbers, thresholds, sentences, result files, their table."""

import json
import math
from dataclasses import replace

import pytest
from damage import damages

from spotter_core.findings import MEASURES, Judged, flags_of, judge, numbers_of
from spotter_core.leaderboard import main, table_of
from spotter_core.result_files import Result, load_result, save_result
from spotter_core.results import Row, to_frame
from spotter_core.scores import against_oracles, regained
from spotter_core.sentences import sentences

ATTACKS = ("pra", "nearest_mean", "nearest_image", "linear_probe")
REGAINED = {"original": 1.0, "mine": 0.6, "untrained": 0.3}


def row(method, split, measure, value, *, seed=0, unit="fraction", **at):
    return Row("made", "net", method, "3", seed, split, measure, value, unit, "x", at)


def made_rows(*, oracles=(0.2, 0.3, 0.4), mine=0.6):
    """Rows of an audit in which every attack regains what its method says."""
    values = {**REGAINED, "mine": mine}
    runs = [(m, v, 0) for m, v in values.items()]
    runs += [("retrain", v, seed) for seed, v in enumerate(oracles)]
    rows = []
    for method, value, seed in runs:
        for support in ("own", "shuffled"):
            for attack in ATTACKS:
                at = {"attack": attack, "shots": 5, "support": support, "seed": seed}
                hit = value if support == "own" else 0.05
                rows.append(row(method, "forget/test", "relearned", hit, **at))
                rows.append(row(method, "retain/test", "relearned", 0.9, **at))
        at = {"attack": "linear_probe", "shots": 5, "support": "own", "stage": "conv"}
        rows.append(row(method, "forget/test", "relearned", 0.99, seed=seed, **at))
        for attack, shots, hit in (("int8", 0, 0.1), ("fine_tuning", 5, 0.8)):
            at = {"attack": attack, "shots": shots, "support": "own"}
            rows.append(row(method, "forget/test", "relearned", hit, seed=seed, **at))
            control = at | {"support": "never seen"}
            rows.append(row(method, "forget/test", "relearned", 0.1 * hit, seed=seed, **control))
        if method == "untrained":
            continue
        forget, retain = (1.0, 0.95) if method == "original" else (0.0, 0.9)
        rows.append(row(method, "forget/test", "accuracy", forget, seed=seed))
        rows.append(row(method, "retain/test", "accuracy", retain, seed=seed))
        rows.append(row(method, "forget/test", "mean_cosine", value, seed=seed))
        for measure in ("over_unlearning", "conditional_shift"):
            at = {"neighborhood": "PGD toward", "seed": seed, "unit": "nats"}
            rows.append(row(method, "forget/test", measure, value / 10, **at))
        for near, shift, points in (("neighbors", 0.4, 1), ("neighbors", 0.1, 2), ("others", 9, 9)):
            at = {"near": near, "points": points, "retained": f"c{points}", "seed": seed}
            rows.append(row(method, "retain/test", "conditional_shift", shift, **at))
    return rows


def result(rows=None, **claim):
    told = {"method": "mine", "forgets": ["cat"], "reads": "forget", **claim}
    attacker = {
        "weights": True,
        "forget_images": [5],
        "retained_images": True,
        "allowed_loss": 0.01,
    }
    settings = {"shots": 5, "num_classes": 10, "epsilon": 0.03, "oracles": 3}
    versions = {"python": "3", "torch": "2", "spotter_core": "0"}
    return Result(told, attacker, settings, versions, made_rows() if rows is None else rows)


def by_name(rows):
    return {number.name: number for number in numbers_of(rows, "mine", 5)}


# --- numbers ----------------------------------------------------------------------------------


def test_every_number_stands_beside_its_yardsticks():
    found = by_name(made_rows())
    worst = found["head_worst"]
    assert worst.value == pytest.approx(0.6)
    assert worst.oracle == pytest.approx(0.3)
    assert worst.spread == pytest.approx(0.1)
    assert (worst.original, worst.untrained) == pytest.approx((1.0, 0.3))
    assert found["head_excess"].value == pytest.approx(0.3)
    assert found["head_excess"].spread == pytest.approx(0.1)
    assert found["retain_accuracy_lost"].value == pytest.approx(0.05)
    assert found["over_unlearning"].value == pytest.approx(0.06)
    assert found["neighbors_shift"].value == pytest.approx(0.2)
    assert found["layer_worst"].value == pytest.approx(0.99)
    assert found["for_nothing"].value == pytest.approx(0.1)
    assert found["fine_tuning"].value == pytest.approx(0.8)
    assert math.isnan(found["mean_cosine"].untrained)


def test_without_an_oracle_everything_but_the_excess_is_there():
    rows = made_rows(oracles=())
    found = by_name(rows)
    assert "head_excess" not in found
    assert math.isnan(found["head_worst"].oracle)
    assert {flag.name for flag in flags_of(rows, 5, 0.1)} == set()
    told = " ".join(sentences(found.values(), 5))
    assert "can't be said without an oracle" in told
    with pytest.raises(ValueError, match="without a retrained oracle"):
        against_oracles(regained(to_frame(rows[:8]), 5))


@pytest.mark.parametrize(
    ("mine", "words"),
    [(0.6, "30.0 points more"), (0.05, "25.0 points less"), (0.4, "gives that never saw")],
)
def test_the_distance_from_the_oracles_is_told_in_either_direction(mine, words):
    assert words in " ".join(sentences(by_name(made_rows(mine=mine)).values(), 5))


def test_thresholds_are_the_most_or_of_what_is_better_higher_the_least():
    numbers = list(by_name(made_rows()).values())
    most, least = judge(numbers, {"head_worst": 0.6, "retain_accuracy": 0.95})
    assert not most.exceeded
    assert least.exceeded
    assert not judge(numbers, {"retain_accuracy": 0.9})[0].exceeded
    assert Judged("pra", 1.0, math.nan).exceeded
    with pytest.raises(ValueError, match="threshold 'accuracy' is unknown; expected one of forget"):
        judge(numbers, {"accuracy": 1.0})
    with pytest.raises(ValueError, match="threshold knn_purity: it was not measured; there are"):
        judge(numbers, {"knn_purity": 1.0})


def test_every_measure_says_what_it_means():
    for measure in MEASURES.values():
        assert measure.meaning.endswith(".")
        assert measure.unit in ("fraction", "nats", "cosine")


# --- one file a model -------------------------------------------------------------------------


def test_a_result_is_read_as_it_was_written(tmp_path):
    made = result(says="nothing is left", source="a paper")
    save_result(tmp_path / "mine.json", made)
    found = load_result(tmp_path / "mine.json")
    assert found == made
    before = (tmp_path / "mine.json").read_bytes()
    save_result(tmp_path / "again.json", found)
    assert (tmp_path / "again.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claim": {"method": "mine", "forgets": [], "reads": "forget"}}, "claim/forgets"),
        ({"claim": {"method": "mine", "forgets": ["a"], "reads": "all"}}, "claim/reads: 'all'"),
        ({"claim": {"method": "other", "forgets": ["a"], "reads": "forget"}}, "no row of 'other'"),
        ({"threat_model": {}}, "threat_model: 'weights' is a required"),
        (
            {"settings": {"shots": 0, "num_classes": 2, "epsilon": 1, "oracles": 0}},
            "settings/shots",
        ),
        ({"versions": {"python": "3"}}, "versions: 'torch' is a required"),
        ({"rows": []}, "rows: "),
        ({"rows": [row("mine", "forget/test", "accuracy", 0.0)]}, "no row of 'original'"),
        ({"rows": [row("mine", "forget/test", "accuracy", "high")]}, "rows/0/7: 'high' is not"),
        ({"rows": [*made_rows(), row("mine", "a", "b", math.nan)]}, "not finite"),
    ],
)
def test_a_result_that_breaks_the_format_is_neither_written_nor_read(tmp_path, change, message):
    path = tmp_path / "mine.json"
    broken = replace(result(), **change)
    with pytest.raises(ValueError, match=f"result .*mine.json.*{message}"):
        save_result(path, broken)
    assert not path.exists()
    save_result(path, result())
    content = json.loads(path.read_text())
    if "rows" in change:
        content["rows"] = [list(vars(r).values()) for r in change["rows"]]
    else:
        content |= change
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"result .*mine.json.*{message}"):
        load_result(path)


def test_a_result_with_any_byte_changed_or_cut_off_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    save_result(path, result())
    for data in damages(path.read_bytes(), step=31):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"result .*mine\.json"):
            load_result(path)


def test_a_result_that_others_wrote_needs_no_digest(tmp_path):
    path = tmp_path / "mine.json"
    save_result(path, result())
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content))  # in their layout, with our digest
    with pytest.raises(ValueError, match=r"result .* does not match its digest.*take the key"):
        load_result(path)
    del content["digest"]
    path.write_text(json.dumps(content))
    assert load_result(path) == result()


def test_what_is_no_result_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ValueError, match=r"result .*x\.json can't be read"):
        load_result(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"format": "spotter-rows-1"}')
    with pytest.raises(ValueError, match=r"result .*x\.json at "):
        load_result(tmp_path / "x.json")


# --- a table of them --------------------------------------------------------------------------


def named(rows, method):
    return [replace(r, method=method) if r.method == "mine" else r for r in rows]


def test_a_table_ranks_by_distance_from_the_oracles_within_a_block():
    hidden = result(named(made_rows(mine=0.0), "hidden"), method="hidden")
    near = result(named(made_rows(mine=0.35), "near"), method="near")
    alone = result(named(made_rows(oracles=()), "alone"), method="alone")
    table = table_of([result(), hidden, alone, near])
    lines = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert lines[0] == "method"
    assert lines[2] == "near"
    assert set(lines[3:5]) == {"mine", "hidden"}
    assert lines[5] == "alone"
    assert "| 5.0 ± 10.0 |" in table
    assert table.count("## made, net: forgetting cat; k = 5, ε = 0.03") == 1
    other = replace(result(), settings={**result().settings, "epsilon": 0.1})
    assert table_of([result(), other]).count("## made") == 2


def test_the_command_writes_the_table_of_a_folder(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no result" in capsys.readouterr().err
    save_result(tmp_path / "a" / "mine.json", result())
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "| mine | forget |" in printed
    assert main([str(tmp_path), "--out", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == printed
    (tmp_path / "bad.json").write_text("{}")
    assert main([str(tmp_path)]) == 2
    assert "bad.json" in capsys.readouterr().err
