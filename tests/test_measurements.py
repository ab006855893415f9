"""Rows against the same numbers computed directly: one model, one part, one loop at a time."""

import math
from dataclasses import replace

import pytest
import torch
from test_study import CELL, MODELS, NEAR, OTHER, TINY, tiny

from spotter_core import measurements
from spotter_core.attacks import HEAD_ATTACKS, CalibratedRow, PrototypeAttack, Seen
from spotter_core.attacks.battery import HeadBattery
from spotter_core.measurements import ablated
from spotter_core.measurements.battery import untrained
from spotter_core.measurements.retained_damage import likeness
from spotter_core.measurements.training_attacks import common_of
from spotter_core.metrics import accuracy, over_unlearning
from spotter_core.neighborhoods import BoundaryNeighborhood, UniformNeighborhood
from spotter_core.never_seen import never_seen_classes, upside_down
from spotter_core.profiles import Cell
from spotter_core.results import to_frame
from spotter_core.training import predict

SIDES = [f"{side}/{part}" for side in ("forget", "retain") for part in ("train", "test")]
EVERYTHING = [
    "accuracies",
    "class_accuracies",
    "over_unlearning_everywhere",
    "over_unlearning_by_radius",
    "damage_by_class",
    "damage_to_retained",
    "relearning",
    "dispersion",
    "ablation",
    "by_epoch",
]
ON_FORGET = ["forget/test", "forget/train", "forget/validation"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("measured"))


@pytest.fixture(scope="module")
def tables(study):
    """The table of a measurement of the cell with two forget classes, by its name."""
    made = {}

    def table(name):
        if name not in made:
            made[name] = to_frame(getattr(measurements, name)(study, OTHER, MODELS))
        return made[name]

    return table


def value(table, **wanted):
    """The one number of the line that is named."""
    for column, entry in wanted.items():
        table = table[table[column].isna() if entry is None else table[column] == entry]
    assert len(table) == 1, (wanted, len(table))
    return table["value"].item()


def logits(study, model, where):
    return predict(study.model(OTHER, model), study.part(OTHER, where).pixels()).logits


# --- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERYTHING)
def test_rows_are_finite_in_range_and_about_the_models_and_the_cell(tables, name):
    table = tables(name)
    assert set(table["method"]) == set(MODELS)
    assert set(table["forget"]) == {"0+7"}
    assert set(table["seed"]) == {0}
    assert table["value"].map(math.isfinite).all()
    top = {"fraction": 1.0, "nats": math.log(2.0), "cosine": 1.0, "images": 1e9}
    top |= {"epochs": 1e4, "loss": 1e3}
    bottom = {"cosine": -1.0, "loss": -1e3}
    for unit, values in table.groupby("unit")["value"]:
        assert values.between(bottom.get(unit, 0.0) - 1e-12, top[unit] + 1e-12).all(), unit


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_two_rows_say_the_same(tables, name):
    keys = [column for column in tables(name) if column not in ("value", "settings", "unit")]
    assert not tables(name).duplicated(keys).any()


@pytest.mark.parametrize("name", EVERYTHING)
def test_rows_of_another_study_are_equal(study, tmp_path, name):
    again = tiny(tmp_path)
    models = [MODELS[3], MODELS[0]]
    function = getattr(measurements, name)
    assert function(again, CELL, models) == function(study, CELL, models)


@pytest.mark.parametrize("name", EVERYTHING)
def test_rows_are_kept_under_the_name_of_the_measurement(study, name):
    function = getattr(measurements, name)
    rows = study.measured(function, CELL, MODELS)
    assert study.rows_path(name, CELL).is_file()
    assert study.measured(function, CELL, MODELS) == rows


# --- accuracies -----------------------------------------------------------------------------------


def test_accuracies_are_those_of_every_part(study, tables):
    table = tables("accuracies")
    shares = table[table["measure"] == "accuracy"]
    assert len(shares) == 6 * len(MODELS)
    for model in MODELS:
        for where in SIDES:
            hits = logits(study, model, where).argmax(dim=1) == study.part(OTHER, where).labels
            share = hits.sum().item() / len(hits)
            assert value(shares, method=model, split=where) == pytest.approx(share)


