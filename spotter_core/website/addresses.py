"""Where a file of the repository is found on the site, which keeps the repository's folders."""

import posixpath
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag, urlsplit

from spotter_core.website.rewriting import Attributes, ChangeTag

AS_PAGE = {".md", ".ipynb"}
AS_IT_IS = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".json", ".csv", ".pdf", ".html"}


class Addresses:
    """Addresses given out so far; each is of a page or a file that must then be made."""

    def __init__(self, root: Path) -> None:
        """Take the repository's folder."""
        self.root = root
        self.given: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return the site's address of a file or folder, both relative with slashes."""
        if path not in self.given:
            plain, kind = posixpath.splitext(path)
            if path == "README.md":
                address = "index.html"
            elif (self.root / path).is_dir():
                address = f"{path}/index.html"
            elif kind in AS_PAGE:
                address = f"{plain}.html"
            else:
                address = path if kind in AS_IT_IS else f"{path}.html"
            self.given[path] = address
        return self.given[path]

    def link(self, link: str, *, source: str, page: str) -> str:
        """Return a link as it must read on the site.

        Args:
            link: As it stands in a file of the repository.
            source: That file, relative to the repository.
            page: Address of the page that shows it.

        Raises:
            ValueError: If there is no such file.
        """
        where, fragment = urldefrag(link)
        anchor = f"#{slug(unquote(fragment))}" if fragment else ""
        if urlsplit(link).scheme or not where:
            return link if where else anchor
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(where)))
        if path.startswith("..") or not (self.root / path).exists():
            raise ValueError(f"{source} links to {link}, and there is no such file")
        return relative(self.of(path), page) + anchor


def relative(address: str, page: str) -> str:
    """Return the link from one page to another address of the site.

    Examples:
        >>> relative("figures/digits/a.png", "notebooks/00_tour.html")
        '../figures/digits/a.png'
    """
    return quote(posixpath.relpath(address, posixpath.dirname(page) or "."))


def slug(heading: str) -> str:
    """Return the anchor that code hosts give to a heading.

    Examples:
        >>> slug("What holds, and what does not")
        'what-holds-and-what-does-not'
    """
    kept = "".join(c for c in heading.strip().lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def tag_changer(addresses: Addresses, *, source: str, page: str, alt: str) -> ChangeTag:
    """Return what is to be done with the tags of a piece of HTML to show it on a page.

    Args:
        addresses: Of the site.
        source: File of the repository that the piece stands in.
        page: Address of the page.
        alt: Text for a picture that has none.
    """

    def change(tag: str, has: Attributes) -> Attributes | None:
        foreign = {k for k in ("src", "href") if (has.get(k) or "").startswith(("http", "//"))}
        if tag in ("link", "iframe", "object", "embed") or (foreign and tag != "a"):
            return None  # nothing is loaded from elsewhere
        if tag == "style" and "scoped" in has:
            return None  # pandas' own look of a table
        if tag == "table":
            has.pop("border", None)
        if foreign:
            has["rel"] = "external noopener"
        for key in {"src", "href"} & set(has):
            has[key] = addresses.link(has[key] or "", source=source, page=page)
        if tag == "img":
            has["alt"] = (has.get("alt") or "").strip() or alt
            has.setdefault("loading", "lazy")
        return has

    return change
