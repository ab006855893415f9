"""The battery's head-level attacks against slow versions of them, and the rule they share."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Generator, nn
from torch.nn import functional as F

from spotter_core.attacks import (
    HEAD_ATTACKS,
    AllMeans,
    Attacker,
    CalibratedRow,
    LinearProbe,
    NearestImage,
    NearestMean,
    Novelty,
    PrototypeAttack,
    PublishedRow,
    Reference,
    Seen,
    WhitenedMean,
    draw_support,
)
from spotter_core.attacks.battery import HeadBattery, auroc
from spotter_core.attacks.detection import answers, loss_of_retained, threshold_within
from spotter_core.attacks.full_probe import fit_head, full_probe
from spotter_core.data import ImageSet
from spotter_core.models import wrap
from spotter_core.training import Predictions, predict

CLASSES, DEPTH, DRAWS = 5, 6, 3


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
    support = sample(DRAWS * shots, forget).features.unflatten(0, (len(forget), DRAWS, shots))
    held = support.transpose(0, 1), Reference(sample(30, retain)), sample(20)
    return Attacker(head, tuple(forget), *held, allowed), sample


def share_right(found, seen):
    """Accuracy, mean over draws."""
    return found.hits(seen).double().mean().item()


def by_settings(attack, attacker):
    return list(attack.detectors(attacker))


# --- the rule they share --------------------------------------------------------------------------


def test_the_forget_class_is_answered_above_the_threshold_and_the_best_other_below_it():
    logits = torch.tensor([[9.0, 1.0, 2.0, 0.0], [0.0, 1.0, 2.0, 9.0], [5.0, 4.0, 3.0, 2.0]])
    margins = torch.tensor([[0.5, 0.6], [0.2, 0.1], [-1.0, -2.0]])
    # above the threshold, not at it; each draw with its own
    thresholds = torch.tensor([0.15, math.inf, 0.2])
    found = answers(margins.expand(3, 3, 2), logits, (0, 3), thresholds)
    assert found.tolist() == [[3, 0, 1], [2, 2, 1], [3, 2, 1]]


@pytest.mark.parametrize("allowed", [0.0, 0.03, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_least_of_all_that_keep_within_what_is_allowed(seed, allowed):
    draw = seeded(seed)
    logits = torch.randn(40, 4, generator=draw).double()
    labels = torch.where(torch.rand(40, generator=draw) < 0.8, logits.argmax(dim=1), 2)
    labels[labels == 1] = 3  # class 1 is forgotten; some samples are taken for it
    retain = Seen(torch.zeros(40, 1), logits, labels)
    draws = torch.randn(2, 40, 1, generator=draw).double().round(decimals=1)  # with ties
    thresholds = threshold_within(draws, retain, (1,), allowed)
    lost_by_them = loss_of_retained(draws, retain, (1,), thresholds).tolist()
    before = (logits.argmax(dim=1) == labels).double().mean().item()

    def lost(margins, threshold):
        predicted = [
            1 if m > threshold else max((0, 2, 3), key=lambda c: row[c].item())
            for m, row in zip(margins, logits, strict=True)
        ]
        hits = [p == y for p, y in zip(predicted, labels.tolist(), strict=True)]
        return before - sum(hits) / len(hits)

    for margins, found, loss in zip(
        draws[:, :, 0].tolist(), thresholds.tolist(), lost_by_them, strict=True
    ):
        tried = [-math.inf, *sorted(set(margins)), math.inf]
        kept = [t for t in tried if lost(margins, t) <= allowed + 1e-9]
        assert loss == pytest.approx(lost(margins, found))
        assert loss <= allowed + 1e-9
        assert [m > found for m in margins] == [m > kept[0] for m in margins]


def test_a_threshold_needs_retained_samples():
    empty = Seen(torch.zeros(0, 1), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="validation holds no retained sample"):
        threshold_within(torch.zeros(1, 0, 1), empty, (1,), 0.1)


@pytest.mark.parametrize("name", HEAD_ATTACKS)
def test_each_draw_takes_the_best_of_the_grid_on_the_attackers_own_images(name):
    attack = HEAD_ATTACKS[name]
    attacker, _ = attacker_of(seed=3)
    forget, retain = attacker.halves
    chosen = attack(attacker)
    for draw in range(DRAWS):
        within = []
        for settings, detector in attack.detectors(attacker):
            margins = detector(retain)[draw, None]
            limit = torch.zeros(1, dtype=torch.float64)
            if attack.calibrated:
                limit = threshold_within(margins, retain, (1,), 0.05)
            if loss_of_retained(margins, retain, (1,), limit).item() <= 0.05 + 1e-9:
                own = answers(detector(forget)[draw, None], forget.logits, (1,), limit)
                within.append(((own == 1).double().mean().item(), settings))
        most = max(share for share, _ in within)
        assert chosen.settings[draw] == next(s for share, s in within if share == most)
        assert chosen.hits(forget)[draw].double().mean().item() == most


# A row of unit length among longer ones and single directions that other classes share do what they
# can; and novelty can't tell two forgotten classes apart.
LEAST_OF_TWO = {"pra": 0.4, "linear_probe": 0.5, "lda": 0.3, "nearest_mean": 0.3, "novelty": 0.4}


@pytest.mark.parametrize(
    ("name", "forget", "least"),
    [(name, (1,), {"lda": 0.3}.get(name, 0.9)) for name in HEAD_ATTACKS]
    + [(name, (0, 3), LEAST_OF_TWO.get(name, 0.85)) for name in HEAD_ATTACKS],
)
def test_every_attack_brings_separate_classes_back_and_changes_nothing(name, forget, least):
    attacker, sample = attacker_of(seed=1, forget=forget)
    before = copy.deepcopy(attacker.head.state_dict())
    support = attacker.support.clone()
    found = HEAD_ATTACKS[name](attacker)
    assert share_right(found, sample(50, forget)) > least
    retained = sample(50, [c for c in range(CLASSES) if c not in forget])
    assert share_right(found, retained) > 0.85
    after = attacker.head.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert torch.equal(support, attacker.support)


# those that compete with what the network knows find what is merely unlike it
@pytest.mark.parametrize("name", ["nearest_mean", "lda", "nearest_image"])
def test_samples_of_other_classes_called_forgotten_bring_nothing_back(name):
    regained = []
    for seed in range(8):
        attacker, sample = attacker_of(seed, allowed=0.01)
        strangers = sample(12, [c for c in range(CLASSES) if c != 1]).features
        order = [torch.randperm(48, generator=seeded(seed + i))[:12] for i in range(DRAWS)]
        misled = replace(attacker, support=strangers[torch.stack(order)][:, None])
        regained.append(share_right(HEAD_ATTACKS[name](misled), sample(50, [1])))
    assert sum(regained) / 8 < 0.25  # guessing is 0.2


# --- each of them ---------------------------------------------------------------------------------


def test_the_published_row_is_the_published_attack(model, samples):
    """The same answers as from the copy with a rewritten head that ``PrototypeAttack`` returns."""
    own = samples.subset(samples.labels == 2)
    seen = Seen.of(predict(model, samples.images), samples.labels)
    support = seen.features[samples.labels == 2][None, None]
    attacker = Attacker(model.head, (2,), support, Reference(seen), seen, 0.0)
    for alpha in (0.0, 0.4, 1.0):
        attacked = PrototypeAttack(shots=12, alpha=alpha)(
            model, own.images, own.labels, [2], generator=seeded()
        )
        ((_, detector),) = PublishedRow(alphas=(alpha,)).detectors(attacker)
        found = answers(detector(seen), seen.logits, (2,), torch.zeros(1))
        assert torch.equal(found[0], predict(attacked, samples.images).logits.argmax(1))


def test_at_alpha_0_nothing_is_attacked():
    attacker, sample = attacker_of()
    seen = sample(20)
    found = PublishedRow(alphas=(0.0,))(attacker)
    expected = seen.logits.argmax(dim=1) == seen.labels
    assert torch.equal(found.hits(seen), expected.expand(DRAWS, -1))


def test_the_calibrated_row_is_as_long_as_it_says():
    attacker, sample = attacker_of()
    seen = sample(10)
    kept = [0, 2, 3, 4]
    mean_length = attacker.head.weight[kept].norm(dim=1).mean().item()
    p = F.normalize(attacker.support[1, 0].mean(dim=0), dim=0)
    for settings, detector in by_settings(CalibratedRow(scales=(0.5, 2.0)), attacker):
        row = settings["scale"] * mean_length * p
        expected = [
            sum(a * b for a, b in zip(f.tolist(), row.tolist(), strict=True))
            - max(z[c].item() for c in kept)
            for f, z in zip(seen.features, seen.logits, strict=True)
        ]
        assert detector(seen)[1, :, 0].tolist() == pytest.approx(expected)


def means_by_hand(attacker, draw):
    """Retained means by class, their center, and the attacker's own means, one sample at a time."""
    reference = attacker.reference.seen
    kept = reference.labels.unique().tolist()
    means = {
        c: torch.stack([f for f, y in zip(*reference[::2], strict=True) if y == c]).mean(dim=0)
        for c in kept
    }
    own = {c: attacker.support[draw, i].mean(dim=0) for i, c in enumerate(attacker.forget_classes)}
    return means, sum(means.values()) / len(means), own


