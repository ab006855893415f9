import math
import re
from dataclasses import replace
from itertools import product

import pandas as pd
import pytest

from spotter_core.claims import (
    COLUMNS,
    Claim,
    as_published,
    blocks,
    claims_table,
    judge,
    main_table,
    per_cell,
    published_table,
    relevant,
    to_markdown,
    worst_base,
)
from spotter_core.comparison import AS_PUBLISHED, CORRECTED, PUBLISHED, THEIRS, nearest
from spotter_core.results import Row, bootstrap_interval, to_frame

CELLS = [("3", 0), ("3", 1), ("8", 0), ("8", 1)]
PLAIN = Row("Digits", "cnn-4", "", "", 0, "forget/test", "", 0.0, "fraction", "0123456789ab")
# What each method is given in every cell; a list is one value a cell.
GOOD = {
    "original": {"forget": 1.0, "retain": 0.98, "ou": 0.6, "pra": 1.0, "read": None},
    "retrain": {"forget": 0.0, "retain": 0.97, "ou": 0.2, "pra": 0.9, "read": 1000},
    "finetune": {"forget": 0.1, "retain": 0.98, "ou": 0.5, "pra": 0.9, "read": 500},
    "neggrad": {"forget": 0.0, "retain": 0.90, "ou": 0.4, "pra": 0.5, "read": 0},
    "spotter": {"forget": 0.0, "retain": 0.975, "ou": 0.016, "pra": 0.005, "read": 0},
    "spotter+neggrad": {"forget": 0.0, "retain": 0.97, "ou": 0.9, "pra": 0.1, "read": 0},
}


def rows_of(methods):
    """Rows as the measurements write them, with values that are known; ``None``: it diverged."""
    rows = []
    for (method, given), (i, (forget, seed)) in product(methods.items(), enumerate(CELLS)):
        has = {key: v[i] if isinstance(v, list) else v for key, v in given.items()}
        row = replace(PLAIN, method=method, forget=forget, seed=seed)
        if has.get("diverged"):  # each of the measurements says so
            rows.extend([replace(row, split="", measure="diverged", value=1.0, unit="flag")] * 2)
            continue

        def add(measure, value, split="forget/test", row=row, **at):
            rows.append(replace(row, measure=measure, value=value, split=split, at=at))

        add("accuracy", has["forget"])
        add("accuracy", has["retain"], "retain/test")
        add("accuracy", 0.123, "forget/train")
        add("accuracy", has["retain"] + 0.01 + 0.001 * i, "retain/train")
        add("accuracy", 0.321, "retain/test", retained="7")  # of one class: not the whole
        add("accuracy", 0.456, setting="lambda_2", setting_value=0.0)  # of an ablation
        if has["read"] is not None:
            add("images_read", 77, "forget/train")
            add("images_read", has["read"], "retain/train")
        for neighborhood, scale in (("PGD toward", 1.0), ("uniform", 0.1)):
            add("over_unlearning", scale * has["ou"], neighborhood=neighborhood)
            add("over_unlearning", 0.654, "forget/train", neighborhood=neighborhood)
            add("residual_forget_mass", scale * has["ou"] / 10, neighborhood=neighborhood)
            add("conditional_shift", scale * has["ou"] / 2, neighborhood=neighborhood)
        add("conditional_shift", 0.777, neighborhood="PGD toward", retained="7")
        add("over_unlearning", has["ou"] + 0.0123, "forget/train", neighborhood="published PGD")
        add("over_unlearning", 0.456, neighborhood="published PGD")
        for shots, alpha, metric, scale in product((5, 10), (0.5, 1.0), ("cosine", "l2"), (0, 1)):
            if metric == "cosine":  # the best alpha is 1 without a scale and 0.5 with one
                share = has["pra"] * (0.5 if (alpha == 1.0) == bool(scale) else 1.0)
                share *= (0.75 if shots == 5 else 1.0) * (
                    {"retrain": 1.1}.get(method, 0.8) if scale else 1.0
                )
            else:
                share = 0.999
            at = {"shots": shots, "alpha": alpha, "metric": metric, "scale": float(scale)}
            add("pra_accuracy", share, **at)
            seen = 0.3 * alpha + 0.1 * has["pra"] + 0.01 * i
            as_published = metric == "cosine" and not scale and shots == 5
            add("pra_accuracy", seen if as_published else 0.987, "forget/train", **at)
        add("mean_cosine", 0.25)
        add("mean_cosine", 0.75, "retain/test")
        if forget == "3":  # the other class was not attacked
            rows.extend(battery_rows(row, has["pra"]))
    return rows


