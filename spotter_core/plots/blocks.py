"""Methods in two blocks, those that read forget samples alone and those that read retained ones.

Layer 9. No table mixes the two; where methods are many, no panel of curves does either.
"""

from collections.abc import Sequence

from spotter_core.plots.style import CONTROLS, DOTS, look

MANY = 12
"""Lines in a panel that are still told apart; more are drawn in a panel for each block."""
FORGET_ONLY, WITH_RETAIN = "reads forget samples only", "reads retained samples, too"


def reads_retained(method: str) -> bool:
    """Return whether a method, or the one that Spotter is around, reads retained samples."""
    return bool(look(method.rpartition("+")[2]).dashes == DOTS)


def parted(methods: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the methods that are no control: forget samples only, and the others."""
    rest = [name for name in methods if name not in CONTROLS]
    return [m for m in rest if not reads_retained(m)], [m for m in rest if reads_retained(m)]


def in_blocks(methods: Sequence[str]) -> list[str]:
    """Return the methods block by block, the controls first; inside a block order is kept."""
    first = [name for name in methods if name in CONTROLS]
    return [*first, *(name for block in parted(methods) for name in block)]


def block_edges(methods: Sequence[str]) -> list[int]:
    """Return at which places of :func:`in_blocks` another block starts."""
    ordered = in_blocks(methods)
    kinds = [0 if m in CONTROLS else 1 + reads_retained(m) for m in ordered]
    return [i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]]


def blocks_of(methods: Sequence[str]) -> dict[str, list[str]]:
    """Return what is drawn in one panel: all of up to :data:`MANY` methods, else block by block.

    Yardsticks are in every block; a single block has no name.
    """
    first = [name for name in methods if name in CONTROLS]
    blocks = dict(zip((FORGET_ONLY, WITH_RETAIN), parted(methods), strict=True))
    if len(methods) <= MANY or not all(blocks.values()):
        return {"": list(methods)}
    return {name: [*first, *block] for name, block in blocks.items()}
