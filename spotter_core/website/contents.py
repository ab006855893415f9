"""What there is to be shown: notebooks and their runs, exercises, guides, folders of figures."""

from dataclasses import dataclass
from pathlib import Path

from spotter_core.graph import NOTEBOOKS
from spotter_core.website.executed import Notebook, read_notebook


@dataclass(frozen=True)
class Contents:
    """Everything that gets a page of its own without being linked."""

    profile: str
    notebooks: list[Notebook]
    exercises: list[Notebook]
    guides: list[str]
    figures: list[str]
    """Folders of pictures, the profile's own first."""

    @property
    def lacking(self) -> list[Notebook]:
        """Notebooks of the graph without outputs."""
        return [n for n in self.notebooks if n.state in ("not executed", "changed since")]


def read_contents(root: Path, profile: str) -> Contents:
    """Return what a repository has to show, discovered from its folders.

    Args:
        root: Folder of the repository.
        profile: Whose run the notebooks' outputs are of.
    """
    folder = root / "notebooks"
    jobs = root / "runs" / profile / "jobs"

    def notebook(path: Path, *, exercise: bool) -> Notebook:
        name = path.relative_to(root).as_posix()
        stem = "" if exercise else path.stem
        executed = jobs / stem / "all.ipynb"
        return read_notebook(root, name, executed, planned=stem in NOTEBOOKS)

    own = sorted(folder.glob("*.ipynb"))
    # one level down: what lies deeper, such as solutions, is not handed out
    deeper = [p for p in sorted(folder.glob("*/*.ipynb")) if p.parent.name[0] != "."]
    guides = [
        *sorted(folder.glob("*.md")),
        *sorted(folder.glob("*/*.md")),
        *sorted(root.glob("*.md")),
    ]
    shown = [d.name for d in sorted((root / "figures").glob("*")) if any(d.glob("*.png"))]
    return Contents(
        profile=profile,
        notebooks=[notebook(path, exercise=False) for path in own],
        exercises=[notebook(path, exercise=True) for path in deeper],
        guides=[p.relative_to(root).as_posix() for p in guides if p != root / "README.md"],
        figures=sorted(shown, key=lambda name: (name != profile, name)),
    )


def complaint(contents: Contents) -> str:
    """Return which notebooks lack outputs, and what makes them; nothing if none does."""
    if not contents.lacking:
        return ""
    lines = [f"  {notebook.path}: {notebook.state}" for notebook in contents.lacking]
    lines += [
        f"`make study PROFILE={contents.profile}` executes what is missing or has changed, then",
        "`make site` again; `make site ARGS=--partial` shows these notebooks without outputs.",
    ]
    return "\n".join(["These notebooks have no outputs to be shown:", *lines])
