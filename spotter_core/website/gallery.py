"""The pictures of a profile with what they show, and the rows and tables behind them."""

import io
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from spotter_core.website.addresses import Addresses, relative
from spotter_core.website.captions import captions_of
from spotter_core.website.contents import Contents
from spotter_core.website.executed import Notebook
from spotter_core.website.pages import Page

DRAWN = (".png", ".gif")
SHOWN = (*DRAWN, ".pdf", ".json", ".md")
KINDS = {".json": "rows", ".md": "table", ".pdf": "to be printed"}
WIDTH = 720
"""Of a small picture; twice what a column shows."""


def gallery_page(name: str, contents: Contents, addresses: Addresses) -> Page:
    """Return the gallery of a folder of ``figures/``.

    Args:
        name: Of the folder, a profile's.
        contents: Of the site.
        addresses: Of the site.
    """
    folder = f"figures/{name}"
    title = f"Figures: {label_of(addresses.root, name)}"
    page = Page(addresses.of(folder), title, "gallery.html.j2")
    parts = [*((n, prefix(n.stem)) for n in contents.notebooks), (None, "")]
    groups = [
        group_of(files_of(addresses.root / folder, stem, contents), notebook, page, addresses)
        for notebook, stem in parts
    ]
    groups = [group for group in groups if group["pictures"] or group["files"]]
    page.headings = [(2, g["anchor"], g["title"].partition(": ")[0]) for g in groups]
    page.values = {"groups": groups, "name": name, "own": name == contents.profile}
    return page


def group_of(
    files: Sequence[Path], notebook: Notebook | None, page: Page, addresses: Addresses
) -> dict[str, Any]:
    """Return a notebook's pictures and files for the template, as the notebook draws them."""
    captions = captions_of(notebook.cells).by_file if notebook else {}
    order = list(captions)
    drawn = [file for file in files if file.suffix in DRAWN]
    drawn.sort(key=lambda file: order.index(file.name) if file.name in order else len(order))
    return {
        "title": notebook.title if notebook else "Further results",
        "anchor": f"of-{prefix(notebook.stem) if notebook else 'further'}",
        "href": relative(addresses.of(notebook.path), page.address) if notebook else "",
        "pictures": [picture(file, page, captions, notebook, addresses) for file in drawn],
        "files": [
            {
                "name": file.name,
                "href": relative(addresses.of(path_of(file, addresses)), page.address),
                "about": f"{KINDS[file.suffix]}, {size(file)}",
                "rows": file.suffix == ".json",
            }
            for file in files
            if file.suffix not in DRAWN
        ],
    }


def path_of(file: Path, addresses: Addresses) -> str:
    """Return a file's path inside the repository."""
    return file.relative_to(addresses.root).as_posix()


def picture(
    file: Path,
    page: Page,
    captions: Mapping[str, tuple[str, str]],
    notebook: Notebook | None,
    addresses: Addresses,
) -> dict[str, str]:
    """Return a picture for the template; its small copy becomes a file of the page."""
    path = path_of(file, addresses)
    caption, cell = captions.get(file.name, ("", ""))
    label = file.stem.partition("_")[2].replace("_", " ").capitalize()
    spoken = f"{label}: {caption}" if caption else label
    caption = caption or f"{label}."
    # of a film its end, so that nothing moves unasked
    small = f"{posixpath.dirname(path)}/small/{file.name}.png"
    film = " A film: open it." if file.suffix == ".gif" else ""
    page.files[small] = smaller(file.read_bytes())
    read = addresses.of(notebook.path) if notebook else ""
    return {
        "label": label,
        "href": relative(addresses.of(path), page.address),
        "small": relative(small, page.address),
        "caption": caption + film,
        "alt": picture_words(addresses.root).get(path, spoken),
        "read": relative(read, page.address) + (f"#cell-{cell}" if cell else "") if read else "",
    }


def smaller(data: bytes, width: int = WIDTH) -> bytes:
    """Return a picture as a PNG of at most that width."""
    film = Image.open(io.BytesIO(data))
    film.seek(getattr(film, "n_frames", 1) - 1)
    image = film.convert("RGB")
    image.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def prefix(stem: str) -> str:
    """Return a notebook's number, by which its figures' names begin."""
    return stem.partition("_")[0]


def files_of(folder: Path, stem: str, contents: Contents) -> list[Path]:
    """Return a notebook's pictures, tables and rows; for no number those that have none."""
    known = {prefix(notebook.stem) for notebook in contents.notebooks}
    files = [file for file in sorted(folder.iterdir()) if file.suffix in SHOWN]
    if stem:
        return [file for file in files if prefix(file.stem) == stem]
    return [file for file in files if prefix(file.stem) not in known]


def picture_words(root: Path) -> dict[str, str]:
    """Return the words that the README puts in a picture's place, by its file."""
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    return {path: words for words, path in re.findall(r"!\[([^\]]+)\]\(([^)\s]+)\)", text)}


def label_of(root: Path, profile: str) -> str:
    """Return a profile's own words for its data, or its name."""
    file = root / "profiles" / f"{profile}.yaml"
    if not file.is_file():
        return profile
    label = str(yaml.safe_load(file.read_text(encoding="utf-8"))["label"])
    return label if label.lower() == profile else f"{label} ({profile})"


def size(file: Path) -> str:
    """Return a file's size in words."""
    return f"{max(1, round(file.stat().st_size / 1000)):,} kB"
