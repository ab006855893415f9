"""A class that no network of a cell was trained on, made of the data set itself.

Layer 4. What a network learns fast, it need not have known: a control tells how fast it learns what
is new to it. Without another data set at hand, images of a retained class turned upside down are
such a class: same pixels, same statistics, same strokes and textures, in an arrangement that was
never shown with any label (augmentation mirrors left and right only).
"""

from collections.abc import Mapping, Sequence

import torch

from spotter_core._checks import check_forget_classes
from spotter_core.data import ImageSet
from spotter_core.models import Classifier
from spotter_core.training import predict


def upside_down(samples: ImageSet, sources: Mapping[int, int]) -> ImageSet:
    """Return the images of some classes, top to bottom, as if they were of others.

    Args:
        samples: Of any part, train, validation or test; ``(N, C, H, W)``. Left as they are.
        sources: Of :func:`never_seen_classes`: for each forgotten class, whose label the images
            get, the class that they are taken from.

    Raises:
        ValueError: If the images are no pictures, or a source has none among them.
    """
    if samples.images.ndim != 4:
        shape = tuple(samples.images.shape)
        raise ValueError(f"images must be (N, C, H, W) to have an upside, got {shape}")
    parts = []
    for label, source in sorted(sources.items()):
        members = (samples.labels == source).nonzero().flatten()
        if len(members) == 0:
            raise ValueError(f"samples hold no image of class {source}, the source of {label}")
        images = samples.images[members].flip(2)
        parts.append((images, torch.full_like(samples.labels[members], label)))
    return ImageSet(*(torch.cat(column) for column in zip(*parts, strict=True)))


def never_seen_classes(
    original: Classifier, retain: ImageSet, forget_classes: Sequence[int]
) -> dict[int, int]:
    """Return for each forgotten class the retained one that stands for it upside down.

    Not every class is new when turned: a zero stays one, a six may become a nine, and a two looks
    like the three that was forgotten. Those are taken whose turned images the original takes least
    for anything that it knows: the largest mean probability of a retained class and the mean
    probability of the forgotten ones, added up, are smallest. With several forgotten classes, the
    best is the first one's. It depends on the original alone, so all methods of a cell share it.

    Caveat: a turned image still shares strokes with what the network knows, as any new class does.

    Args:
        original: The network before unlearning; left as it is.
        retain: Retained images, not those that are reported on: validation.
        forget_classes: The classes to stand for.

    Raises:
        ValueError: If there are fewer retained classes than forgotten ones.
    """
    forgotten = list(check_forget_classes(forget_classes, original.head.out_features))
    candidates = [c for c in retain.labels.unique().tolist() if c not in forgotten]
    if len(candidates) < len(forgotten):
        raise ValueError(
            f"a class never seen needs a retained class for each forgotten one: there are "
            f"{len(candidates)} for {len(forgotten)}"
        )
    turned = upside_down(retain, {c: c for c in candidates})
    probabilities = predict(original, turned.images).logits.double().softmax(dim=1)
    known = {}
    for c in candidates:
        mean = probabilities[turned.labels == c].mean(dim=0)
        taken = mean[forgotten].sum()
        mean[forgotten] = 0.0
        known[c] = (mean.max() + taken).item()
    ranked = sorted(candidates, key=lambda c: (known[c], c))
    return dict(zip(forgotten, ranked, strict=False))
