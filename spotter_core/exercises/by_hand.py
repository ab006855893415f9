"""OU@epsilon of one point by hand, and what comes out of the usual slips on the way.

Layer 10: from two logit vectors alone.
"""

import math

import torch
from torch import Tensor

from spotter_core.divergence import js_divergence, masked_log_softmax
from spotter_core.exercises.answers import Slip, slips_of
from spotter_core.metrics import over_unlearning

MASKED = {
    "plain": "This is the plain softmax: the forgotten class is still in it. Cut it out first, by "
    "setting its logit to -inf.",
    "holed": "You set the forgotten class to 0 after the softmax, and nothing was renormalised: "
    "the numbers no longer sum to 1, so they are no distribution. Set the logit to -inf before the "
    "softmax; then the rest shares everything.",
    "zero": "You set the forgotten class's logit to 0. That is a logit like any other, it still "
    "gets probability. Probability 0 is logit -inf.",
    "logits": "The logit is masked as it should be, but these are still logits: the softmax is "
    "missing.",
    "logarithms": "These are the logarithms of the probabilities asked for: take exp(), or softmax "
    "in place of log_softmax.",
}
DIVERGENCE = {
    "kl": "This is KL(p || q), straight from one distribution to the other. Jensen-Shannon goes by "
    "the middle m = (p + q)/2, and takes half of each way: it is symmetric, and it stays finite "
    "where one of the two is 0.",
    "no half": "This is twice the value: both ways to the middle are added, and the half in front "
    "of each is missing. (The largest value would be 2 ln 2, not ln 2.)",
    "bits": "The value is in bits, from log2. The study counts in nats: use the natural log, so "
    "that the most is ln 2 = 0.693 instead of 1.",
    "root": "This is the square root, the Jensen-Shannon distance (scipy's jensenshannon returns "
    "that one). OU is the divergence: square it.",
    "mean over classes": "You took the mean over the classes. A divergence is a sum over classes, "
    "weighted by their probabilities; means are taken over points.",
    "p only": "This is only the way from p to the middle: q's is missing, and both halves.",
    "q only": "This is only the way from q to the middle: p's is missing, and both halves.",
    "neither masked": "Here the original's answer still holds the forgotten class. Then a network "
    "that forgets it perfectly would be punished for it: cut it out of the original's answer.",
    "both masked": "You cut the class out of both answers. This is the conditional shift, one of "
    "the two parts of OU: for OU the unlearned network's softmax stays whole, so that what it "
    "still gives to the class is counted.",
    "roles": "The roles are exchanged: the class is cut out of the original's answer, and the "
    "unlearned network's is left whole.",
    "holed": "The class was set to 0 after the softmax and nothing was renormalised, so p does not "
    "sum to 1 and the formula no longer compares two distributions.",
    "all points": "This is the mean over all points; asked for is the one point printed above.",
}
MASS = {
    "before": "This is the original's probability for the class, before anything was forgotten.",
    "rest": "This is everything but the class: the mass is what the class itself still gets.",
    "logit": "This is the class's logit: take the softmax first.",
    "none": "This would be 0 only if the class were cut out. The unlearned network's softmax is "
    "not masked; if you rounded, give three digits.",
}


def masked_slips(before: Tensor, forgotten: int) -> list[Slip]:
    """Return what comes out where the original's answer with the class cut out is missed.

    Args:
        before: ``(C,)`` the original's logits.
        forgotten: The class to cut out.
    """
    before, out = before.double(), torch.tensor([forgotten])
    masked = before.index_fill(0, out, -torch.inf)
    values = {
        "plain": before.softmax(dim=0),
        "holed": before.softmax(dim=0).index_fill(0, out, 0.0),
        "zero": before.index_fill(0, out, 0.0).softmax(dim=0),
        "logits": masked,
        "logarithms": masked.log_softmax(dim=0),
    }
    return slips_of(values, MASKED)


def divergence_slips(before: Tensor, after: Tensor, forgotten: int, mean: float) -> list[Slip]:
    """Return what comes out where OU of one point is missed.

    Args:
        before: ``(C,)`` the original's logits.
        after: ``(C,)`` the unlearned network's.
        forgotten: The class to cut out of the original's answer.
        mean: OU over all points, which somebody may give in place of this one's.
    """
    z, u = before.double()[None], after.double()[None]
    plain, p, q = (
        z.log_softmax(dim=1),
        masked_log_softmax(z, [forgotten]),
        u.log_softmax(dim=1),
    )
    both = masked_log_softmax(u, [forgotten])
    holed = plain.index_fill(1, torch.tensor([forgotten]), -torch.inf)
    ou, middle = over_unlearning(z, u, [forgotten]).item(), (p.exp() + q.exp()) / 2
    values = {
        "kl": torch.xlogy(p.exp(), p.exp() / q.exp()).sum().item(),
        "no half": 2 * ou,
        "bits": ou / math.log(2.0),
        "root": math.sqrt(ou),
        "mean over classes": ou / len(before),
        "p only": torch.xlogy(p.exp(), p.exp() / middle).sum().item(),
        "q only": torch.xlogy(q.exp(), q.exp() / middle).sum().item(),
        "neither masked": js_divergence(plain, q).item(),
        "both masked": js_divergence(p, both).item(),
        "roles": js_divergence(plain, both).item(),
        "holed": js_divergence(holed, q).item(),
        "all points": mean,
    }
    return slips_of(values, DIVERGENCE)


def mass_slips(before: Tensor, after: Tensor, forgotten: int) -> list[Slip]:
    """Return what comes out where the forget mass that is left is missed; arguments as above."""
    values = {
        "before": before.double().softmax(dim=0)[forgotten].item(),
        "rest": 1 - after.double().softmax(dim=0)[forgotten].item(),
        "logit": after[forgotten].item(),
        "none": 0.0,
    }
    return slips_of(values, MASS)