def battery_rows(row, share):
    """What the battery writes: attacks at several k, controls, stages; the worst here is LDA."""
    known = {"pra_calibrated": 0.5 * share, "lda": 0.8 * share + 0.01 * row.seed}
    tried = [(name, 5, "own", value, {}) for name, value in known.items()]
    tried += [("int8", 0, "own", 0.1 * share, {}), ("full_probe", None, "own", 1.0, {})]
    tried += [("lda", 10, "own", 0.999, {}), ("lda", 5, "shuffled", 0.999, {})]
    tried += [("lda", 5, "own", 0.999, {"stage": "body.0"})]
    for attack, shots, support, value, more in tried:
        at = {"attack": attack, "support": support, **more} | ({"shots": shots} if shots else {})
        at = at | ({"shots": 0} if shots == 0 else {})
        yield replace(row, measure="relearned", value=value, at=at)
        yield replace(row, measure="relearned", value=0.5, split="retain/test", at=at)
    for end, value in (("", 0.1), ("_low", 0.05), ("_high", 0.15)):
        at = {"attack": "worst", "support": "own", "shots": 5}
        yield replace(row, measure=f"excess{end}", value=value, at=at)


def frame_of(**changes):
    """The good study with some values changed: ``spotter={"ou": [...]}``."""
    names = {name.replace("+", "_"): name for name in GOOD}
    changed = {names[key]: GOOD[names[key]] | value for key, value in changes.items()}
    return to_frame(rows_of(GOOD | changed))


def verdicts(frame):
    """Verdicts by number of the claim, in order."""
    return [(claim.number, claim.verdict()) for claim in judge(frame)]


# --- the numbers of a cell ------------------------------------------------------------------------


def test_the_numbers_of_a_cell_are_picked_from_the_right_rows():
    frame = frame_of(spotter={"ou": [0.01, 0.02, 0.03, 0.04], "pra": 0.4})
    table = per_cell(frame)
    assert list(table) == [
        *("forget", "retain", "ou", "mass", "shift", "pra", "pra_any", "pra_l2", "pra_scaled"),
        *("calibrated", "worst", "cosine", "retained_read", "diverged", "collapsed"),
    ]
    assert not table[["diverged", "collapsed"]].any(axis=None)
    assert table.index.unique("method").tolist() == list(GOOD)
    assert table.loc["spotter"].index.tolist() == CELLS
    assert table.loc["spotter"]["ou"].tolist() == [0.01, 0.02, 0.03, 0.04]
    line = table.loc[("spotter", "8", 1)]
    assert (line["forget"], line["retain"]) == (0.0, 97.5)
    assert line["pra"] == pytest.approx(100 * 0.4 * 0.75)  # at five shots, the best alpha
    assert line["pra_any"] == pytest.approx(100 * 0.4)
    assert line["pra_scaled"] == pytest.approx(100 * 0.4 * 0.75 * 0.8)
    assert line["cosine"] == 0.25
    assert (line["mass"], line["shift"]) == (pytest.approx(0.4), pytest.approx(0.02))
    assert line[["calibrated", "worst"]].isna().all()  # class 8 was not attacked
    attacked = table.loc[("spotter", "3", 1)]
    assert attacked["calibrated"] == pytest.approx(100 * 0.5 * 0.4)
    assert attacked["worst"] == pytest.approx(100 * (0.8 * 0.4 + 0.01))
    assert table.loc["finetune"]["retained_read"].tolist() == [500] * 4
    oracle = table.loc[("retrain", "3", 0)]  # whose scaled attacks are the stronger ones
    assert oracle["pra_any"] == pytest.approx(100 * 0.9)
    assert oracle["pra"] == pytest.approx(100 * 0.9 * 0.75)
    assert oracle["pra_scaled"] == pytest.approx(100 * 0.9 * 0.75 * 1.1)


