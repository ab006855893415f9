"""The battery's head-level attacks against slow versions of them, and the rule they share."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.attacks import (
    HEAD_ATTACKS,
    Attacker,
    CalibratedRow,
    LinearProbe,
    NearestImage,
    NearestMean,
    PrototypeAttack,
    PublishedRow,
    Reference,
    Seen,
    WhitenedMean,
)
from spotter_core.attacks.battery import HeadBattery, auroc
from spotter_core.attacks.detection import Found, answers, loss_of_retained, threshold_within
from spotter_core.data import ImageSet
from spotter_core.models import wrap
from spotter_core.training import Predictions, predict

CLASSES, DEPTH = 5, 6


def seeded(seed=0):
    return Generator().manual_seed(seed)


def world(seed=0, per_class=30, forget=(1,), apart=3.0):
    """A head and samples of five classes around random means; the forget rows are pushed down."""
    draw = seeded(seed)
    means = apart * torch.randn(CLASSES, DEPTH, generator=draw, dtype=torch.float64)
    head = nn.Linear(DEPTH, CLASSES, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(0.7 * means)
        head.bias.copy_(-0.35 * means.square().sum(dim=1))
        head.bias[list(forget)] -= 100.0

    def sample(count, classes=range(CLASSES)):
        labels = torch.tensor([c for c in classes for _ in range(count)])
        noise = torch.randn(len(labels), DEPTH, generator=draw, dtype=torch.float64)
        features = means[labels] + noise
        return Seen(features, head(features).detach(), labels)

    return head, sample


def attacker_of(seed=0, forget=(1,), shots=4, allowed=0.05):
    head, sample = world(seed, forget=forget)
    retain = [c for c in range(CLASSES) if c not in forget]
    held = sample(shots, forget), Reference(sample(30, retain)), sample(20)
    return Attacker(head, tuple(forget), *held, allowed), sample


def by_settings(attack, attacker):
    return list(attack.detectors(attacker))


# --- the rule they share --------------------------------------------------------------------------


def test_the_forget_class_is_answered_above_the_threshold_and_the_best_other_below_it():
    logits = torch.tensor([[9.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 9.0], [5.0, 4.0, 3.0, 2.0]])
    margins = torch.tensor([[0.5, 0.6], [0.2, 0.1], [-1.0, -2.0]])
    assert answers(margins, logits, (0, 3), 0.15).tolist() == [3, 0, 1]
    assert answers(margins, logits, (0, 3), math.inf).tolist() == [2, 2, 1]
    assert answers(margins, logits, (0, 3), 0.2).tolist() == [3, 2, 1]  # above, not at it


@pytest.mark.parametrize("allowed", [0.0, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_least_of_all_that_keep_within_what_is_allowed(seed, allowed):
    draw = seeded(seed)
    logits = torch.randn(40, 4, generator=draw).double()
    labels = torch.where(torch.rand(40, generator=draw) < 0.8, logits.argmax(dim=1), 2)
    labels[labels == 1] = 3  # class 1 is forgotten; some samples are taken for it
    retain = Seen(torch.zeros(40, 1), logits, labels)
    margins = torch.randn(40, 1, generator=draw).double().round(decimals=1)  # with ties
    found = threshold_within(margins, retain, (1,), allowed)
    before = (logits.argmax(dim=1) == labels).double().mean().item()

    def lost(threshold):
        predicted = [
            1 if m > threshold else max((0, 2, 3), key=lambda c: row[c].item())
            for m, row in zip(margins[:, 0].tolist(), logits, strict=True)
        ]
        hits = [p == y for p, y in zip(predicted, labels.tolist(), strict=True)]
        return before - sum(hits) / len(hits)

    tried = [-math.inf, *sorted(set(margins[:, 0].tolist())), math.inf]
    kept = [t for t in tried if lost(t) <= allowed + 1e-9]
    assert lost(found) <= allowed + 1e-9
    assert torch.equal(margins > found, margins > kept[0])
    assert loss_of_retained(margins, retain, (1,), found) == pytest.approx(lost(found))


def test_a_threshold_needs_retained_samples():
    empty = Seen(torch.zeros(0, 1), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="validation holds no retained sample"):
        threshold_within(torch.zeros(0, 1), empty, (1,), 0.1)


@pytest.mark.parametrize("name", HEAD_ATTACKS)
def test_the_choice_is_the_best_of_the_grid_on_the_attackers_own_images(name):
    attack = HEAD_ATTACKS[name]
    attacker, _ = attacker_of(seed=3)
    forget, retain = attacker.halves
    within = []
    for settings, detector in attack.detectors(attacker):
        margins = detector(retain)
        threshold = threshold_within(margins, retain, (1,), 0.05) if attack.calibrated else 0.0
        found = Found(settings, detector, threshold, (1,))
        if loss_of_retained(margins, retain, (1,), threshold) <= 0.05 + 1e-9:
            within.append((found.accuracy(forget), settings))
    chosen = attack(attacker)
    most = max(accuracy for accuracy, _ in within)
    assert chosen.settings == next(s for accuracy, s in within if accuracy == most)


# a row of unit length among longer ones, and a regression that other classes mask, do what they can
@pytest.mark.parametrize(
    ("name", "forget", "least"),
    [(name, (1,), 0.9) for name in HEAD_ATTACKS]
    + [(name, (0, 3), {"pra": 0.4, "linear_probe": 0.6}.get(name, 0.9)) for name in HEAD_ATTACKS],
)
def test_every_attack_brings_separate_classes_back_and_changes_nothing(name, forget, least):
    attacker, sample = attacker_of(seed=1, forget=forget)
    before = copy.deepcopy(attacker.head.state_dict())
    copies = [values.clone() for values in attacker.support]
    found = HEAD_ATTACKS[name](attacker)
    assert found.accuracy(sample(50, forget)) > least
    retained = sample(50, [c for c in range(CLASSES) if c not in forget])
    assert found.accuracy(retained) > 0.85
    after = attacker.head.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    pairs = zip(copies, attacker.support, strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", HEAD_ATTACKS)
def test_samples_of_other_classes_called_forgotten_bring_little_back(name):
    regained = []
    for seed in range(5):
        attacker, sample = attacker_of(seed, allowed=0.02)
        strangers = sample(4, [c for c in range(CLASSES) if c != 1])
        drawn = torch.randperm(16, generator=seeded(seed))[:4]
        labels = torch.full((4,), 1)
        shuffled = Seen(*strangers.pick(drawn)[:2], labels)
        misled = Attacker(
            attacker.head, (1,), shuffled, attacker.reference, attacker.validation, 0.02
        )
        regained.append(HEAD_ATTACKS[name](misled).accuracy(sample(50, [1])))
    honest = [HEAD_ATTACKS[name](attacker_of(s, allowed=0.02)[0]) for s in range(5)]
    assert len(honest) == 5
    assert sum(regained) / 5 < 0.75


# --- each of them ---------------------------------------------------------------------------------


def test_the_published_row_is_the_published_attack(model, samples):
    """The same answers as from the copy with a rewritten head that ``PrototypeAttack`` returns."""
    forget = [2]
    own = samples.subset(samples.labels == 2)
    seen = Seen.of(predict(model, samples.images), samples.labels)
    for alpha in (0.0, 0.4, 1.0):
        attacked = PrototypeAttack(shots=12, alpha=alpha)(
            model, own.images, own.labels, forget, generator=seeded()
        )
        attacker = Attacker(
            model.head, (2,), seen.pick(samples.labels == 2), Reference(seen), seen, 0.0
        )
        grid = {s["alpha"]: d for s, d in PublishedRow(alphas=(alpha,)).detectors(attacker)}
        found = Found({"alpha": alpha}, grid[alpha], 0.0, (2,))
        assert torch.equal(found.answers(seen), predict(attacked, samples.images).logits.argmax(1))


def test_at_alpha_0_nothing_is_attacked():
    attacker, sample = attacker_of()
    seen = sample(20)
    (pair,) = by_settings(PublishedRow(alphas=(0.0,)), attacker)
    found = Found(pair[0], pair[1], 0.0, (1,))
    assert torch.equal(found.answers(seen), seen.logits.argmax(dim=1))


def test_the_calibrated_row_is_as_long_as_it_says():
    attacker, sample = attacker_of()
    seen = sample(10)
    kept = [0, 2, 3, 4]
    mean_length = attacker.head.weight[kept].norm(dim=1).mean().item()
    p = F.normalize(attacker.support.features.mean(dim=0), dim=0)
    for settings, detector in by_settings(CalibratedRow(scales=(0.5, 2.0)), attacker):
        row = settings["scale"] * mean_length * p
        expected = [
            sum(a * b for a, b in zip(f.tolist(), row.tolist(), strict=True))
            - max(z[c].item() for c in kept)
            for f, z in zip(seen.features, seen.logits, strict=True)
        ]
        assert detector(seen)[:, 0].tolist() == pytest.approx(expected)


def test_nearest_mean_by_both_distances():
    attacker, sample = attacker_of(forget=(0, 3))
    seen, reference = sample(6), attacker.reference.seen
    means = {
        c: torch.stack([f for f, y in zip(*reference[::2], strict=True) if y == c]).mean(dim=0)
        for c in (1, 2, 4)
    }
    own = {c: attacker.of_class(c).mean(dim=0) for c in (0, 3)}
    found = {s["distance"]: d(seen) for s, d in by_settings(NearestMean(), attacker)}
    for i, f in enumerate(seen.features):
        like = {c: F.cosine_similarity(f, m, dim=0).item() for c, m in (means | own).items()}
        near = {c: -(f - m).square().sum().item() for c, m in (means | own).items()}
        for name, scores in (("cosine", like), ("euclidean", near)):
            best = max(scores[c] for c in means)
            expected = [scores[0] - best, scores[3] - best]
            assert found[name][i].tolist() == pytest.approx(expected)


def test_whitening_is_linear_discriminant_analysis():
    """scikit-learn's of the retained classes, and the attacker's mean among theirs."""
    attacker, sample = attacker_of(shots=4)
    seen, reference = sample(10), attacker.reference.seen
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=[0.25] * 4)
    theirs.fit(reference.features.numpy(), reference.labels.numpy())
    ((_, detector),) = by_settings(WhitenedMean(shrinkage=(0.3,)), attacker)
    own = attacker.support.features.mean(dim=0).numpy()
    row = np.linalg.solve(theirs.covariance_, own)
    score = seen.features.numpy() @ row - 0.5 * own @ row
    best = theirs.decision_function(seen.features.numpy()).max(axis=1) - math.log(0.25)
    assert detector(seen)[:, 0].tolist() == pytest.approx((score - best).tolist())


def test_the_nearest_image_finds_clusters_that_a_mean_does_not():
    """Orthogonal clusters: every member is like another, and their mean is like none of them."""
    draw = seeded(5)
    depth, count = 12, 10
    centres = torch.eye(depth, dtype=torch.float64)

    def clustered(n):
        which = torch.arange(n) % (depth - 2)
        noise = 0.05 * torch.randn(n, depth, generator=draw, dtype=torch.float64)
        return centres[which] + noise

    retained = centres[-2:].repeat_interleave(40, dim=0)
    retained = retained + 0.6 * centres[:-2].mean(dim=0)
    retained = retained + 0.05 * torch.randn(80, depth, generator=draw, dtype=torch.float64)
    features = torch.cat([clustered(80), retained])
    labels = torch.tensor([0] * 80 + [1] * 40 + [2] * 40)
    head = nn.Linear(depth, 3, dtype=torch.float64)
    seen = Seen(features, F.one_hot(labels, 3).double(), labels)
    support = Seen(clustered(count), torch.zeros(count, 3), torch.zeros(count, dtype=torch.long))
    attacker = Attacker(head, (0,), support, Reference(seen.pick(labels > 0)), seen, 0.01)
    assert NearestImage()(attacker).accuracy(seen.pick(labels == 0)) > 0.95
    (alone, _), _ = ((d, s) for s, d in by_settings(NearestImage(), attacker))
    expected = [
        max(F.cosine_similarity(f, s, dim=0).item() for s in support.features) for f in features[:7]
    ]
    assert alone(seen)[:7, 0].tolist() == pytest.approx(expected)


def test_the_probe_is_a_ridge_regression_with_both_answers_of_equal_weight():
    attacker, sample = attacker_of(shots=7)
    own, others = attacker.support.features, attacker.reference.seen.features
    seen = sample(5)
    for settings, detector in by_settings(LinearProbe(ridges=(0.01, 1.0)), attacker):
        features = torch.cat([own, others])
        weight = torch.cat(
            [torch.full((len(own),), 0.5 / len(own)), torch.full((len(others),), 0.5 / len(others))]
        ).double()
        target = torch.cat([torch.full((len(own),), 0.5), torch.full((len(others),), -0.5)])
        middle = (weight[:, None] * features).sum(dim=0)
        centred = features - middle
        spread = centred.T @ (weight[:, None] * centred)
        size = spread.diagonal().mean()
        right = centred.T @ (weight * target.double())
        row = torch.linalg.solve(spread + settings["ridge"] * size * torch.eye(DEPTH), right)
        # equal up to a factor, which the attacker's threshold takes up
        ours = detector(seen)[:, 0]
        theirs = seen.features @ row
        torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm())


# --- the battery ----------------------------------------------------------------------------------


def battery_on(head, sample, **settings):
    retain = [0, 2, 3, 4]
    return HeadBattery(tuple(HEAD_ATTACKS.values()), **settings)(
        head,
        [1],
        pool=sample(20, [1]),
        reference=sample(30, retain),
        validation=sample(20),
        targets={"forget/test": sample(30, [1]), "retain/test": sample(30, retain)},
    )


def test_the_battery_runs_every_attack_with_every_k_and_draw():
    head, sample = world(2)
    outcomes = battery_on(head, sample, shots=(1, 5), seeds=(0, 1, 2))
    ran = [(o.attack, o.shots, o.seed) for o in outcomes]
    assert sorted(set(ran)) == sorted(ran)
    assert len(ran) == len(HEAD_ATTACKS) * 2 * 3
    for outcome in outcomes:
        assert set(outcome.accuracy) == {"forget/test", "forget/train", "retain/test"}
        assert all(0.0 <= value <= 1.0 for value in [*outcome.accuracy.values(), outcome.auroc])


def test_equal_seeds_give_equal_outcomes():
    one, two = (battery_on(*world(4), shots=(3,), seeds=(7,)) for _ in range(2))
    assert one == two


def test_the_attackers_samples_are_not_scored():
    head, sample = world(2)
    pool = sample(4, [1])
    retain = [0, 2, 3, 4]
    sets = {"reference": sample(30, retain), "validation": sample(20)}
    targets = {"forget/test": sample(30, [1]), "retain/test": sample(30, retain)}
    battery = HeadBattery((NearestImage(),), shots=(4,), seeds=(0,))
    (outcome,) = battery(head, [1], pool=pool, targets=targets, **sets)
    assert "forget/train" not in outcome.accuracy  # nothing is left of the pool


def test_more_shots_than_samples_are_refused():
    head, sample = world(2)
    with pytest.raises(ValueError, match="shots"):
        battery_on(head, sample, shots=(50,), seeds=(0,))


def test_auroc_counts_pairs_and_ties_by_half():
    def seen(values):
        rows = torch.tensor(values)[:, None]
        return Seen(rows, rows, torch.zeros(len(values), dtype=torch.long))

    own, others = seen([3.0, 1.0, 2.0]), seen([1.0, 2.0, 0.0, 5.0])
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in own.features.flatten()
        for b in others.features.flatten()
    ]
    found = Found({}, lambda s: s.features, 0.0, (0,))
    assert auroc(found, own, others) == pytest.approx(sum(pairs) / len(pairs))


# --- bad input ------------------------------------------------------------------------------------


def test_what_an_attacker_must_hold():
    attacker, sample = attacker_of()
    args = attacker.reference, attacker.validation
    with pytest.raises(ValueError, match="support holds no sample of forget class 1"):
        Attacker(attacker.head, (1,), sample(3, [2]), *args)
    with pytest.raises(ValueError, match="allowed"):
        Attacker(attacker.head, (1,), attacker.support, *args, 1.5)


def test_predictions_are_checked():
    out = Predictions(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="labels"):
        Seen.of(out, torch.zeros(2, dtype=torch.long))
    broken = Predictions(torch.full((3, 2), math.nan), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="features"):
        Seen.of(broken, torch.zeros(3, dtype=torch.long))


def test_a_wrapped_network_is_attacked_like_any_other():
    layers = [nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, CLASSES)]
    model = wrap(nn.Sequential(*layers), mean=[0.5] * 3, std=[0.25] * 3)
    images = ImageSet(torch.rand(60, 3, 2, 2, generator=seeded()), torch.arange(60) % CLASSES)
    seen = Seen.of(predict(model, images.images), images.labels)
    attacker = Attacker(
        model.head,
        (1,),
        seen.pick(torch.arange(0, 60, 10) + 1),
        Reference(seen.pick(images.labels != 1)),
        seen,
    )
    for attack in HEAD_ATTACKS.values():
        assert 0.0 <= attack(attacker).accuracy(seen) <= 1.0
