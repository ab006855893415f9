"""All pages together: rendered, framed, written and checked."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spotter_core.website.addresses import AS_PAGE, Addresses, relative
from spotter_core.website.checking import Findings, check_site, links_away
from spotter_core.website.contents import Contents
from spotter_core.website.executed import Notebook, read_notebook
from spotter_core.website.frame import Frame
from spotter_core.website.gallery import gallery_page, smaller
from spotter_core.website.pages import Page, guide_page, notebook_page, source_page
from spotter_core.website.privacy import leaks

MARK = ".made-by-spotter"
"""Lies in a folder that was made here, and may therefore be made anew."""
TEXTS = (".html", ".svg", ".ipynb", ".json", ".css")


def build_site(root: Path, contents: Contents, out: Path) -> Findings:
    """Make the whole site and check it.

    Args:
        root: Folder of the repository.
        contents: As of ``contents.read_contents``.
        out: Folder of the site; made anew.

    Returns:
        What is wrong with it, and where it links to.

    Raises:
        ValueError: If a link or formula of a file is wrong, or ``out`` holds something else.
    """
    refuse_foreign(out)
    addresses = Addresses(root)
    pages = pages_of(contents, addresses)
    frame = Frame(contents, pages, addresses)
    texts = {page.address: frame.rendered(page) for page in pages}
    about = Page("about.html", "About these pages", "about.html.j2")
    about.values = {"external": links_away(texts)}
    texts[about.address] = frame.rendered(about)
    files = {address: text.encode() for address, text in texts.items()}
    for page in pages:
        files |= page.files
    files |= copies(addresses, files)
    files["style.css"] = frame.style()
    write_files(out, files)
    found = check_site(out)
    for address, data in sorted(files.items()):
        if address.endswith(TEXTS):
            named = leaks(data.decode(errors="replace"), root)
            found.problems += [f"{address}: names {leak}" for leak in named]
    return found


def pages_of(contents: Contents, addresses: Addresses) -> list[Page]:
    """Return all pages: the index, what there is, and then whatever these link to."""
    front = guide_page("README.md", addresses)
    notebooks = [notebook_page(n, addresses) for n in contents.notebooks + contents.exercises]
    pages = [front, *notebooks]
    pages += [guide_page(path, addresses) for path in contents.guides]
    pages += [gallery_page(name, contents, addresses) for name in contents.figures]
    front.template = "index.html.j2"
    intro, head, rest = front.values["html"].partition("<h2")
    front.values |= {"intro": intro, "rest": head + rest}
    front.values["cards"] = [
        card(notebook, page, front, addresses)
        for notebook, page in zip(contents.notebooks, notebooks, strict=False)
    ]
    made = {page.address for page in pages}
    while waiting := [p for p, a in addresses.given.items() if a not in made and is_page(p, a)]:
        for path in waiting:
            pages.append(linked_page(path, addresses))
            made.add(pages[-1].address)
    return pages


def is_page(path: str, address: str) -> bool:
    """Return whether a file is shown on a page rather than copied."""
    return path != address


def linked_page(path: str, addresses: Addresses) -> Page:
    """Return the page of a file that another page links to."""
    kind = Path(path).suffix if not (addresses.root / path).is_dir() else ""
    if kind not in AS_PAGE:
        return source_page(path, addresses)
    if kind == ".md":
        return guide_page(path, addresses)
    nowhere = addresses.root / path / "nowhere"
    return notebook_page(read_notebook(addresses.root, path, nowhere, planned=False), addresses)


def card(notebook: Notebook, page: Page, front: Page, addresses: Addresses) -> dict[str, Any]:
    """Return a notebook for the index, with a small copy of its first picture."""
    pictures = [name for name in page.files if name.endswith((".png", ".jpg"))]
    found: dict[str, Any] = {"title": notebook.title, "href": relative(page.address, "index.html")}
    found |= {"small": ""}
    found["question"] = addresses_free(notebook.question)
    if pictures:
        found["small"] = f"small/{notebook.stem}.png"
        front.files[found["small"]] = smaller(page.files[pictures[0]], 560)
    return found


def addresses_free(markdown: str) -> str:
    """Return a sentence of Markdown without its stars, ticks and dollars."""
    return markdown.replace("*", "").replace("`", "").replace("$", "")


def copies(addresses: Addresses, made: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the repository that pages link to as they are."""
    return {
        address: (addresses.root / path).read_bytes()
        for path, address in sorted(addresses.given.items())
        if address not in made and not is_page(path, address)
    }


def refuse_foreign(out: Path) -> None:
    """Raise ``ValueError`` if a folder holds something that was not made here."""
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} holds something else than a site: name an empty or a new folder")


def write_files(out: Path, files: Mapping[str, bytes]) -> None:
    """Write a site over the one that was there."""
    shutil.rmtree(out, ignore_errors=True)
    for address, data in sorted(files.items()):
        path = out / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (out / MARK).touch()
