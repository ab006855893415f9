"""Run folders of several machines joined: what is in one is taken, what contradicts is not.

Without torch. For each file, such as ``rows/accuracies/forget3-seed0.json``:

- in one folder, or the same in several: taken;
- equal numbers by the same fingerprint, or within the tolerance: the target's is kept, else that of
  the folder first in the alphabet;
- other numbers, or another fingerprint, which is other code, settings, or another kind of machine,
  or none: a conflict. Nothing is taken and what the target has stays, unless a folder is preferred.

Folders of several profiles or data sets are refused, before anything is written.

A damaged file counts as none. Each file is written whole, and what is decided does not depend on
the order of the folders, nor on how far a merge came that was killed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spotter_core.files import write_atomically
from spotter_core.merging.differences import Difference, largest, row_differences
from spotter_core.profiles import known_profiles
from spotter_core.results import load_file

NUMBERS, FINGERPRINT = "other numbers", "made by other code or settings"
MACHINE = "made by the same code and settings on another kind of machine"
UNKNOWN = "one of them does not say what made it"


@dataclass(frozen=True)
class Content:
    """What a file holds: its fingerprint, if any, what is said of it, and values to be compared."""

    fingerprint: str | None
    about: dict[str, Any]
    values: Any = field(repr=False)


@dataclass(frozen=True)
class Kind:
    """Files of one kind: where they lie below a run folder, how they are read and compared.

    ``instead`` returns, by the name of a file, what it is in place of: where any folder has that,
    the file is not joined.
    """

    folder: str
    files: Callable[[Path], Iterable[Path]]
    read: Callable[[Path, bytes], Content]
    differences: Callable[[Any, Any], list[Difference]]
    instead: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Version:
    """A file as one folder has it; ``run`` is that folder as it was named."""

    run: Path
    path: Path
    data: bytes = field(repr=False)
    content: Content = field(repr=False)


@dataclass(frozen=True)
class Conflict:
    """Two versions of one file that contradict each other; ``settled`` by whom, if by anybody."""

    name: str
    why: str
    here: tuple[Path, dict[str, Any]]
    there: tuple[Path, dict[str, Any]]
    differences: Sequence[Difference] = field(repr=False)
    settled: Path | None = None


@dataclass(frozen=True)
class Taken:
    """A file of the result: which folder's, and in which others it is the same."""

    run: Path
    path: Path
    about: dict[str, Any] = field(repr=False)
    also: tuple[Path, ...] = ()


@dataclass
class Joined:
    """What became of all files; ``close`` are those that differ within the tolerance, by how much.

    Names are as below a run folder, ``rows/accuracies/forget3-seed0.json``.
    """

    taken: dict[str, Taken] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    close: dict[str, float] = field(default_factory=dict)

    @property
    def unsettled(self) -> list[Conflict]:
        """Conflicts of which nothing was taken."""
        return [conflict for conflict in self.conflicts if conflict.settled is None]


def read_rows(path: Path, data: bytes) -> Content:
    """Return the content of a rows file; ``ValueError`` if it is damaged."""
    rows, about = load_file(path, data)
    return Content(about.get("fingerprint"), about, rows)


def rows_below(run: Path) -> list[Path]:
    """Return the rows files of a run folder, or of a folder of rows itself."""
    root = run / "rows" if (run / "rows").is_dir() else run
    return sorted(root.glob("*/forget*-seed*.json"))


ROWS = Kind("rows", rows_below, read_rows, row_differences)


def check_sources(sources: Sequence[Path], into: Path | None) -> list[Path]:
    """Return the folders to be joined, each once, by name, without the target.

    Raises:
        ValueError: If one of them holds no rows.
    """
    own = into.resolve() if into else None
    found: dict[Path, Path] = {}
    for run in sorted(sources):
        if run.resolve() == own:
            continue
        if not rows_below(run):
            raise ValueError(
                f"{run} holds no rows: expected a run folder, such as runs/digits, or its rows/"
            )
        found.setdefault(run.resolve(), run)
    return list(found.values())


def check_one_study(runs: Sequence[Path], into: Path | None) -> None:
    """Raise ``ValueError`` unless all rows are of one profile and one data set.

    Args:
        runs: The folders to be joined, the target, too.
        into: The target: one that has a profile's name takes that profile's rows alone.
    """
    found: dict[tuple[str, str], Path] = {}
    for run in runs:
        for path in rows_below(run):
            try:
                rows, about = load_file(path)
            except ValueError:  # told of when it is joined
                continue
            if rows:
                found.setdefault((str(about.get("profile", "unknown")), rows[0].dataset), run)
    parts = [f"{run} has rows of {name} ({data})" for (name, data), run in sorted(found.items())]
    if len(found) > 1:
        raise ValueError(f"rows of several studies can't be joined: {'; '.join(parts)}")
    names = {profile for profile, _ in found}
    if into is not None and into.name in known_profiles() and names - {into.name}:
        raise ValueError(f"{into} is for rows of {into.name}, but {parts[0]}")


