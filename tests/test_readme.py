"""The README's tables, numbers and pictures are those of the committed rows."""

import re
from pathlib import Path

from spotter_core.claims import claims_table, judge, main_table, to_markdown
from spotter_core.metrics import accuracy
from spotter_core.plots import look
from spotter_core.results import load_rows, to_frame
from spotter_core.training import predict

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIGURES = ROOT / "figures" / "digits"


def committed():
    return to_frame(load_rows(FIGURES / "08_summary.json"))


def test_the_tables_are_computed_from_the_committed_rows():
    table = main_table(committed())
    table["method"] = [look(method).label for method in table["method"]]
    for markdown in (to_markdown(claims_table(judge(committed()))), to_markdown(table)):
        assert markdown in README


def test_the_example_forgets_and_keeps_the_rest():
    names = {}
    exec(re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1], names)
    split = names["split"]
    for side, low, high in ((split.forget.test, 0.0, 0.0), (split.retain.test, 0.95, 1.0)):
        logits = predict(names["unlearned"], side.images).logits
        assert low <= accuracy(logits, side.labels) <= high


def test_the_tables_beside_the_rows_are_the_same():
    for name in ("08_claims.md", "08_main_table.md"):
        assert (FIGURES / name).read_text(encoding="utf-8").strip() in README


def test_every_file_that_is_linked_is_there():
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_all_notebooks_left_their_rows_for_the_same_cells():
    cells = {
        path.name: set(zip(frame["forget"], frame["seed"], strict=True))
        for path in sorted(FIGURES.glob("0[1-8]_*.json"))
        if (frame := to_frame(load_rows(path))) is not None
    }
    assert len(cells) == 8
    whole = cells["08_summary.json"]
    assert len(whole) >= 6
    for name, own in cells.items():
        assert own <= whole, name
