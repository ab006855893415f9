"""HTML passed through with its tags changed and the rest left byte for byte as it was."""

from collections.abc import Callable
from html import escape
from html.parser import HTMLParser

Attributes = dict[str, str | None]
ChangeTag = Callable[[str, Attributes], Attributes | None]
"""Gets a tag's name and attributes; returns the attributes it shall have, or None to drop it."""

VOID = frozenset({"img", "br", "hr", "input", "link", "meta", "source", "wbr", "col", "area"})


class Rewriter(HTMLParser):
    """One pass over a piece of HTML; what was written is in ``parts``."""

    def __init__(self, change: ChangeTag) -> None:
        """Keep what is to be done with every tag."""
        super().__init__(convert_charrefs=False)
        self.change = change
        self.parts: list[str] = []
        self.dropping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag as it shall be; of a dropped one everything up to its end goes."""
        if self.dropping:
            if tag == self.dropping[-1]:
                self.dropping.append(tag)
            return
        before = dict(attrs)
        after = self.change(tag, dict(before))
        if after is None:
            if tag not in VOID:
                self.dropping.append(tag)
            return
        if tag == "table":
            self.parts.append('<div class="wide">')  # scrolls by itself on a narrow screen
        same = after == before
        self.parts.append(self.get_starttag_text() or "" if same else written(tag, after))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write ``<br/>`` and the like, and those of MathML."""
        after = None if self.dropping else self.change(tag, dict(attrs))
        if after is not None:
            same = after == dict(attrs)
            text = self.get_starttag_text() or ""
            self.parts.append(text if same else written(tag, after)[:-1] + "/>")

    def handle_endtag(self, tag: str) -> None:
        """Write an end tag."""
        if self.dropping:
            if tag == self.dropping[-1]:
                self.dropping.pop()
            return
        self.parts.append(f"</{tag}>" + ("</div>" if tag == "table" else ""))

    def handle_data(self, data: str) -> None:
        """Write text."""
        if not self.dropping:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        """Write ``&amp;`` and the like."""
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Write ``&#8212;`` and the like."""
        self.handle_data(f"&#{name};")


def written(tag: str, attributes: Attributes) -> str:
    """Return a start tag."""
    words = [k if v is None else f'{k}="{escape(v)}"' for k, v in attributes.items()]
    return f"<{' '.join([tag, *words])}>"


def rewrite(html: str, change: ChangeTag) -> str:
    """Return HTML with every start tag as ``change`` wants it; comments go, tables may scroll.

    Examples:
        >>> rewrite('<p>a &lt; <a href="x.md">b</a></p>', lambda tag, has: has | {"id": "1"})
        '<p id="1">a &lt; <a href="x.md" id="1">b</a></p>'
    """
    rewriter = Rewriter(change)
    rewriter.feed(html)
    rewriter.close()
    return "".join(rewriter.parts)
