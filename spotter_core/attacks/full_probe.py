"""A new head on frozen features, with every training image of the class: what any head could do.

Layer 4. No attacker with a handful of images; the upper bound of those who leave the features as
they are.
"""

from collections.abc import Mapping

import torch

from spotter_core.attacks.detection import Seen


def full_probe(pool: Seen, reference: Seen, targets: Mapping[str, Seen]) -> dict[str, float]:
    """Return the accuracy of a logistic regression over all classes, by target, in [0, 1].

    Classes weigh alike; features are standardised; the penalty is scikit-learn's default, L2 with
    C = 1.

    Args:
        pool: All training samples of the forget classes.
        reference: Retained ones.
        targets: Samples to score on.

    References:
        The "knowledge retention" test of the ESC code, a new head on a frozen backbone, here
        trained to its optimum.
    """
    # here, since whoever only reads rows or draws should not wait for it
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = torch.cat([pool.features, reference.features]).cpu().numpy()
    labels = torch.cat([pool.labels, reference.labels]).cpu().numpy()
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500)
    )
    probe.fit(features, labels)
    return {
        where: float(probe.score(seen.features.cpu().numpy(), seen.labels.cpu().numpy()))
        for where, seen in targets.items()
    }