def test_the_headline_is_the_neighborhood_that_comes_first():
    rows = rows_of(GOOD)
    others = [row for row in rows if row.at.get("neighborhood") == "uniform"]
    table = per_cell(to_frame([*others, *rows]))
    assert table.loc["retrain"]["ou"].tolist() == pytest.approx([0.02] * 4)


def test_rows_without_classes_and_ablations_are_enough():
    rows = [row for row in rows_of(GOOD) if not {"retained", "setting"} & set(row.at)]
    assert per_cell(to_frame(rows)).equals(per_cell(to_frame(rows_of(GOOD))))


def test_the_order_of_rows_inside_a_method_does_not_matter():
    rows = rows_of(GOOD)
    turned = sorted(rows, key=lambda row: (list(GOOD).index(row.method), -row.seed))
    first, again = per_cell(to_frame(rows)), per_cell(to_frame(turned))
    assert again.sort_index().equals(first.sort_index())


# --- tables ---------------------------------------------------------------------------------------


def test_methods_are_sorted_into_blocks_by_what_they_read():
    assert blocks(per_cell(frame_of())) == {
        "yardstick": ["original", "retrain"],
        "forget only": ["neggrad", "spotter", "spotter+neggrad"],
        "reads retained": ["finetune"],
    }


def test_one_retained_image_in_one_cell_makes_a_reader():
    cells = per_cell(frame_of(spotter={"read": [0, 0, 0, 1]}))
    assert blocks(cells)["reads retained"] == ["finetune", "spotter"]
    assert blocks(cells)["forget only"] == ["neggrad", "spotter+neggrad"]


def test_the_main_table_has_mean_and_spread_over_cells_block_by_block():
    table = main_table(frame_of(neggrad={"retain": [0.9, 0.8, 0.9, 0.8], "ou": [0.1, 0.2] * 2}))
    assert list(table) == ["method", "reads", *COLUMNS.values()]
    assert table["method"].tolist() == [
        *("original", "retrain", "neggrad", "spotter", "spotter+neggrad", "finetune")
    ]
    line = table.set_index("method").loc["neggrad"]
    assert line["reads"] == "forget only"
    # the spread of a sample of four: the half difference times sqrt(4/3)
    assert line["retain acc. %"] == f"85.0 ± {5 * math.sqrt(4 / 3):.1f}"
    assert line["OU@ε"] == f"0.1500 ± {0.05 * math.sqrt(4 / 3):.4f}"
    assert line["forget acc. %"] == "0.0 ± 0.0"
    assert line["PRA % (k=5)"] == "37.5 ± 0.0"
    assert line["mean cosine"] == "0.250 ± 0.000"
    assert line["worst attack %"] == f"40.5 ± {0.5 * math.sqrt(2):.1f}"
    # the oracles of class 3 regain 72 and 73: they differ by 0.5 sqrt(2) around 72.5
    assert (
        line["worst attack beyond oracle"]
        == f"-32.0 [-32.5, -31.5] ({-32 / 0.5**0.5:+.1f} spreads)"
    )
    assert pd.isna(table.set_index("method").loc["retrain", "worst attack beyond oracle"])


def test_the_batterys_columns_are_there_only_where_a_cell_was_attacked():
    rows = [row for row in rows_of(GOOD) if row.measure != "relearned"]
    battery = [COLUMNS[key] for key in ("calibrated", "worst", "excess")]
    kept = [title for title in COLUMNS.values() if title not in battery]
    assert list(main_table(to_frame(rows))) == ["method", "reads", *kept]


