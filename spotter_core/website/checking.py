"""Whether a folder of pages holds together: links, anchors, pictures, and nobody else's host."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Attributes by which a browser loads something without being asked to.
LOADS = {"src", "srcset", "poster", "data", "background"}


class PageReader(HTMLParser):
    """What a page defines, loads and links to."""

    def __init__(self) -> None:
        """Begin with an empty page."""
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.without_alt: list[str] = []
        self.style: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag's addresses."""
        self.inside = tag if tag in ("style", "script") else ""
        has = {key: value or "" for key, value in attrs}
        if "id" in has:
            self.ids.append(has["id"])
        if "href" in has:
            (self.links if tag in ("a", "area") else self.loads).append(has["href"])
        self.loads += [has[key] for key in LOADS & set(has)]
        self.style.append(has.get("style", ""))
        if tag == "img" and not has.get("alt", "").strip():
            self.without_alt.append(has.get("src", "")[:60])

    def handle_endtag(self, tag: str) -> None:
        """Leave a style or script."""
        self.inside = ""

    def handle_data(self, data: str) -> None:
        """Collect what a style or script names."""
        if self.inside == "style":
            self.style.append(data)
        if self.inside == "script":
            self.loads += re.findall(r"https?://[^\s\"'<>]+", data)


@dataclass
class Findings:
    """What :func:`check_site` found."""

    problems: list[str] = field(default_factory=list)
    external: dict[str, list[str]] = field(default_factory=dict)
    """Addresses elsewhere that a reader may follow, with the pages that name them."""


def read_page(path: Path) -> PageReader:
    """Return what a page of HTML defines, loads and links to."""
    reader = PageReader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return reader


def is_elsewhere(address: str) -> bool:
    """Return whether an address is another host's."""
    return urlsplit(address).scheme in ("http", "https", "mailto") or address.startswith("//")


def links_away(pages: Mapping[str, str]) -> list[str]:
    """Return the addresses elsewhere that pages of HTML link to, sorted."""
    found: set[str] = set()
    for text in pages.values():
        reader = PageReader()
        reader.feed(text)
        found |= {address for address in reader.links if is_elsewhere(address)}
    return sorted(found)


def addresses_in(style: str) -> list[str]:
    """Return what a style sheet loads."""
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style)
    return [first or second for first, second in found]


def check_site(folder: Path) -> Findings:
    """Check a folder of pages as a browser without network would.

    Args:
        folder: With ``index.html``.

    Returns:
        Problems, a sentence each: a missing file or anchor, an identifier used twice, a picture
        without text, a page that cannot be reached, anything loaded from elsewhere. And the
        links that leave the site.
    """
    folder = folder.resolve()
    found = Findings()
    pages = {path: read_page(path) for path in sorted(folder.rglob("*.html"))}
    reached = {folder / "index.html"}
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        twice = sorted({each for each in page.ids if page.ids.count(each) > 1})
        found.problems += [f"{name}: the identifier {each!r} stands twice" for each in twice]
        found.problems += [f"{name}: no text for the picture {src!r}" for src in page.without_alt]
        page.loads += [each for style in page.style for each in addresses_in(style)]
        for address in dict.fromkeys(page.loads + page.links):
            if is_elsewhere(address):
                if address in page.loads:
                    found.problems.append(f"{name}: loads from elsewhere, {address}")
                else:
                    found.external.setdefault(address, []).append(name)
            elif not address.startswith("data:"):
                target, problem = follow(folder, path, address, pages)
                reached.add(target)
                found.problems += [f"{name}: {problem}"] if problem else []
    for sheet in sorted(folder.rglob("*.css")):
        if loads := addresses_in(sheet.read_text(encoding="utf-8")):
            found.problems.append(f"{sheet.relative_to(folder)}: loads {', '.join(loads)}")
    lost = [path for path in pages if path not in reached]
    found.problems += [f"{p.relative_to(folder).as_posix()}: no page links to it" for p in lost]
    return found


def follow(
    folder: Path, page: Path, address: str, pages: dict[Path, PageReader]
) -> tuple[Path, str]:
    """Return the file that a link of a page leads to, and what is wrong with it, if anything."""
    where, fragment = urldefrag(address)
    if urlsplit(where).scheme or where.startswith("/"):
        return page, f"{address} is no address inside the site"
    target = (page.parent / unquote(where)).resolve() if where else page
    if folder not in target.parents:
        return page, f"{address} leads out of the site"
    if not target.is_file():
        return target, f"{address} leads to no file"
    if fragment and (target not in pages or unquote(fragment) not in pages[target].ids):
        return target, f"{address} leads to no place of that page"
    return target, ""
