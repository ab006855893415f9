"""What a cell printed and drew, as HTML; pictures become files beside the page."""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from nbconvert.filters.ansi import ansi2html
from PIL import Image

from spotter_core.website.privacy import scrub
from spotter_core.website.prose import Prose

PICTURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif"}
LIVE = "application/vnd.jupyter.widget-view+json"
WORDS = re.compile(r"<td>(?=[^<]*[^\W\d_]{4})([^<]*)")
"""A cell of a table with a word in it, which wants to begin at the left."""
MOVED = '<p class="note">Here is something to be moved by hand, in JupyterLab.</p>'
Keep = Callable[[str, bytes], str]
"""Gets the end of a file's name and its bytes, returns the address to load it from."""


def outputs_of(
    outputs: Sequence[Mapping[str, Any]], prose: Prose, *, keep: Keep, sentences: Sequence[str]
) -> str:
    """Return the outputs of one cell as HTML.

    Args:
        outputs: Of the notebook format.
        prose: Of the page, for text and links.
        keep: Where pictures go.
        sentences: What the cell's pictures show, in order; the last one serves any that follow.
    """
    parts: list[str] = []
    for output in joined(outputs):
        drawn = sum(part.startswith("<figure") for part in parts)
        alt = sentences[min(drawn, len(sentences) - 1)] if sentences else "Picture of this cell"
        parts.append(output_of(output, prose, keep=keep, alt=scrub(alt)))
    return "\n".join(part for part in parts if part)


def joined(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the outputs with pieces of one stream that follow each other made one."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        stream = output["output_type"] == "stream"
        if stream and found and found[-1].get("name") == output["name"]:
            found[-1]["text"] += "".join(output["text"])
        else:
            found.append(dict(output) | ({"text": "".join(output["text"])} if stream else {}))
    return found


def output_of(output: Mapping[str, Any], prose: Prose, *, keep: Keep, alt: str) -> str:
    """Return one output as HTML."""
    kind = output["output_type"]
    if kind == "stream":
        text = printed(output["text"])
        if output["name"] == "stdout" or not text:
            return text
        return f"<details class='aside'><summary>Warnings</summary>{text}</details>"
    if kind == "error":
        return printed("\n".join(output["traceback"]), "error")
    data = {key: value if key == LIVE else "".join(value) for key, value in output["data"].items()}
    for form, suffix in PICTURES.items():
        if form in data:
            return figure(base64.b64decode(data[form]), suffix, keep=keep, alt=alt)
    if "image/svg+xml" in data:
        return figure(scrub(data["image/svg+xml"]).encode(), ".svg", keep=keep, alt=alt)
    if LIVE in data:
        return MOVED
    if "text/html" in data:
        html = WORDS.sub(
            r'<td class="words">\1',
            prose.settled(without_loading(scrub(data["text/html"])), alt=alt),
        )
        return f'<div class="result">{html}</div>'
    if "text/markdown" in data:
        return f'<div class="result">{prose.render(scrub(data["text/markdown"]))}</div>'
    return printed(data.get("text/plain", ""))


def without_loading(html: str) -> str:
    """Return HTML without any script that names a host: it would load more from there."""
    pieces = html.split("<script")
    kept = [pieces[0]]
    for piece in pieces[1:]:
        script, end, rest = piece.partition("</script>")
        loads = "http" in script or "src=" in script.partition(">")[0]
        kept.append(rest if loads else f"<script{script}{end}{rest}")
    return "".join(kept)


def printed(text: str, look: str = "printed") -> str:
    """Return what a program printed."""
    text = scrub(text).strip("\n")
    return f'<pre class="{look}">{ansi2html(escape(text, quote=False))}</pre>' if text else ""


def figure(data: bytes, suffix: str, *, keep: Keep, alt: str) -> str:
    """Return a picture, which opens alone where it is clicked."""
    address = keep(suffix, data)
    size = ""
    if suffix != ".svg":
        width, height = Image.open(io.BytesIO(data)).size
        size = f' width="{width}" height="{height}"'
    image = f'<img src="{address}" alt="{escape(alt)}"{size} loading="lazy">'
    return f'<figure><a href="{address}">{image}</a></figure>'