def first_cell(rows):
    """A study of one cell."""
    return to_frame([row for row in rows if (row.forget, row.seed) == CELLS[0]])


def test_one_cell_has_neither_spread_nor_interval_and_says_so():
    frame = first_cell(rows_of(GOOD | {"delete": {"diverged": True}}))
    table = main_table(frame).set_index("method")
    known = ["0.6000", "0.2000", "0.4000", "0.0160", "0.9000", "0.5000"]
    assert table["OU@ε"].tolist()[:-1] == known
    assert pd.isna(table["OU@ε"].iloc[-1])
    assert "±" not in to_markdown(table)
    # the interval is over images, and one oracle has no spread
    assert table.loc["spotter", "worst attack beyond oracle"] == "-71.6 [5.0, 15.0]"
    assert table.loc["delete", "note"] == "diverged"
    claims = judge(frame)
    assert [claim.verdict() for claim in claims] == [f"{HOLDS}, one cell: no interval"] * 6
    assert all(math.isnan(claim.low) and math.isnan(claim.high) for claim in claims)
    assert claims_table(claims)["measured"][0] == "0.04 ratio"
    assert "nan" not in to_markdown(claims_table(claims))


# --- methods that diverged or collapsed -----------------------------------------------------------

LOST = {"diverged": [True, False, False, True]}


def test_a_method_that_diverged_is_averaged_over_the_other_cells_and_the_table_says_so():
    frame = frame_of(neggrad=LOST | {"ou": [9.0, 0.1, 0.3, 9.0], "retain": [9.0, 0.8, 0.9, 9.0]})
    table = main_table(frame).set_index("method")
    assert table.loc["neggrad", "OU@ε"] == f"0.2000 ± {0.1 * math.sqrt(2):.4f}"
    assert table.loc["neggrad", "retain acc. %"] == f"85.0 ± {5 * math.sqrt(2):.1f}"
    assert table.loc["neggrad", "note"] == "diverged in 2 of 4 cells"
    assert table["note"].notna().sum() == 1
    assert table.loc["neggrad", "reads"] == "forget only"
    assert per_cell(frame).loc["neggrad"]["diverged"].tolist() == [True, False, False, True]


def test_what_is_left_in_one_cell_only_has_no_spread():
    table = main_table(frame_of(neggrad={"diverged": [True, True, True, False]}))
    line = table.set_index("method").loc["neggrad"]
    assert line["OU@ε"] == "0.4000"
    assert line["note"] == "diverged in 3 of 4 cells"


def test_a_method_without_any_model_has_a_line_and_no_numbers():
    frame = frame_of(neggrad={"diverged": True})
    assert blocks(per_cell(frame))["no model"] == ["neggrad"]
    line = main_table(frame).set_index("method").loc["neggrad"]
    assert line["note"] == "diverged in all 4 cells"
    assert line[[*COLUMNS.values()]].isna().all()
    assert "| neggrad | no model | – | – |" in to_markdown(main_table(frame))
    assert len(judge(frame)) == 6
    shown = as_published(frame).set_index(("", "method")).loc["neggrad"]
    assert shown[[AS_PUBLISHED, CORRECTED]].isna().all()
    assert shown[THEIRS, "OU@ε"] == 0.3269


def test_no_note_where_there_is_nothing_to_say():
    assert "note" not in main_table(frame_of())
    assert ("", "note") not in as_published(frame_of())


def with_chance(rows, chance):
    """The rows, with what guessing among the retained classes gives in every cell."""
    row = replace(PLAIN, method="original", split="retain/test", measure="chance", value=chance)
    return to_frame([*rows, *(replace(row, forget=f, seed=s) for f, s in CELLS)])