def test_the_nearest_mean_is_seen_from_the_center_of_the_retained_classes():
    attacker, sample = attacker_of(forget=(0, 3))
    seen = sample(6)
    _, center, own = means_by_hand(attacker, 2)
    ((_, detector),) = by_settings(NearestMean(), attacker)
    for i, f in enumerate(seen.features):
        expected = [F.cosine_similarity(f - center, own[c] - center, dim=0).item() for c in (0, 3)]
        assert detector(seen)[2, i].tolist() == pytest.approx(expected)


def covariance(attacker, shrinkage):
    """The one that scikit-learn's discriminant analysis shrinks, around the class means."""
    reference = attacker.reference.seen
    kept = len(reference.labels.unique())
    theirs = LinearDiscriminantAnalysis(
        solver="lsqr", shrinkage=shrinkage, priors=[1 / kept] * kept
    )
    return theirs.fit(reference.features.numpy(), reference.labels.numpy())


def test_whitening_is_the_discriminant_between_the_attackers_mean_and_the_center():
    attacker, sample = attacker_of(shots=4)
    seen = sample(10)
    _, center, own = means_by_hand(attacker, 1)
    ((_, detector),) = by_settings(WhitenedMean(shrinkage=(0.3,)), attacker)
    row = np.linalg.solve(covariance(attacker, 0.3).covariance_, (own[1] - center).numpy())
    expected = seen.features.numpy() @ row
    assert detector(seen)[1, :, 0].tolist() == pytest.approx(expected.tolist())


