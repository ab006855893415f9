"""The students' and the teacher's version of an exercise, made of its one source.

    python -m spotter_core.exercises.versions

Layer 10, without torch. A cell tagged ``student`` is left out of the teacher's version, one tagged
``teacher`` out of the students'; all others are in both. Whoever edits a version edits in vain.
"""

import copy
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

from spotter_core.files import project_root, write_text_atomically

Version = Literal["student", "teacher"]
OTHER: dict[Version, Version] = {"student": "teacher", "teacher": "student"}
FOLDERS: dict[Version, str] = {"student": ".", "teacher": "teacher"}


def sources(root: Path) -> list[Path]:
    """Return the exercises' sources below a project folder, by name."""
    return sorted((root / "notebooks" / "exercises" / "source").glob("*.ipynb"))


def version_path(source: Path, version: Version) -> Path:
    """Return where a version of a source lies."""
    return source.parent.parent / FOLDERS[version] / source.name


def version_text(source: Path, version: Version) -> str:
    """Return a version of an exercise as the text of a notebook, without outputs.

    Args:
        source: Left as it is.
        version: For whom.
    """
    notebook: Any = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]
    notebook = copy.deepcopy(notebook)
    notebook.metadata["generated"] = f"from source/{source.name} by `make exercises`: edit that"
    for step in (
        TagRemovePreprocessor(remove_cell_tags={OTHER[version]}),
        ClearOutputPreprocessor(),
    ):
        notebook, _ = step.preprocess(notebook, {})  # type: ignore[no-untyped-call]
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return text.rstrip("\n") + "\n"


def main() -> None:
    """Write both versions of every exercise."""
    for source in sources(project_root()):
        for version in OTHER:
            path = version_path(source, version)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(path, version_text(source, version))
            print(path.relative_to(project_root()))


if __name__ == "__main__":
    main()