@pytest.mark.parametrize(
    ("retain", "chance", "note"),
    [
        ([0.9, 0.9, 0.9, 0.49], None, None),  # half of the original's 98 %
        ([0.9, 0.9, 0.9, 0.48], None, "collapsed in 1 of 4 cells"),
        (0.1, None, "collapsed in all 4 cells"),
        ([0.9, 0.9, 0.9, 0.55], 0.5, "collapsed in 1 of 4 cells"),
        ([0.9, 0.9, 0.9, 0.56], 0.5, None),
    ],
)
def test_a_network_that_knows_little_of_the_rest_is_said_to_have_collapsed(retain, chance, note):
    rows = rows_of(GOOD | {"neggrad": GOOD["neggrad"] | {"retain": retain}})
    frame = to_frame(rows) if chance is None else with_chance(rows, chance)
    table = main_table(frame).set_index("method")
    assert (table["note"]["neggrad"] if "note" in table else None) == note
    assert per_cell(frame)["collapsed"].sum() == (0 if note is None else int("all" in note) * 3 + 1)
    kept = relevant(frame_rows(frame), "PGD toward")
    assert main_table(to_frame(kept)).equals(main_table(frame))


def frame_rows(frame):
    """The rows that a frame was made from."""
    own = list(vars(PLAIN))[:-1]
    extra = [c for c in frame if c not in own]
    return [
        Row(**{c: line[c] for c in own}, at={c: line[c] for c in extra if pd.notna(line[c])})
        for line in frame.to_dict("records")
    ]


def test_diverged_and_collapsed_are_both_said():
    frame = frame_of(neggrad=LOST | {"retain": 0.1})
    note = main_table(frame).set_index("method")["note"]["neggrad"]
    assert note == "diverged in 2 of 4 cells; collapsed in 2 of 4 cells"


def test_a_broken_base_method_is_no_opponent_unless_no_other_forgets():
    other = {"finetune": {"forget": 0.0, "ou": 0.1}}
    for broken in ({"retain": [0.9, 0.9, 0.9, 0.1]}, {"diverged": [True, False, False, False]}):
        frame = frame_of(neggrad={"ou": 0.69} | broken, **other)
        assert worst_base(per_cell(frame)) == "finetune"
        assert judge(frame)[0].sentence.endswith("worst base method that forgets (finetune)")
        alone = frame_of(neggrad=broken, finetune={"forget": 0.5, "ou": 0.69})
        assert worst_base(per_cell(alone)) == "neggrad"
        assert "(neggrad), none works" in judge(alone)[0].sentence
    none = frame_of(neggrad={"forget": 0.4}, finetune={"forget": 0.5})
    assert "(finetune), none forgets" in judge(none)[0].sentence


def test_a_table_without_retain_accuracies_has_a_worst_base_method_too():
    assert worst_base(per_cell(frame_of())[["ou", "forget"]]) == "neggrad"


def test_where_all_base_methods_diverged_claim_1_can_not_be_judged_and_the_others_can():
    frame = frame_of(neggrad={"diverged": True}, finetune={"diverged": True})
    assert worst_base(per_cell(frame)) is None
    assert [c.verdict() for c in judge(frame)] == ["can't be judged", *[HOLDS] * 5]
    assert claims_table(judge(frame))["measured"][0] == "–"


def test_a_ratio_is_over_the_cells_in_which_both_have_a_network():
    frame = frame_of(
        spotter={"diverged": [True, False, False, False], "ou": [9.0, 0.01, 0.02, 0.03]},
        retrain={"ou": [0.9, 0.1, 0.2, 0.6]},
    )
    claim = judge(frame)[1]
    assert claim.value == pytest.approx(0.06 / 0.9)
    assert (claim.low, claim.high) == pytest.approx(
        bootstrap_interval([0.01, 0.02, 0.03], over=[0.1, 0.2, 0.6])
    )
    assert claim.verdict() == f"{HOLDS} (diverged in 1 of 4 cells)"


def test_spotter_itself_may_diverge_everywhere():
    claims = judge(frame_of(spotter={"diverged": True}))
    assert {c.verdict() for c in claims} == {"can't be judged (diverged in all 4 cells)"}