def test_among_all_means_the_best_retained_one_competes():
    attacker, sample = attacker_of(forget=(0, 3))
    seen = sample(6)
    means, _, own = means_by_hand(attacker, 2)
    found = {s["distance"]: d(seen) for s, d in by_settings(AllMeans(), attacker)}
    for i, f in enumerate(seen.features):
        like = {c: F.cosine_similarity(f, m, dim=0).item() for c, m in (means | own).items()}
        near = {c: -(f - m).square().sum().item() for c, m in (means | own).items()}
        for name, scores in (("cosine", like), ("euclidean", near)):
            best = max(scores[c] for c in means)
            expected = [scores[0] - best, scores[3] - best]
            assert found[name][2, i].tolist() == pytest.approx(expected)


def test_among_all_means_whitening_is_linear_discriminant_analysis():
    """scikit-learn's of the retained classes, and the attacker's mean among theirs."""
    attacker, sample = attacker_of(shots=4)
    seen, theirs = sample(10), covariance(attacker, 0.3)
    *_, (_, detector) = by_settings(AllMeans(shrinkage=(0.3,)), attacker)
    own = attacker.support[1, 0].mean(dim=0).numpy()
    row = np.linalg.solve(theirs.covariance_, own)
    score = seen.features.numpy() @ row - 0.5 * own @ row
    best = theirs.decision_function(seen.features.numpy()).max(axis=1) - math.log(0.25)
    # twice the score, as a difference of squared distances is
    assert detector(seen)[1, :, 0].tolist() == pytest.approx((2 * (score - best)).tolist())


