"""The formulas once more: slowly, in plain Python floats, sample by sample. No torch in here."""

import math


def softmax(row):
    """Probabilities of a list of logits; -inf is allowed."""
    top = max(row)
    weights = [math.exp(z - top) for z in row]
    total = math.fsum(weights)
    return [w / total for w in weights]


def masked_softmax(row, forget_classes):
    """Probabilities with those of the forget classes 0 and the rest renormalised."""
    kept = [c for c in range(len(row)) if c not in forget_classes]
    result = [0.0] * len(row)
    for c, p in zip(kept, softmax([row[c] for c in kept]), strict=True):
        result[c] = p
    return result


def kl(p, q):
    """Nats; a class of probability 0 in p costs nothing."""
    terms = [a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0.0]
    return math.fsum(terms)


def js(p, q):
    """Nats, between 0 and ln 2."""
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def cosine(a, b):
    """Cosine similarity; 0 if one of them is the zero vector."""
    lengths = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def mean_pair_cosine(vectors, labels):
    """Mean cosine over ordered pairs of different samples of one class; 0 without a pair."""
    pairs = [
        cosine(vectors[i], vectors[j])
        for i in range(len(vectors))
        for j in range(len(vectors))
        if i != j and labels[i] == labels[j]
    ]
    return math.fsum(pairs) / len(pairs) if pairs else 0.0