def test_images_read_are_those_of_the_methods_record(study, tables):
    table = tables("accuracies")
    read = table[table["measure"] == "images_read"]
    assert set(read["method"]) == set(MODELS) - {"original"}
    assert set(read["unit"]) == {"images"}
    forget, retain = (len(study.part(OTHER, f"{side}/train")) for side in ("forget", "retain"))
    assert value(read, method="spotter", split="forget/train") == 2 * forget
    assert value(read, method="spotter", split="retain/train") == 0
    assert value(read, method="retrain", split="retain/train") == 6 * retain


def test_class_accuracies_average_to_that_of_the_retained_images(study, tables):
    table, labels = tables("class_accuracies"), study.part(OTHER, "retain/test").labels
    names = [study.dataset.class_names[c] for c in range(10) if c not in OTHER.forget]
    assert table["retained"].unique().tolist() == names
    assert set(table["split"]) == {"retain/test"}
    sizes = {study.dataset.class_names[c]: (labels == c).sum().item() for c in labels.unique()}
    for model in MODELS:
        hits = table[(table["method"] == model) & (table["measure"] == "accuracy")]
        mean = (hits["value"] * hits["retained"].map(sizes)).sum() / len(labels)
        assert mean == pytest.approx(accuracy(logits(study, model, "retain/test"), labels))
    shift = table[table["measure"] == "conditional_shift"]
    assert shift[shift["method"] == "original"]["value"].abs().max() < 1e-12
    assert shift[shift["method"] == "retrain"]["value"].min() > 0


# --- over-unlearning ------------------------------------------------------------------------------

PARTS = ["over_unlearning", "residual_forget_mass", "conditional_shift"]


def test_over_unlearning_is_measured_in_every_neighborhood(study, tables):
    table = tables("over_unlearning_everywhere")
    assert table["neighborhood"].unique().tolist() == list(TINY.neighborhoods)
    splits = table.groupby("neighborhood")["split"].agg(set)
    assert splits["PGD toward"] == splits["published PGD"] == set(ON_FORGET)
    assert splits["uniform"] == set(ON_FORGET) - {"forget/train"}
    # on test images every number has an interval over images, two rows more
    numbers = len(MODELS) * len(PARTS)
    assert len(table) == (3 + 3 + 2) * (numbers + 1) + 3 * 2 * numbers
    for model in MODELS:
        near = study.near(OTHER, "uniform", "forget/validation")
        seen = predict(study.model(OTHER, model), near.images).logits
        line = {"method": model, "split": "forget/validation", "neighborhood": "uniform"}
        ou = over_unlearning(near.logits, seen, OTHER.forget).item()
        mass = seen.double().softmax(1)[:, list(OTHER.forget)].sum(1).mean().item()
        assert value(table, measure="over_unlearning", **line) == pytest.approx(ou)
        assert value(table, measure="residual_forget_mass", **line) == pytest.approx(mass)


def test_the_original_has_no_shift_and_its_crossing_is_the_share_beyond_its_boundary(study, tables):
    table = tables("over_unlearning_everywhere")
    shift = table[(table["measure"] == "conditional_shift") & (table["method"] == "original")]
    assert shift["value"].abs().max() < 1e-12
    for name in TINY.neighborhoods:
        answers = study.near(OTHER, name, "forget/test").logits.argmax(dim=1).tolist()
        share = sum(answer not in OTHER.forget for answer in answers) / len(answers)
        line = {"measure": "crossing", "split": "forget/test", "neighborhood": name}
        assert value(table, method="original", **line) == pytest.approx(share)


def test_over_unlearning_is_followed_over_the_radii(study, tables):
    table = tables("over_unlearning_by_radius")
    assert table["neighborhood"].unique().tolist() == TINY.curves
    assert table["epsilon"].unique().tolist() == list(TINY.epsilons)
    assert set(table["split"]) == {"forget/test"}
    near = study.near(OTHER, UniformNeighborhood(0.2), "forget/test")
    seen = predict(study.model(OTHER, "neggrad"), near.images).logits
    ou = over_unlearning(near.logits, seen, OTHER.forget).item()
    line = {"method": "neggrad", "measure": "over_unlearning", "epsilon": 0.2}
    assert value(table, **line) == pytest.approx(ou)


def test_damage_by_class_averages_to_the_shift_in_the_headline_neighborhood(study, tables):
    table = tables("damage_by_class")
    everywhere = tables("over_unlearning_everywhere")
    assert set(table["measure"]) == {"conditional_shift"}
    for model in MODELS:
        own = table[table["method"] == model]
        assert own["points"].sum() == len(study.part(OTHER, "forget/test"))
        assert not set(own["retained"]) & {study.dataset.class_names[c] for c in OTHER.forget}
        line = {"method": model, "split": "forget/test", "neighborhood": "PGD toward"}
        whole = value(everywhere, measure="conditional_shift", **line)
        mean = (own["value"] * own["points"]).sum() / own["points"].sum()
        assert mean == pytest.approx(whole, abs=1e-12)