def test_any_method_can_be_judged_by_the_same_claims():
    values = [c.value for c in judge(frame_of(), "retrain")]
    assert values == pytest.approx([0.2 / 0.4, 1.0, 0.0, 1.0, 90.0, 1000.0])
    assert math.isnan(judge(frame_of(), "original")[5].value)


# --- beside the published numbers -----------------------------------------------------------------


def column(table, method):
    return table.set_index(("", "method")).loc[method]


def test_ours_stand_beside_the_published_numbers_measured_in_both_ways():
    frame = frame_of(spotter={"ou": [0.01, 0.02, 0.03, 0.04]})
    table = as_published(frame)
    ours = column(table, "spotter")
    # on training images: alpha 0.8 is not measured, the nearest is 1
    assert ours[AS_PUBLISHED, "α"] == "1 for 0.8"
    assert ours[AS_PUBLISHED, "forget acc. %"] == pytest.approx(12.3)
    assert ours[AS_PUBLISHED, "retain acc. %"] == pytest.approx(97.5 + 1.0 + 0.15)
    assert ours[AS_PUBLISHED, "OU@ε"] == pytest.approx(0.025 + 0.0123)
    assert ours[AS_PUBLISHED, "PRA % (k=5)"] == pytest.approx(100 * (0.3 + 0.0005 + 0.015))
    assert ours[CORRECTED].tolist() == pytest.approx([0.0, 97.5, 0.025, 0.38])
    assert ours[THEIRS, "OU@ε"] == 0.0228
    assert ours[THEIRS, "variant"] == "λ2 = 1"
    original = column(table, "original")
    assert original[AS_PUBLISHED, "α"] == "0.5"
    assert original[AS_PUBLISHED, "PRA % (k=5)"] == pytest.approx(100 * (0.15 + 0.1 + 0.015))
    assert column(table, "finetune")[AS_PUBLISHED, "α"] == "1"
    assert column(table, "finetune")[THEIRS].isna().all()
    assert column(table, "spotter+neggrad")[AS_PUBLISHED, "α"] == "1 for 0.8"


def test_every_published_line_is_there_once():
    table = as_published(frame_of())
    names = table["", "method"].tolist()
    assert names[:6] == [
        *("original", "retrain", "neggrad", "spotter", "spotter+neggrad", "finetune")
    ]
    assert len(names) == len(set(names))
    assert len(table) == 6 + len(PUBLISHED) - 4  # four of them have a method here
    assert table[THEIRS, "source"].notna().sum() == len(PUBLISHED)
    later = table.iloc[6:]
    assert later[[AS_PUBLISHED, CORRECTED]].isna().all(axis=None)
    assert {"spotter (λ2 = 0.1)", "unsc", "spotter+unsc", "retrain (one run)"} < set(names[6:])


def test_the_nearest_alpha_is_the_larger_of_two():
    assert nearest(0.5, [0.2, 0.4, 0.5, 1.0]) == 0.5
    assert nearest(0.5, [0.2, 0.4, 0.6]) == nearest(0.5, [0.6, 0.4]) == 0.6
    assert nearest(0.8, [0.2, 0.7]) == 0.7


def test_without_rows_of_training_images_the_corrected_numbers_are_there():
    rows = [r for r in rows_of(GOOD) if not r.split.endswith("train") or "images" in r.measure]
    table = as_published(to_frame(rows))
    assert table[AS_PUBLISHED].isna().all(axis=None)
    assert column(table, "retrain")[CORRECTED, "OU@ε"] == 0.2


def test_two_levels_of_columns_become_one_line_of_markdown():
    head = to_markdown(as_published(frame_of())).splitlines()[0]
    assert head.startswith("| method | published<br>forget acc. % |")
    assert f"| {AS_PUBLISHED}<br>α | {CORRECTED}<br>forget acc. % |" in head
    assert re.fullmatch(r"\|(---\|)+", to_markdown(as_published(frame_of())).splitlines()[1])


