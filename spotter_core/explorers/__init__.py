"""Interactive explorers: a control moved, a picture redrawn from cached predictions.

Layer 10. Each is thin: what it shows comes from the core, and the pictures from ``plots``. Where
nobody can move a control (papermill, nbconvert) the same picture stands still.
"""

from collections.abc import Sequence
from pathlib import Path

from spotter_core.explorers.dispersion import Dispersion, DispersionExplorer
from spotter_core.explorers.live import LiveRun, Run
from spotter_core.explorers.neighborhood import Neighborhood, NeighborhoodExplorer
from spotter_core.explorers.opening import open_explorer
from spotter_core.explorers.relearning import Relearning, RelearningExplorer
from spotter_core.maps import embedding_map
from spotter_core.plots.style import YARDSTICKS
from spotter_core.profiles import Cell
from spotter_core.study import Study

__all__ = ["explore_dispersion", "explore_neighborhood", "explore_relearning", "watch_unlearning"]


def explore_neighborhood(
    study: Study, cell: Cell, methods: Sequence[str], *, still: Path | None = None
) -> None:
    """Show slices through forget images; choose method, image, direction, radius and place.

    Args:
        study: Its models and data.
        cell: Forget classes and seed.
        methods: To choose from, the first one is shown; both yardsticks stand beside it.
        still: File for the picture, ending in ``.png``, where nobody can move it.
    """
    chosen = compared(methods)
    open_explorer(
        study,
        cell,
        [*YARDSTICKS, *chosen],
        lambda: NeighborhoodExplorer(Neighborhood(study, cell), surviving(study, cell, chosen)),
        still=still,
    )


def explore_relearning(
    study: Study, cell: Cell, methods: Sequence[str], *, still: Path | None = None
) -> None:
    """Show what a handful of images bring back; choose model, k, blend, row and draw.

    Arguments as in :func:`explore_neighborhood`.
    """
    chosen = compared(methods)
    open_explorer(
        study,
        cell,
        [*YARDSTICKS, *chosen],
        lambda: RelearningExplorer(Relearning(study, cell), surviving(study, cell, chosen)),
        still=still,
    )


def explore_dispersion(
    study: Study, cell: Cell, methods: Sequence[str], *, still: Path | None = None
) -> None:
    """Show the common embedding of some models; point at an image to see it.

    Args:
        study: Its models and data.
        cell: Forget classes and seed.
        methods: In the embedding beside both yardsticks; its fit takes half a minute the first
            time, on small images.
        still: As in :func:`explore_neighborhood`.
    """
    chosen = compared(methods)
    mapped = [*YARDSTICKS, *chosen]

    def build() -> DispersionExplorer:
        seen = embedding_map(study, cell, [*YARDSTICKS, *surviving(study, cell, chosen)])
        return DispersionExplorer(Dispersion(study, cell, seen))

    open_explorer(study, cell, mapped, build, mapped=mapped, still=still)


def watch_unlearning(
    study: Study, cell: Cell, methods: Sequence[str], *, still: Path | None = None
) -> None:
    """Run a method again and watch it; begin, slow down, pause and end it by hand.

    Arguments as in :func:`explore_neighborhood`; methods without epochs are left out.
    """
    chosen = compared(methods)
    open_explorer(study, cell, YARDSTICKS, lambda: LiveRun(Run(study, cell), chosen), still=still)


def compared(methods: Sequence[str]) -> list[str]:
    """Return the methods without the yardsticks, which are always shown.

    Raises:
        ValueError: If none is left.
    """
    left = [m for m in dict.fromkeys(methods) if m not in YARDSTICKS]
    if not left:
        raise ValueError(
            f"methods must name one that is compared with the yardsticks, got {list(methods)}: "
            "try ['spotter']"
        )
    return left


def surviving(study: Study, cell: Cell, methods: Sequence[str]) -> list[str]:
    """Return those of ``methods`` that did not diverge, all of them made if they were not.

    Raises:
        ValueError: If none is left.
    """
    left = study.surviving(cell, methods)
    if not left:
        raise ValueError(
            f"methods must name one that did not diverge, got {list(methods)}: each reached a loss "
            f"that is not finite in {cell}; name others, or lower their learning_rate"
        )
    return left