def test_damage_to_retained_images_is_told_by_class_in_three_groups(study, tables):
    table = tables("damage_to_retained")
    part = study.part(OTHER, "retain/test")
    points = table[(table["method"] == "spotter") & (table["measure"] == "accuracy")]
    counts = points.groupby("near")["points"].sum()
    assert counts["adversarial"] == counts["neighbors"] + counts["others"] == len(part)
    assert counts["neighbors"] == pytest.approx(0.1 * len(part), abs=1)
    forgotten = {study.dataset.class_names[c] for c in OTHER.forget}
    assert not set(table["retained"].dropna()) & forgotten
    for group, images in (
        ("all", part.images),
        ("adversarial", study.near(OTHER, "PGD toward", "retain/test").images),
    ):
        groups = ["neighbors", "others"] if group == "all" else [group]
        own = points[points["near"].isin(groups)]
        hits = (own["value"] * own["points"]).sum() / len(part)
        seen = predict(study.model(OTHER, "spotter"), images).logits
        assert hits == pytest.approx(accuracy(seen, part.labels))


def test_head_attacks_are_the_batterys_with_all_controls(study):
    methods = ["original", "retrain", "spotter"]
    table = to_frame(measurements.head_attacks(study, OTHER, methods))
    assert table["method"].unique().tolist() == [*methods, "untrained"]
    assert set(table["support"]) == {"own", "shuffled", "never seen"}
    smallest = min(int((study.part(OTHER, "forget/train").labels == c).sum()) for c in OTHER.forget)
    assert set(table["shots"].dropna()) == {k for k in (1, 5, 10, 50) if k <= smallest}
    ks, every = table["shots"].nunique(), len(HEAD_ATTACKS)
    with_images = sum(attack.needs_images for attack in HEAD_ATTACKS.values())
    assert with_images == every - 1
    # three targets and an area; one target less if shuffled; and a new head on two targets
    assert len(table) == 4 * (ks * (2 * 4 * every + 3 * with_images) + 2) + 3 * 3 * ks * (every + 1)

    def seen(*wheres):
        sets = [study.part(OTHER, w) for w in wheres]
        images, labels = (
            torch.cat(v) for v in zip(*((s.images, s.labels) for s in sets), strict=True)
        )
        return Seen.of(predict(study.model(OTHER, "spotter"), images), labels)

    outcomes = HeadBattery((CalibratedRow(),), shots=(5,), seeds=(0, 1, 2))(
        study.model(OTHER, "spotter").head,
        OTHER.forget,
        pool=seen("forget/train"),
        reference=seen("retain/train"),
        validation=seen("forget/validation", "retain/validation"),
        targets={w: seen(w) for w in ("forget/test", "retain/test")},
    )
    line = {"method": "spotter", "attack": "pra_calibrated", "shots": 5, "support": "own"}
    for where in ("forget/test", "retain/test", "forget/train"):
        mean = outcomes[0].accuracy[where].mean().item()
        found = value(table, measure="relearned", split=where, **line)
        assert found == pytest.approx(mean, abs=0.02)  # batches differ, so rounding does
    mean = outcomes[0].auroc.mean().item()
    assert value(table, measure="auroc", **line) == pytest.approx(mean, abs=0.01)
    own, oracle = (
        value(table, measure="relearned", split="forget/test", **(line | {"method": m}))
        for m in ("spotter", "retrain")
    )
    ends = [value(table, measure=f"excess{end}", **line) for end in ("_low", "", "_high")]
    assert ends[1] == pytest.approx(own - oracle)
    assert ends == sorted(ends)
    worst = table[(table["measure"] == "relearned") & (table["split"] == "forget/test")]
    worst = worst[(worst["shots"] == 5) & (worst["support"] == "own")]
    worst = worst.groupby("method")["value"].max()
    found = value(table, measure="excess", **(line | {"attack": "worst"}))
    assert found == pytest.approx(worst["spotter"] - worst["retrain"])


def test_random_features_have_a_head_that_knows_the_retained_classes(study):
    model, part = untrained(study, OTHER), study.part(OTHER, "retain/train")
    logits = predict(model, part.images).logits
    assert accuracy(logits, part.labels) > 0.5
    assert not torch.isin(logits.argmax(dim=1), torch.tensor(OTHER.forget)).any()
    before = study.blank.backbone.state_dict()
    after = model.backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert not torch.equal(model.head.weight, study.blank.head.weight)