def test_the_published_table_names_its_source_and_the_columns_it_shares_with_ours():
    table = published_table()
    assert {"OU@ε", "forget acc. %", "retain acc. %", "PRA % (k=5)"} <= set(table) & {
        *COLUMNS.values()
    }
    assert set(table["source"]) == {"table", "stacking table", "code"}
    at = table.set_index("method")
    assert at.loc["spotter+salun", "OU@ε"] == 0.0345
    assert at.loc["delete", "PRA % (k=5)"] == 31.72
    assert at.loc["spotter+unsc", "PRA % (k=5)"] == 18.54
    assert at.loc["spotter (λ2 = 1)", "PRA % (k=5)"] == 0.24
    assert at.loc["retrain", "OU@ε"] == 0.2384


def test_markdown_has_a_line_for_each_row_and_a_dash_where_nothing_is():
    table = pd.DataFrame({"method": ["a", "b"], "OU@ε": [0.5, None], "n": ["1 ± 0", "2"]})
    assert to_markdown(table).splitlines() == [
        "| method | OU@ε | n |",
        "|---|---|---|",
        "| a | 0.5 | 1 ± 0 |",
        "| b | – | 2 |",
    ]
    assert len(to_markdown(published_table()).splitlines()) == len(published_table()) + 2


# --- claims ---------------------------------------------------------------------------------------

HOLDS, FAILS = "holds", "does not hold"
ON_AVERAGE, NOT_ON_AVERAGE = (
    f"{v} on average, the interval reaches across" for v in (HOLDS, FAILS)
)


def test_in_the_good_study_all_claims_hold_with_the_values_that_were_put_in():
    claims = judge(frame_of())
    assert [claim.number for claim in claims] == [1, 1, 2, 3, 4, 5]
    assert [claim.verdict() for claim in claims] == [HOLDS] * 6
    assert [claim.value for claim in claims] == pytest.approx([0.04, 0.08, 0.0, 0.5, 0.5, 0.0])
    assert [claim.threshold for claim in claims] == [0.05, 1.0, 0.0, 1.0, 1.0, 0.0]
    assert "neggrad" in claims[0].sentence


@pytest.mark.parametrize(
    ("changes", "number", "verdict"),
    [
        ({"ou": 0.03}, 1, FAILS),
        ({"forget": 0.01}, 2, FAILS),
        ({"forget": [0.0, 0.0, 0.0, 0.01]}, 2, NOT_ON_AVERAGE),
        ({"retain": 0.96}, 3, FAILS),
        ({"retain": [0.98, 0.98, 0.98, 0.96]}, 3, ON_AVERAGE),
        ({"retain": [0.98, 0.96, 0.97, 0.96]}, 3, NOT_ON_AVERAGE),
        ({"retain": 0.99}, 3, HOLDS),  # better than the original is no loss
        ({"pra": 0.5}, 4, FAILS),
        ({"pra": [0.0, 0.0, 0.0, 0.03]}, 4, ON_AVERAGE),
        ({"read": 3}, 5, FAILS),
    ],
)
def test_a_claim_that_fails_is_said_to_fail_and_the_others_still_hold(changes, number, verdict):
    found = verdicts(frame_of(spotter=changes))
    assert (number, verdict) in found
    assert [v for n, v in found if n != number] == [HOLDS] * sum(n != number for n, _ in found)


def test_over_unlearning_is_compared_with_worst_base_method_and_oracle_apart():
    found = judge(frame_of(spotter={"ou": 0.021}, retrain={"ou": 0.02}))
    assert [claim.verdict() for claim in found[:2]] == [FAILS, FAILS]
    assert "neggrad" in found[0].sentence
    assert [claim.value for claim in found[:2]] == pytest.approx([0.0525, 1.05])


def test_a_ratio_is_one_of_means_and_its_interval_resamples_both_alike():
    # the means give 0.03/0.55 = 0.0545, where cell by cell it would be 0.075
    ours, theirs = [0.01, 0.05] * 2, [0.1, 1.0] * 2
    claim = judge(frame_of(spotter={"ou": ours}, neggrad={"ou": theirs}))[0]
    assert claim.value == pytest.approx(0.03 / 0.55)
    assert (claim.low, claim.high) == pytest.approx(bootstrap_interval(ours, over=theirs))
    assert 0.05 <= claim.low <= claim.value <= claim.high <= 0.1


