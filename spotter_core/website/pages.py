"""The pages of notebooks, guides and source files, each from one file of the repository."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from nbconvert.filters.highlight import Highlight2HTML

from spotter_core.website.addresses import Addresses, relative
from spotter_core.website.captions import captions_of
from spotter_core.website.executed import Cell, Notebook
from spotter_core.website.outputs import outputs_of
from spotter_core.website.privacy import scrub
from spotter_core.website.prose import Prose

LANGUAGES = {
    ".py": "python",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".cff": "yaml",
    ".toml": "toml",
    ".j2": "html+jinja",
    ".css": "css",
    "Makefile": "make",
    "Snakefile": "python",
}


@dataclass
class Page:
    """One page before its frame is put around it, and the files that it brings."""

    address: str
    title: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


def highlighted(source: str, language: str) -> str:
    """Return code with its words marked; colours are the style sheet's."""
    html: str = Highlight2HTML(pygments_lexer=language)(source, language=language)
    return html


def notebook_page(notebook: Notebook, addresses: Addresses) -> Page:
    """Return the page of a notebook."""
    address = addresses.of(notebook.path)
    page = Page(address, notebook.title, "notebook.html.j2")
    prose = Prose(addresses, notebook.path, address)
    sentences = captions_of(notebook.cells).by_cell
    cells = []
    for cell in notebook.cells:
        if cell.kind == "markdown":
            shown = {"kind": "text", "html": prose.render(cell.source, cell.attachments)}
        elif cell.kind == "code" and (cell.source.strip() or cell.outputs):
            shown = code_cell(cell, prose, page, sentences.get(cell.name, []))
        else:
            continue
        cells.append({"name": f"cell-{cell.name}", **shown})
    page.headings = prose.headings
    page.files[notebook.path] = (addresses.root / notebook.path).read_bytes()  # to be downloaded
    page.values = {
        "cells": cells,
        "state": notebook.state,
        "code_open": notebook.state != "executed",
        "download": relative(notebook.path, address),
        "download_name": PurePosixPath(notebook.path).name,
    }
    return page


def code_cell(cell: Cell, prose: Prose, page: Page, sentences: list[str]) -> dict[str, Any]:
    """Return a code cell for the template; its pictures become files of the page."""
    folder = page.address.removesuffix(".html")

    def keep(suffix: str, data: bytes) -> str:
        count = sum(name.startswith(f"{folder}/{cell.name}-") for name in page.files)
        name = f"{folder}/{cell.name}-{count + 1}{suffix}"
        page.files[name] = data
        return relative(name, page.address)

    label = "Code"
    if "parameters" in cell.tags:
        label = "Parameters"
    elif "injected-parameters" in cell.tags:
        label = "Parameters of this run"
    lines = len(cell.source.strip().splitlines())
    return {
        "kind": "code",
        "label": label,
        "lines": f"{lines} line{'' if lines == 1 else 's'}",
        "code": highlighted(scrub(cell.source.strip("\n")), "ipython3"),
        "outputs": outputs_of(cell.outputs, prose, keep=keep, sentences=sentences),
    }


def guide_page(path: str, addresses: Addresses) -> Page:
    """Return the page of a Markdown file."""
    address = addresses.of(path)
    prose = Prose(addresses, path, address)
    html = prose.render((addresses.root / path).read_text(encoding="utf-8"))
    title = next((text for level, _, text in prose.headings if level == 1), "")
    values: dict[str, Any] = {"html": html, "heading": ""}
    if not title:
        title = values["heading"] = PurePosixPath(path).name
    return Page(address, title, "guide.html.j2", values, prose.headings)


def source_page(path: str, addresses: Addresses) -> Page:
    """Return the page of a file of code or text, or of a folder's list of files."""
    address, file = addresses.of(path), addresses.root / path
    if file.is_dir():
        names = [p.name + "/" * p.is_dir() for p in sorted(file.iterdir()) if p.name[0] not in "._"]
        return Page(address, f"{path}/", "source.html.j2", {"names": names, "path": path})
    text = file.read_text(encoding="utf-8")
    language = LANGUAGES.get(file.name, LANGUAGES.get(file.suffix, "text"))
    values = {"code": highlighted(text, language), "path": path}
    return Page(address, path, "source.html.j2", values)
