"""A study: what its workshop makes of a profile's cells, measured; one file of rows a measurement.

Layer 7. Rows that were computed before by the same code of the same models are loaded.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spotter_core.files import settings_hash
from spotter_core.profiles import Cell
from spotter_core.results import Row, load_file, save_rows
from spotter_core.runtime import describe_run
from spotter_core.sources import code_fingerprint
from spotter_core.workshop import Workshop

log = logging.getLogger(__name__)


class Study(Workshop):
    """A profile's cells and all that is made and measured of them; arguments as of a workshop."""

    def ablation_cells(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that notebook 07 makes more models of: the profile's ablation seeds."""
        seeds = self.profile.ablation_seeds
        return [cell for cell in cells if cell.seed in seeds] or list(cells)

    def attacked_cells(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that the battery attacks: those of the profile's ``attacked`` classes.

        All of them, if none is among the profile's.
        """
        chosen = {tuple(sorted(classes)) for classes in self.profile.attacked}
        return [cell for cell in cells if cell.forget in chosen] or list(cells)

    def closely_attacked(self, how: str) -> list[str]:
        """Return the models that take part in what takes longest of the battery.

        Args:
            how: ``"by_stage"`` or ``"by_training"``, the profile's keys.
        """
        chosen = getattr(self.profile, how)
        methods = self.profile.methods if chosen is None else chosen
        return ["original", *(m for m in methods if m != "original")] if methods else []

    def row(
        self, cell: Cell, method: str, where: str, measure: str, value: float, unit: str, **at: Any
    ) -> Row:
        """Return a row with the study's columns filled in."""
        return Row(
            dataset=self.profile.label,
            arch=self.arch,
            method=method,
            forget=cell.classes,
            seed=cell.seed,
            split=where,
            measure=measure,
            value=value,
            unit=unit,
            settings=self.fingerprint(cell, method),
            at=at,
        )

    def rows_path(self, measurement: str, cell: Cell) -> Path:
        """Return where the rows of a measurement of a cell lie."""
        return self.root / "rows" / measurement / f"{cell}.json"

    def measured(
        self,
        compute: Callable[["Study", Cell, Sequence[str]], list[Row]],
        cell: Cell,
        methods: Sequence[str],
    ) -> list[Row]:
        """Return the rows of one measurement of one cell; loaded if they are true, else computed.

        Args:
            compute: A function of ``measurements``; its name names the file.
            cell: Forget classes and seed.
            methods: Models to measure, ``"original"`` among them; one that diverged has one row,
                of the measure ``diverged``.
        """
        path = self.rows_path(compute.__name__, cell)
        code = code_fingerprint(compute.__module__)
        models = [(m, self.fingerprint(cell, m)) for m in methods]
        fingerprint = settings_hash([models, code, self._measuring()])
        if path.is_file():
            try:
                rows, about = load_file(path)
                if about.get("fingerprint") == fingerprint:
                    return rows
            except ValueError as error:
                log.warning("%s; measuring anew", error)
        left = self.surviving(cell, methods)
        rows = compute(self, cell, left)
        rows += [self.row(cell, m, "", "diverged", 1.0, "flag") for m in methods if m not in left]
        about = {"fingerprint": fingerprint, **self._about(code, methods)}
        save_rows(path, rows, about=about)
        return rows

    def _about(self, code: str, methods: Sequence[str]) -> dict[str, Any]:
        """Return what rows say of where they were made, and of what work they are a part.

        ``work`` is equal for all cells, and on all machines on which code and settings are.
        """
        p = self.profile
        settings = [p.model, asdict(self.recipe), [(m, p.methods.get(m)) for m in methods]]
        data = self._basis[0]  # the images' digest, which takes milliseconds
        return {
            "profile": p.name,
            "device": self.device.type,
            "classes": self.dataset.num_classes,
            "work": settings_hash([data, settings, self._measuring(), code]),
            **describe_run(),
        }

    def _measuring(self) -> list[Any]:
        p = self.profile
        near = [p.label, list(p.neighborhoods.items()), p.curves, p.epsilons]  # the order counts
        return [*near, p.shots, p.alphas, p.supports, p.attacks, p.ablation, p.evaluated]