def test_the_last_stage_of_the_layer_sweep_is_what_the_head_sees(study):
    methods = ["spotter"]
    sweep = to_frame(measurements.layer_sweep(study, OTHER, methods))
    assert sweep["stage"].unique().tolist() == ["body.0", "body.3", "body.7"]
    heads = to_frame(measurements.head_attacks(study, OTHER, methods))
    # the last stage is the layer before its ReLU: the same knowledge, not the same numbers
    at = {"attack": "lda", "shots": 5, "support": "own", "split": "forget/test"}
    at |= {"method": "spotter", "measure": "relearned"}
    last, seen = value(sweep, stage="body.7", **at), value(heads, **at)
    assert last == pytest.approx(seen, abs=0.15)
    assert set(sweep["method"]) == {"spotter", "untrained"}
    assert sweep["value"].between(0.0, 1.0).all()


@pytest.fixture(scope="module")
def attacked(study):
    """Rows of training attacks; a module-wide table, as they take seconds."""
    return to_frame(measurements.training_attacks(study, OTHER, ["original", "neggrad"]))


def test_training_attacks_have_rows_of_every_model_and_the_same_images(study, attacked):
    assert attacked["method"].unique().tolist() == ["original", "neggrad", "untrained"]
    attacks = {"fine_tuning", "retain_only", "batch_norm", "noise", "int8"}
    reached = attacked[(attacked["measure"] == "relearned") & (attacked["split"] == "forget/test")]
    assert set(reached["attack"]) == attacks
    assert (reached["support"] == "own").sum() == 3 * (3 + 3)
    curve = attacked[(attacked["measure"] == "relearning_curve") & (attacked["support"] == "own")]
    curve = curve[(curve["method"] == "neggrad") & (curve["step"] == 0)]
    logits = predict(study.model(OTHER, "neggrad"), study.part(OTHER, "forget/test").images).logits
    start = accuracy(logits, study.part(OTHER, "forget/test").labels)
    assert curve["value"].unique().tolist() == [start]
    area = attacked[(attacked["measure"] == "relearning_area") & (attacked["support"] == "own")]
    area = area[area["method"] == "original"]
    assert len(area) == 3
    assert area["value"].between(0.8, 1.0).all()


def test_no_two_training_attacks_have_the_same_row(attacked):
    keys = [column for column in attacked if column not in ("value", "settings", "unit")]
    assert not attacked.duplicated(keys).any()
    assert attacked["value"].map(math.isfinite).all()


def test_a_class_never_seen_is_scored_on_its_own_test_images_and_on_the_forgotten_ones(
    study, attacked
):
    control = attacked[
        (attacked["support"] == "never seen") & (attacked["attack"] == "fine_tuning")
    ]
    reached = control[control["measure"] == "relearned"]
    assert set(reached["split"]) == {"never seen/test", "forget/test", "retain/test"}
    start = control[(control["measure"] == "relearning_curve") & (control["step"] == 0)]
    assert set(start["split"]) == {"never seen/test"}
    retain = study.split(OTHER).retain
    original = study.model(OTHER, "original")
    sources = never_seen_classes(original, retain.validation, OTHER.forget)
    turned = upside_down(retain.test, sources)
    before = accuracy(predict(original, turned.images).logits, turned.labels)
    assert set(start[start["method"] == "original"]["value"]) == {before}
    assert before < 0.2


def test_reminiscence_is_the_difference_of_the_steps_that_rows_tell(attacked):
    speed = attacked[attacked["attack"] == "reminiscence"]
    assert set(speed["shots"]) == {10}
    by_rate = speed.dropna(subset="learning_rate")
    for method in ("original", "neggrad", "untrained"):
        own = by_rate[by_rate["method"] == method].set_index("learning_rate")
        steps = own[own["measure"] == "steps_to_relearn"]
        forget, new = (steps[steps["support"] == s]["value"] for s in ("own", "never seen"))
        score = own[own["measure"] == "reminiscence"]["value"]
        assert (new - forget).to_dict() == pytest.approx(score.to_dict())
        mean = speed[(speed["method"] == method) & speed["learning_rate"].isna()]
        assert mean["value"].item() == pytest.approx(score.mean())
    original = by_rate[(by_rate["method"] == "original") & (by_rate["support"] == "own")]
    assert (original[original["measure"] == "reminiscence"]["value"] > 0).all()


