"""Formulas as MathML, which browsers draw by themselves: no script, no font from elsewhere."""

import re
from xml.etree import ElementTree

from latex2mathml.converter import convert

CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "mover": 2, "munder": 2, "mroot": 2}
"""How many children an element must have; the converter writes fewer where an argument lacks."""

FUNCTIONS = re.compile(r"<mi>(ln|log|exp|sin|cos|arg|det|dim|sup|inf|max|min)</mi>")


def to_mathml(formula: str, *, display: bool = False) -> str:
    r"""Return a formula of TeX as MathML.

    Args:
        formula: Without the dollars.
        display: Whether it stands on a line of its own.

    Raises:
        ValueError: If a macro is unknown, a brace or an argument is missing.

    Examples:
        >>> to_mathml(r"\alpha").endswith("<mrow><mi>&#x003B1;</mi></mrow></math>")
        True
    """
    bare = re.sub(r"\\[\\{}]", "", formula)
    if bare.count("{") != bare.count("}"):
        raise ValueError(f"the braces of the formula {formula!r} do not match")
    # the converter slants a single letter, whatever it is told
    upright = re.sub(r"\\mathrm\s*\{(\w)\}", r"\\text{\1}", formula)
    try:
        markup: str = convert(upright, display="block" if display else "inline")
        tree = ElementTree.fromstring(markup)
    except Exception as error:  # the converter has a class of exception for each thing it misses
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ValueError(f"the formula {formula!r} can't be shown ({reason})") from error
    for element in tree.iter():
        if unknown := re.search(r"\\\w+", element.text or ""):
            raise ValueError(f"the formula {formula!r} has an unknown macro {unknown[0]}")
        kind = element.tag.rpartition("}")[2]
        if len(element) != CHILDREN.get(kind, len(element)):
            raise ValueError(f"the formula {formula!r} lacks an argument ({kind})")
    # and sets functions without the space that tells m ln 2 from mln2
    return FUNCTIONS.sub(r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', markup)