def test_novelty_is_unlikeness_to_the_retained_classes_whatever_the_images():
    attacker, sample = attacker_of(forget=(0, 3))
    seen = sample(5)
    means, _, _ = means_by_hand(attacker, 0)
    found = {s["likeness"]: d for s, d in by_settings(Novelty(shrinkage=(0.3,)), attacker)}
    inverse = np.linalg.inv(covariance(attacker, 0.3).covariance_)
    for i, (f, z) in enumerate(zip(seen.features, seen.logits, strict=True)):
        apart = [(f - m).numpy() for m in means.values()]
        expected = {
            "logit": -max(z[c].item() for c in means),
            "cosine": -max(F.cosine_similarity(f, m, dim=0).item() for m in means.values()),
            "distance": min(math.sqrt(d @ inverse @ d) for d in apart),
        }
        for name, value in expected.items():
            assert found[name](seen)[:, i].flatten().tolist() == pytest.approx([value] * 6)
    misled = replace(attacker, support=torch.randn_like(attacker.support))
    assert torch.equal(Novelty()(misled).hits(seen), Novelty()(attacker).hits(seen))


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
    retained = retained + 0.05 * torch.randn(80, depth, generator=draw, dtype=torch.float64)
    features = torch.cat([clustered(80), retained])
    labels = torch.tensor([0] * 80 + [1] * 40 + [2] * 40)
    head = nn.Linear(depth, 3, dtype=torch.float64)
    seen = Seen(features, F.one_hot(labels, 3).double(), labels)
    support = clustered(count)[None, None]
    attacker = Attacker(head, (0,), support, Reference(seen.pick(labels > 0)), seen, 0.01)
    assert share_right(NearestImage()(attacker), seen.pick(labels == 0)) > 0.95
    ((_, nearest),) = by_settings(NearestImage(), attacker)
    _, center, _ = means_by_hand(attacker, 0)
    expected = [
        max(F.cosine_similarity(f - center, s - center, dim=0).item() for s in support[0, 0])
        for f in features[:7]
    ]
    assert nearest(seen)[0, :7, 0].tolist() == pytest.approx(expected)


def test_the_probe_is_a_ridge_regression_with_both_answers_of_equal_weight():
    attacker, sample = attacker_of(shots=7)
    own, others = attacker.support[2, 0], attacker.reference.seen.features
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
        ours = detector(seen)[2, :, 0]
        theirs = seen.features @ row
        torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm())


def test_the_full_probe_is_a_new_head_on_all_images():
    _, sample = world(3, apart=4.0)
    kept = [0, 2, 3, 4]
    targets = {"forget/test": sample(40, [1]), "retain/test": sample(40, kept)}
    found = full_probe(sample(30, [1]), sample(30, kept), targets)
    assert min(found.values()) > 0.95
    blind = {
        w: seen._replace(features=torch.ones_like(seen.features)) for w, seen in targets.items()
    }
    pool, reference = (
        s._replace(features=torch.ones_like(s.features))
        for s in (sample(30, [1]), sample(30, kept))
    )
    assert sum(full_probe(pool, reference, blind).values()) <= 1.0  # one answer for everything


