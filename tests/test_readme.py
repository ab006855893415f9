"""The README's tables, numbers and pictures are those of the committed rows."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spotter_core.claims import as_published, claims_table, judge, main_table, to_markdown
from spotter_core.metrics import accuracy
from spotter_core.plots import look
from spotter_core.profiles import load_profile
from spotter_core.results import load_rows, to_frame
from spotter_core.training import predict

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDIES = sorted(path.parent for path in ROOT.glob("figures/*/08_summary.json"))
every_study = pytest.mark.parametrize("figures", STUDIES, ids=[path.name for path in STUDIES])


@every_study
def test_the_tables_are_computed_from_the_committed_rows(figures):
    frame = to_frame(load_rows(figures / "08_summary.json"))
    main, published = main_table(frame), as_published(frame)
    main["method"] = [look(method).label for method in main["method"]]
    names = [name.partition(" (") for name in published["", "method"]]
    published["", "method"] = [look(name).label + "".join(rest) for name, *rest in names]
    tables = {"claims": claims_table(judge(frame)), "main_table": main, "published": published}
    for name, table in tables.items():
        kept = (figures / f"08_{name}.md").read_text(encoding="utf-8")
        assert kept == to_markdown(table) + "\n", name


def as_recorded(path: Path) -> str:
    """Return a file's text as git holds it, and as it lies where git does not hold it.

    `make study` writes its own over it, whose last digits are this machine's.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return path.read_text(encoding="utf-8")
    git = ["git", "-c", "safe.directory=*", "show", f":{path.relative_to(ROOT).as_posix()}"]
    told = subprocess.run(git, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    return path.read_text(encoding="utf-8") if told.returncode else told.stdout


@every_study
def test_the_readme_carries_every_studys_claims_and_leads_to_its_tables(figures):
    assert as_recorded(figures / "08_claims.md").strip() in README
    for name in ("08_main_table.md", "08_published.md"):
        table = as_recorded(figures / name).strip()
        assert table in README or f"](figures/{figures.name}/{name})" in README


def test_the_example_forgets_and_keeps_the_rest():
    names = {}
    exec(re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1], names)
    split = names["split"]
    for side, low, high in ((split.forget.test, 0.0, 0.0), (split.retain.test, 0.95, 1.0)):
        logits = predict(names["unlearned"], side.images).logits
        assert low <= accuracy(logits, side.labels) <= high


def test_every_file_that_is_linked_is_there():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


@every_study
def test_all_notebooks_left_their_rows_for_the_same_cells(figures):
    cells = {
        path.name: set(zip(frame["forget"], frame["seed"], strict=True))
        for path in sorted(figures.glob("0[1-8]_*.json"))
        if (frame := to_frame(load_rows(path))) is not None
    }
    assert len(cells) == 8
    whole = cells["08_summary.json"]
    assert len(whole) == len(load_profile(figures.name).cells)
    for name, own in cells.items():
        assert own <= whole, name