def test_training_attacks_do_without_a_class_never_seen_where_none_can_be_made(study):
    most = Cell(tuple(range(6)), 0)
    assert list(common_of(study, most).kinds) == ["own"]
    common = common_of(study, OTHER)
    assert list(common.kinds) == ["own", "never seen"]
    for draw in (0, 1):
        sets = [common.drawn(support, 10_000, draw) for support in common.kinds]
        assert len(sets[0]) == len(sets[1]) == 2 * common.shots


def test_neighbors_are_the_retained_images_most_like_the_forget_class(study):
    like = likeness(study, OTHER)
    features = study.predictions(OTHER, "original", "retain/test").features.tolist()
    own = study.predictions(OTHER, "original", "forget/train").features.double()
    labels = study.part(OTHER, "forget/train").labels
    means = [own[labels == c].mean(dim=0).tolist() for c in OTHER.forget]

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.hypot(*a) / math.hypot(*b)

    expected = [max(cosine(row, mean) for mean in means) for row in features]
    assert like.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_original_is_not_damaged_and_its_crossing_is_of_the_pushed_images(study, tables):
    table = tables("damage_to_retained")
    own = table[(table["method"] == "original") & (table["measure"] == "conditional_shift")]
    assert own["value"].abs().max() < 1e-12
    near = study.near(OTHER, "PGD toward", "retain/test")
    taken = torch.isin(near.logits.argmax(dim=1), torch.tensor(OTHER.forget)).double().mean().item()
    assert value(table, method="original", measure="crossing") == pytest.approx(taken)


# --- relearning and dispersion --------------------------------------------------------------------


def test_relearning_covers_the_grid_on_every_part(tables):
    table = tables("relearning")
    assert set(table["split"]) == {*ON_FORGET, "retain/test"}
    assert set(zip(table["shots"], table["alpha"], strict=True)) == {
        (shots, alpha) for shots in TINY.shots for alpha in TINY.alphas
    }
    assert set(zip(table["metric"], table["scale"], strict=True)) == {("cosine", 0.0), ("l2", 1.0)}
    assert len(table) == len(MODELS) * 4 * 2 * 2 * 2


@pytest.mark.parametrize("where", ["forget/test", "retain/test"])
@pytest.mark.parametrize(("metric", "scale"), [("cosine", None), ("l2", 1.0)])
def test_relearning_is_the_mean_of_attacks_that_are_run_one_by_one(
    study, tables, where, metric, scale
):
    model, pool = study.model(OTHER, "neggrad"), study.part(OTHER, "forget/train")
    part = study.part(OTHER, where)
    attack = PrototypeAttack(shots=5, alpha=0.5, metric=metric, scale=scale)
    each = []
    for seed in range(TINY.supports):
        attacked = attack(
            model,
            pool.pixels(),
            pool.labels,
            OTHER.forget,
            generator=torch.Generator().manual_seed(seed),
        )
        each.append(accuracy(predict(attacked, part.images).logits, part.labels))
    line = {"method": "neggrad", "split": where, "metric": metric, "scale": scale or 0.0}
    measured = value(tables("relearning"), shots=5, alpha=0.5, **line)
    assert len(set(each)) > 1 or metric == "l2"  # draws that differ, or a mean would not show
    assert measured == pytest.approx(sum(each) / len(each))


def test_dispersion_is_the_mean_cosine_of_pairs_of_a_class_and_purity_of_neighbors(study, tables):
    table = tables("dispersion")
    part = study.part(OTHER, "forget/test")
    features = predict(study.model(OTHER, "spotter"), part.pixels()).features.double()
    unit = torch.nn.functional.normalize(features, dim=1)
    pairs = (part.labels[:, None] == part.labels) & ~torch.eye(len(part), dtype=torch.bool)
    mean = (unit @ unit.T)[pairs].mean().item()
    line = {"method": "spotter", "split": "forget/test"}
    assert value(table, measure="mean_cosine", **line) == pytest.approx(mean)
    assert set(table[table["measure"] == "mean_cosine"]["split"]) == {"forget/test", "retain/test"}

    both = torch.cat([part.pixels(), study.part(OTHER, "retain/test").pixels()])
    labels = torch.cat([part.labels, study.part(OTHER, "retain/test").labels])
    every = predict(study.model(OTHER, "spotter"), both).features.double()
    every = torch.nn.functional.normalize(every, dim=1)
    near = (every @ every.T).fill_diagonal_(-2.0)[: len(part)].topk(10).indices
    purity = (labels[near] == part.labels[:, None]).double().mean().item()
    measured = value(table, measure="knn_purity", k=10, **line)
    assert measured == pytest.approx(purity, abs=0.2 / len(part))  # two equally near neighbors