def test_a_base_method_that_does_not_forget_is_no_opponent_unless_none_does():
    assert worst_base(per_cell(frame_of())) == "neggrad"  # fine-tuning knows a tenth of the class
    assert worst_base(per_cell(frame_of(finetune={"forget": 0.01}))) == "finetune"
    assert worst_base(per_cell(frame_of(finetune={"forget": [0.0, 0.0, 0.0, 0.05]}))) == "neggrad"
    assert worst_base(per_cell(frame_of(neggrad={"forget": 0.4}))) == "finetune"


def test_the_worst_base_method_is_that_of_the_largest_mean_not_of_the_largest_cell():
    uneven = {"ou": [0.69, 0.1, 0.1, 0.1]}
    frame = frame_of(neggrad=uneven, finetune={"forget": 0.0, "ou": 0.3})
    assert worst_base(per_cell(frame)) == "finetune"


def test_rows_that_are_kept_beside_the_table_give_the_same_table():
    rows = rows_of(GOOD)
    kept = relevant(rows, "PGD toward")
    assert len(kept) < len(rows) / 2
    assert per_cell(to_frame(kept)).equals(per_cell(to_frame(rows)))
    assert judge(to_frame(kept)) == judge(to_frame(rows))
    assert as_published(to_frame(kept)).equals(as_published(to_frame(rows)))


def test_a_divergence_is_kept_once_and_gives_the_same_tables():
    rows = rows_of(GOOD | {"neggrad": GOOD["neggrad"] | LOST, "delete": {"diverged": True}})
    kept = relevant(rows, "PGD toward")
    assert sum(row.measure == "diverged" for row in kept) == 2 + 4
    for table in (main_table, as_published):
        assert table(to_frame(kept)).equals(table(to_frame(rows)))
    assert judge(to_frame(kept)) == judge(to_frame(rows))


def test_an_interval_is_the_bootstrap_of_the_cells():
    losses = [0.0, 0.0, 0.0, 2.0]
    claim = judge(frame_of(spotter={"retain": [0.98, 0.98, 0.98, 0.96]}))[3]
    assert (claim.low, claim.high) == pytest.approx(bootstrap_interval(losses))
    assert claim.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.5, 0.4, 0.6, HOLDS),
        (0.5, 0.4, 1.0, HOLDS),  # the threshold itself is allowed
        (1.0, 1.0, 1.0, HOLDS),
        (0.5, 0.4, 1.1, ON_AVERAGE),
        (1.2, 0.9, 1.3, NOT_ON_AVERAGE),
        (1.2, 1.1, 1.3, FAILS),
    ],
)
def test_a_verdict_heeds_the_interval(value, low, high, verdict):
    claim = Claim(3, "points lost", value, low, high, 1.0, "points")
    assert claim.verdict() == verdict
    assert claim.holds == (verdict in (HOLDS, ON_AVERAGE))


def test_what_rounding_left_of_zero_reads_zero():
    claim = Claim(3, "points lost", 2.3529, -1.8e-15, 5.88, 1.0, "points")
    assert claim.measured() == "2.35 [0, 5.88] points"


def test_claims_become_a_table():
    claim = Claim(3, "points lost", 0.123456, 0.1, 0.2, 1.0, "points")
    table = claims_table([claim, replace(claim, low=1.1, value=1.2, high=1.3)])
    assert table.to_dict("records") == [
        {
            "claim": "(3) points lost",
            "measured": "0.123 [0.1, 0.2] points",
            "threshold": "≤ 1",
            "verdict": HOLDS,
        },
        {
            "claim": "(3) points lost",
            "measured": "1.2 [1.1, 1.3] points",
            "threshold": "≤ 1",
            "verdict": FAILS,
        },
    ]
    assert len(claims_table(judge(frame_of()))) == 6
