"""Attacks that train: fine-tuning, convergence speed, and transformations for free.

Layer 5, above the head-level attacks, whose rule they share: learning rate and number of steps are
the attacker's choice on images of his own, for at most ``allowed`` of the retained accuracy. Every
attack works on a copy, and with the same images in the same order for every model.
"""

from spotter_core.relearning.descent import share_right
from spotter_core.relearning.fine_tuning import Curve, FineTuning, Held, Relearned
from spotter_core.relearning.free import FREE, in_eight_bits, with_noise, with_statistics_of
from spotter_core.relearning.reminiscence import Reminded, Reminiscence

__all__ = [
    "FREE",
    "Curve",
    "FineTuning",
    "Held",
    "Relearned",
    "Reminded",
    "Reminiscence",
    "in_eight_bits",
    "share_right",
    "with_noise",
    "with_statistics_of",
]