def join(
    sources: Sequence[Path],
    into: Path | None,
    *,
    kinds: Sequence[Kind] = (ROWS,),
    tolerance: float = 0.0,
    prefer: Path | None = None,
) -> Joined:
    """Join folders, write what is taken, and return what became of each file.

    Args:
        sources: As from :func:`check_sources`.
        into: The target, a run folder, there or not; nothing is written without one.
        kinds: Of files.
        tolerance: Relative difference up to which numbers count as equal.
        prefer: A source, or the target, whose version is taken where others contradict.

    Raises:
        ValueError: If ``prefer`` is none of the folders, or not all rows are of one study.
        OSError: If a file can't be written; what was written before is whole.
    """
    runs = [into, *sources] if into else list(sources)
    if prefer is not None and prefer.resolve() not in {run.resolve() for run in runs}:
        raise ValueError(f"prefer must be one of {', '.join(map(str, runs))}; got {prefer}")
    check_one_study(runs, into)
    found = Joined()
    for kind in kinds:
        names: dict[str, list[tuple[Path, Path]]] = {}
        for run in runs:
            for path in kind.files(run):
                name = f"{kind.folder}/{path.parent.name}/{path.name}"
                names.setdefault(name, []).append((run, path))
        for name in sorted(names):
            if kind.instead and any((run / kind.instead(name)).is_file() for run in runs):
                continue
            versions = read_versions(names[name], kind, found.damaged)
            chosen = decide(name, versions, kind, found, tolerance, prefer)
            if chosen is not None and into is not None:
                write_atomically(into / name, chosen.data)
    return found


def read_versions(
    paths: Sequence[tuple[Path, Path]], kind: Kind, damaged: list[str]
) -> list[Version]:
    """Return the versions of a file; what is wrong with the damaged ones is added to a list."""
    found = []
    for run, path in paths:
        data = path.read_bytes()  # once: what is copied is what was checked
        try:
            content = kind.read(path, data)
        except ValueError as error:
            damaged.append(str(error))
            continue
        found.append(Version(run, path, data, content))
    return found


def decide(
    name: str,
    versions: Sequence[Version],
    kind: Kind,
    found: Joined,
    tolerance: float,
    prefer: Path | None,
) -> Version | None:
    """Return the version of a file that is taken, if any, and enter in ``found`` what became of it.

    Args:
        name: Of the file.
        versions: The target's first, then by folder.
        kind: Of the file.
        found: To be added to.
        tolerance: As of :func:`join`.
        prefer: Likewise.
    """
    if not versions:
        return None
    conflicts, close = contradictions(name, versions, kind, tolerance)
    chosen: Version | None = versions[0]
    if conflicts:
        chosen = next((v for v in versions if prefer and v.run.resolve() == prefer.resolve()), None)
        found.conflicts += [replace(c, settled=chosen.run if chosen else None) for c in conflicts]
    elif close:
        found.close[name] = close
    if chosen is not None:
        also = tuple(v.run for v in versions if v is not chosen and v.data == chosen.data)
        found.taken[name] = Taken(chosen.run, chosen.path, chosen.content.about, also)
    return chosen


def contradictions(
    name: str, versions: Sequence[Version], kind: Kind, tolerance: float
) -> tuple[list[Conflict], float]:
    """Return what contradicts the first version, and by how much the others differ from it."""
    first, compared, conflicts, close = versions[0], {versions[0].data}, [], 0.0
    for other in versions[1:]:
        if other.data in compared:
            continue
        compared.add(other.data)
        differences = kind.differences(first.content.values, other.content.values)
        why = reason(first.content, other.content, largest(differences) > tolerance)
        if why:
            here, there = ((v.run, v.content.about) for v in (first, other))
            conflicts.append(Conflict(name, why, here, there, differences))
        else:
            close = max(close, largest(differences))
    return conflicts, close


def reason(here: Content, there: Content, differ: bool) -> str:
    """Return in words why two versions contradict each other; ``""`` if they do not."""
    if here.fingerprint is None or there.fingerprint is None:
        return UNKNOWN
    if here.fingerprint != there.fingerprint:
        work = [content.about.get("work") for content in (here, there)]
        return MACHINE if work[0] is not None and work[0] == work[1] else FINGERPRINT
    return NUMBERS if differ else ""
