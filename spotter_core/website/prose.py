"""Markdown as HTML: formulas drawn, headings with anchors, links of the site."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from spotter_core.website.addresses import Addresses, slug, tag_changer
from spotter_core.website.formulas import to_mathml
from spotter_core.website.rewriting import rewrite

PAPER = re.compile(r"\barXiv:(\d{4}\.\d{5})")


@dataclass
class Prose:
    """Text of one page, rendered piece by piece.

    Args:
        addresses: Of the site.
        source: File of the repository; errors name it.
        page: Address of the page.
    """

    addresses: Addresses
    source: str
    page: str
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    """Level, anchor and text of every heading so far."""

    def render(self, text: str, attachments: Mapping[str, Any] | None = None) -> str:
        """Return a piece of Markdown as HTML.

        Raises:
            ValueError: If a formula can't be drawn or a link leads nowhere; names the file.
        """
        html = MarkdownWithMath(renderer=Renderer(self, attachments or {})).render(text)
        return self.settled(html, alt="Picture")

    def settled(self, html: str, *, alt: str) -> str:
        """Return HTML of this file with its links as they must read on the page."""
        change = tag_changer(self.addresses, source=self.source, page=self.page, alt=alt)
        return rewrite(html, change)

    def anchor(self, level: int, html: str) -> str:
        """Note a heading and return its anchor, which no other heading of the page has."""
        text = unescape(re.sub(r"<[^>]+>", "", html))
        taken, name, count = {anchor for _, anchor, _ in self.headings}, slug(text), 0
        while (anchor := f"{name}-{count}" if count else name) in taken:
            count += 1
        self.headings.append((level, anchor, text))
        return anchor


class Renderer(IPythonRenderer):
    """nbconvert's, but formulas become MathML and a diagram stays text."""

    def __init__(self, prose: Prose, attachments: Mapping[str, Any]) -> None:
        """Render for one page."""
        super().__init__(escape=False, attachments=dict(attachments))
        self.prose = prose

    def formula(self, body: str, *, display: bool) -> str:
        """Return a formula as MathML."""
        try:
            return to_mathml(body.strip(), display=display)
        except ValueError as error:
            raise ValueError(f"{self.prose.source}: {error}") from error

    def inline_math(self, body: str) -> str:
        """A formula in a line."""
        return self.formula(body, display=False)

    def block_math(self, body: str) -> str:
        """A formula of its own."""
        return self.formula(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        """``equation`` and its like."""
        inner = name.rstrip("*") in ("equation", "displaymath")
        return self.formula(
            body if inner else rf"\begin{{{name}}}{body}\end{{{name}}}", display=True
        )

    def block_mermaidjs(self, code: str) -> str:
        """Leave a diagram's own text, which needs no script."""
        return f"<pre>{escape(code.strip())}</pre>"

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """Give a heading an anchor and a link to itself."""
        anchor = self.prose.anchor(level, text)
        return f'<h{level} id="{anchor}">{text} <a class="here" href="#{anchor}">¶</a></h{level}>\n'

    def text(self, text: str) -> str:
        """Link papers that are named by their number."""
        return PAPER.sub(
            r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>', str(super().text(text))
        )

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Leave a link whose text is a paper's number one link."""
        return str(super().link(re.sub(r"</?a\b[^>]*>", "", text), url, title))

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Show the words instead of a picture that somebody else's host would have to send."""
        if url.startswith(("http:", "https:", "//")):
            return escape(text)
        return str(super().image(text, url, title))