@pytest.mark.parametrize("classes", [[2], [0, 2], [0, 1, 3]])
def test_a_fitted_head_is_scikit_learns(classes):
    _, sample = world(5, apart=2.0)
    seen, others = sample(20, classes), sample(15, classes)
    head = fit_head(seen)
    assert head.classes.tolist() == classes
    answers = head.classes[(others.features @ head.weight.T + head.bias).argmax(dim=1)]
    if len(classes) == 1:
        assert answers.tolist() == [2] * 15
        return
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    theirs.fit(seen.features.numpy(), seen.labels.numpy())
    assert answers.tolist() == theirs.predict(others.features.numpy()).tolist()


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
    ran = [(o.attack, o.shots) for o in outcomes]
    assert sorted(ran) == sorted((name, k) for name in HEAD_ATTACKS for k in (1, 5))
    for outcome in outcomes:
        assert set(outcome.accuracy) == {"forget/test", "forget/train", "retain/test"}
        assert outcome.rates.shape == (30,)
        assert outcome.rates.mean() == pytest.approx(outcome.accuracy["forget/test"].mean().item())
        for values in [*outcome.accuracy.values(), outcome.auroc]:
            assert values.shape == (3,)
            assert values.min() >= 0.0
            assert values.max() <= 1.0


def test_all_draws_at_once_are_what_each_is_alone():
    whole = battery_on(*world(4), shots=(1, 3), seeds=(7, 8))
    one, other = (battery_on(*world(4), shots=(1, 3), seeds=(seed,)) for seed in (7, 8))
    for both, *alone in zip(whole, one, other, strict=True):
        assert both.settings == [s for o in alone for s in o.settings]
        torch.testing.assert_close(both.thresholds, torch.cat([o.thresholds for o in alone]))
        for where, values in both.accuracy.items():
            assert values.tolist() == [o.accuracy[where].item() for o in alone]
        torch.testing.assert_close(both.auroc, torch.cat([o.auroc for o in alone]))


def test_the_attackers_samples_are_not_scored():
    head, sample = world(2)
    pool = sample(6, [1])
    retain = [0, 2, 3, 4]
    sets = {"reference": sample(30, retain), "validation": sample(20)}
    targets = {"forget/test": sample(30, [1]), "retain/test": sample(30, retain)}
    battery = HeadBattery((NearestImage(),), shots=(4, 6), seeds=(0,))
    four, six = battery(head, [1], pool=pool, targets=targets, **sets)
    held = draw_support(pool.labels, (1,), 6, seeded(0))[0, :4].tolist()
    support = pool.features[held][None, None]
    attacker = Attacker(head, (1,), support, Reference(sets["reference"]), sets["validation"])
    rest = [i for i in range(6) if i not in held]
    hits = NearestImage()(attacker).hits(pool)[0, rest].double().mean().item()
    assert four.accuracy["forget/train"].item() == pytest.approx(hits)
    assert six.accuracy["forget/train"].isnan().all()  # nothing is left of the pool


def test_more_shots_than_samples_are_refused():
    head, sample = world(2)
    with pytest.raises(ValueError, match="shots"):
        battery_on(head, sample, shots=(50,), seeds=(0,))


def test_auroc_counts_pairs_and_ties_by_half():
    own, others = [3.0, 1.0, 2.0], [1.0, 2.0, 0.0, 5.0]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in others]
    forgotten = torch.tensor([own, [9.0, 9.0, 9.0]])[:, :, None]
    found = auroc(forgotten, torch.tensor([others, others])[:, :, None])
    assert found.tolist() == pytest.approx([sum(pairs) / len(pairs), 1.0])


# --- bad input ------------------------------------------------------------------------------------


def test_what_an_attacker_must_hold():
    attacker, _ = attacker_of()
    args = attacker.reference, attacker.validation
    for shape in ((3, 2, 4, DEPTH), (3, 1, 0, DEPTH), (4, DEPTH)):
        with pytest.raises(ValueError, match=r"support must be \(draws, 1, shots, features\)"):
            Attacker(attacker.head, (1,), torch.zeros(shape), *args)
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
        seen.features[torch.arange(0, 60, 10) + 1][None, None],
        Reference(seen.pick(images.labels != 1)),
        seen,
    )
    for attack in HEAD_ATTACKS.values():
        assert 0.0 <= share_right(attack(attacker), seen) <= 1.0