# --- ablation -------------------------------------------------------------------------------------

SIGNS = {"accuracy", "over_unlearning", "pra_accuracy", "mean_cosine"}


def test_an_ablation_varies_one_setting_at_a_time_with_the_profiles_own_in_every_series(tables):
    table = tables("ablation")
    spotter = table[table["method"] == "spotter"]
    series = spotter.groupby("setting", sort=False)["setting_value"].unique().map(list).to_dict()
    assert series == {"lambda_2": [0.0, 1.0], "neighborhood.epsilon": [0.1, 0.2]}
    assert set(table["measure"]) == SIGNS
    beside = table[table["method"] != "spotter"]
    assert set(beside["method"]) == {"original", "retrain", "neggrad"}
    assert beside["setting"].isna().all()
    assert len(table) == 5 * (4 + 3)


def test_the_profiles_own_setting_has_the_numbers_of_the_other_measurements(tables):
    table = tables("ablation")
    attacks, plain = tables("relearning"), tables("accuracies")
    published = attacks[(attacks["metric"] == "cosine") & (attacks["shots"] == 5)]
    five = published[(published["method"] == "spotter") & (published["split"] == "forget/test")]
    everywhere = tables("over_unlearning_everywhere")
    line = {"method": "spotter", "split": "forget/test"}
    expected = {
        "accuracy": value(plain, measure="accuracy", **line),
        "over_unlearning": value(
            everywhere, measure="over_unlearning", neighborhood="PGD toward", **line
        ),
        "pra_accuracy": five["value"].max(),
        "mean_cosine": value(tables("dispersion"), measure="mean_cosine", **line),
    }
    for setting, own in (("lambda_2", 1.0), ("neighborhood.epsilon", 0.1)):
        for measure, number in expected.items():
            point = {"setting": setting, "setting_value": own, "measure": measure}
            assert value(table, **line, **point) == pytest.approx(number)


def test_a_row_of_an_ablation_names_the_settings_of_its_own_model(study, tables):
    spotter = tables("ablation")[tables("ablation")["method"] == "spotter"]
    own = study.fingerprint(OTHER, "spotter")
    without = study.fingerprint(OTHER, "spotter", lambda_2=0.0)
    at = spotter.set_index(["setting", "setting_value"])["settings"]
    assert set(at["lambda_2", 1.0]) == set(at["neighborhood.epsilon", 0.1]) == {own}
    assert set(at["lambda_2", 0.0]) == {without}
    assert len(set(at)) == 3


def test_an_inner_setting_reaches_into_the_neighborhood_and_the_step_follows_the_radius(study):
    assert ablated(study, "lambda_2", 0.0) == {"lambda_2": 0.0}
    wider = ablated(study, "neighborhood.epsilon", 0.2)
    assert wider == {"neighborhood": BoundaryNeighborhood(epsilon=0.2, step=0.1, steps=2)}
    more = ablated(study, "neighborhood.steps", 5)
    assert more == {"neighborhood": BoundaryNeighborhood(epsilon=0.1, step=0.05, steps=5)}
    assert TINY.methods["spotter"]["neighborhood"] == NEAR
    assert study.method("spotter", **wider).neighborhood.epsilon == 0.2


def test_settings_that_the_profile_leaves_to_the_method_can_be_varied_too(study, tmp_path):
    spotter = {"epochs": 1, "batch_size": 64}
    profile = {"methods": TINY.methods | {"spotter": spotter}}
    rows = measurements.ablation(tiny(tmp_path, **profile), OTHER, ["original"])
    values = {(row.at.get("setting"), row.at.get("setting_value")) for row in rows}
    assert {("lambda_2", 1.0), ("neighborhood.epsilon", 0.03)} < values


def test_an_unknown_setting_of_an_ablation_is_refused(tmp_path):
    study = tiny(tmp_path, ablation={"lambda_3": [0.0]})
    with pytest.raises(AttributeError, match="lambda_3"):
        measurements.ablation(study, OTHER, ["original"])


def test_measuring_leaves_the_profile_as_it_is(study):
    assert study.profile == replace(TINY)
