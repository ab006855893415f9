"""What stands around every page: head, navigation, neighbors."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from spotter_core.website.addresses import Addresses, relative
from spotter_core.website.contents import Contents
from spotter_core.website.gallery import label_of
from spotter_core.website.pages import Page

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Entry:
    """A line of the navigation."""

    label: str
    address: str

    @property
    def short(self) -> str:
        """What stands before the colon of a title."""
        return self.label.partition(": ")[0]


class Frame:
    """Puts templates around pages; all pages share its navigation."""

    def __init__(self, contents: Contents, pages: list[Page], addresses: Addresses) -> None:
        """Make the navigation of all pages."""
        titles = {page.address: page.title for page in pages}
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )

        def entries(paths: list[str]) -> list[Entry]:
            return [Entry(titles[addresses.of(p)], addresses.of(p)) for p in paths]

        self.series = [
            entries([notebook.path for notebook in contents.notebooks]),
            entries([notebook.path for notebook in contents.exercises]),
        ]
        figures = [
            Entry(label_of(addresses.root, name), addresses.of(f"figures/{name}"))
            for name in contents.figures
        ]
        groups = {
            "Notebooks": self.series[0],
            "Exercises": self.series[1],
            "Figures": figures,
            "Guides": [*entries(contents.guides), Entry("About these pages", "about.html")],
        }
        self.groups = {name: lines for name, lines in groups.items() if lines}
        self.profile = label_of(addresses.root, contents.profile)

    def rendered(self, page: Page) -> str:
        """Return a page as it is written."""
        before, after = self.neighbors(page)
        return (
            self.environment.get_template(page.template).render(
                page=page,
                contents=self.groups,
                before=before,
                after=after,
                sections=[(anchor, text) for level, anchor, text in page.headings if level == 2],
                profile=self.profile,
                to=lambda address: relative(address, page.address),
                **page.values,
            )
            + "\n"
        )

    def neighbors(self, page: Page) -> tuple[Entry | None, Entry | None]:
        """Return the pages before and after one of a series."""
        for series in self.series:
            for position, entry in enumerate(series):
                if entry.address == page.address:
                    before = series[position - 1] if position else None
                    return before, series[position + 1] if position + 1 < len(series) else None
        return None, None

    def style(self) -> bytes:
        """Return the style sheet of all pages."""
        return (TEMPLATES / "style.css").read_bytes()
