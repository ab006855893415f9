"""Layer 11: the website holds together, shows the run and nothing of the machine it ran on."""

import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from lab import FLAGS, find_chromium
from PIL import Image

from spotter_core.website.__main__ import main
from spotter_core.website.addresses import Addresses, relative, slug
from spotter_core.website.build import build_site
from spotter_core.website.captions import captions_of
from spotter_core.website.checking import check_site, read_page
from spotter_core.website.contents import read_contents
from spotter_core.website.executed import Cell, read_cells
from spotter_core.website.formulas import to_mathml
from spotter_core.website.privacy import leaks, scrub
from spotter_core.website.prose import Prose
from spotter_core.website.rewriting import rewrite

ROOT = Path(__file__).resolve().parents[1]
STYLE = ROOT / "spotter_core/website/templates/style.css"
# The machine that executed, in pieces, so that this file does not contain what no file may.
MACHINE = "/" + "home/someone/spotter"


# --- a small repository ---------------------------------------------------------------------------


def png(size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, format="PNG")
    return buffer.getvalue()


def cell(kind, name, source, *, outputs=(), tags=()):
    made = {"cell_type": kind, "id": name, "metadata": {"tags": list(tags)}, "source": source}
    return made | ({"outputs": list(outputs), "execution_count": 1} if kind == "code" else {})


def shown(**data):
    keys = {"html": "text/html", "plain": "text/plain", "png": "image/png"}
    bundle = {keys[kind]: value for kind, value in data.items()}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def write_notebook(path, cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    book = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(book), encoding="utf-8")


TEXT = (
    "# 00 · First: what is seen\n\n**Question.** What *is* it, of $x$?\n\nMore: [next](01_b.ipynb)."
)
CODE = "ax = draw()\nsave_figure(ax.figure, figures / '00_seen.png')"
INTERNAL = {"papermill": {"input_path": f"{MACHINE}/notebooks/00_tour.ipynb"}}
SCRIPT = '<script src="https://cdn.example.org/x.js"></script>'
LOADER = "<script>load('https://cdn.example.org/y.js')</script>"
TABLE = (
    f"<style scoped>td {{}}</style><table border='1'><tr><td>7</td></tr></table>{SCRIPT}{LOADER}"
)
LIVE = {
    "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
    "text/plain": "interactive()",
}
OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": "half a "},
    {"output_type": "stream", "name": "stdout", "text": f"line of {MACHINE}/runs/digits/rows"},
    {"output_type": "stream", "name": "stderr", "text": f"{MACHINE}/.venv/lib/some.py:3: old"},
    shown(png=base64.b64encode(png()).decode(), plain="<Figure>"),
    shown(html=TABLE, plain="7"),
    {"output_type": "display_data", "data": LIVE, "metadata": {}},
]


def executed_cells(text="as it was", code=CODE):
    return [
        cell("markdown", "title", text),
        cell("code", "given", "k = 1", tags=["parameters"]),
        cell("code", "new", f"# Parameters\nk = '{MACHINE}/x'", tags=["injected-parameters"]),
        cell("code", "draws", code, outputs=OUTPUTS),
    ]


@pytest.fixture
def root(tmp_path):
    """A repository of one executed notebook, one for the hand, an exercise and its solution."""
    root = tmp_path / "repository"
    own = [c | {"outputs": []} if c["cell_type"] == "code" else c for c in executed_cells(TEXT)]
    write_notebook(root / "notebooks/00_tour.ipynb", [own[0], own[1], own[3]])
    write_notebook(root / "notebooks/01_b.ipynb", [cell("markdown", "t", "# 01 · By hand")])
    write_notebook(root / "notebooks/exercises/E1.ipynb", [cell("markdown", "t", "# E1")])
    write_notebook(root / "notebooks/exercises/teacher/E1.ipynb", [cell("markdown", "t", "# Told")])
    job = root / "runs/digits/jobs/00_tour"
    write_notebook(job / "all.ipynb", executed_cells(), **INTERNAL)
    (job / "all.done").touch()
    pictures = root / "figures/digits"
    pictures.mkdir(parents=True)
    (pictures / "00_seen.png").write_bytes(png())
    (pictures / "00_tour.json").write_text("{}", encoding="utf-8")
    (pictures / "08_table.md").write_text("| a |\n|---|\n| 1 |\n", encoding="utf-8")
    (root / "tool.py").write_text("x = 1  # <b>\n", encoding="utf-8")
    readme = "# It\n\n![Something seen](figures/digits/00_seen.png)\n\n## Results\n\n"
    readme += "[a](notebooks/00_tour.ipynb#cell) [tool](tool.py) [all](notebooks/exercises) "
    readme += "arXiv:2506.01318"
    (root / "README.md").write_text(readme.replace("#cell", ""), encoding="utf-8")
    return root


def built(root, out):
    return build_site(root, read_contents(root, "digits"), out)


def text_of(folder, name):
    return (folder / name).read_text(encoding="utf-8")


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# --- the whole of it ------------------------------------------------------------------------------


def test_everything_gets_a_page_and_every_link_holds(root, tmp_path):
    found = built(root, tmp_path / "site")
    assert found.problems == []
    pages = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*.html")}
    assert pages == {
        "about.html",
        "figures/digits/08_table.html",
        "figures/digits/index.html",
        "index.html",
        "notebooks/00_tour.html",
        "notebooks/01_b.html",
        "notebooks/exercises/E1.html",
        "notebooks/exercises/index.html",
        "tool.py.html",
    }
    assert list(found.external) == ["https://arxiv.org/abs/2506.01318"]
    assert "arxiv.org" in text_of(tmp_path / "site", "about.html")


def test_equal_input_gives_equal_bytes(root, tmp_path):
    built(root, tmp_path / "one")
    built(root, tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_nothing_of_the_machine_is_published(root, tmp_path):
    built(root, tmp_path / "site")
    for path in (tmp_path / "site").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(word in data for word in (b"someone", b"papermill", str(root).encode()))
    page = text_of(tmp_path / "site", "notebooks/00_tour.html")
    assert "half a line of runs/digits/rows" in page
    assert "…/some.py:3: old" in page


def test_a_leak_is_a_problem(root, tmp_path):
    (root / "tool.py").write_text(f"x = '{root}'\n", encoding="utf-8")
    assert any("tool.py.html: names" in each for each in built(root, tmp_path / "site").problems)


def test_outputs_are_shown_and_nothing_is_loaded_from_elsewhere(root, tmp_path):
    built(root, tmp_path / "site")
    page = text_of(tmp_path / "site", "notebooks/00_tour.html")
    assert "cdn.example.org" not in page
    assert "interactive()" not in page
    assert '<div class="wide"><table><tr><td>7</td></tr></table></div>' in page
    assert "<style scoped" not in page
    assert (tmp_path / "site/notebooks/00_tour/draws-1.png").read_bytes() == png()
    assert "<math" in page
    assert 'href="01_b.html"' in page


def test_the_index_leads_to_notebooks_with_question_and_picture(root, tmp_path):
    built(root, tmp_path / "site")
    page = text_of(tmp_path / "site", "index.html")
    assert 'href="notebooks/00_tour.html"' in page
    assert "What is it, of x?" in page
    assert 'src="small/00_tour.png"' in page
    assert page.index("Notebook by notebook") < page.index("Results")


def test_pages_know_their_neighbors(root, tmp_path):
    built(root, tmp_path / "site")
    assert 'class="after" href="01_b.html"' in text_of(tmp_path / "site", "notebooks/00_tour.html")
    assert 'class="before" href="00_tour.html"' in text_of(tmp_path / "site", "notebooks/01_b.html")


def test_the_gallery_has_words_pictures_and_rows(root, tmp_path):
    built(root, tmp_path / "site")
    page = text_of(tmp_path / "site", "figures/digits/index.html")
    assert 'alt="Something seen"' in page  # the README's words
    assert 'href="00_tour.json" download' in page
    assert "Further results" in page  # of a number that no notebook has


# --- what was executed ----------------------------------------------------------------------------


def state(root):
    return read_contents(root, "digits").notebooks[0].state


def test_text_of_today_stands_beside_outputs_of_the_run(root, tmp_path):
    built(root, tmp_path / "site")
    page = text_of(tmp_path / "site", "notebooks/00_tour.html")
    assert "as it was" not in page
    assert "First: what is seen" in page
    assert "Parameters of this run" in page


@pytest.mark.parametrize(
    ("code", "expected"),
    [(CODE + "  # said better", "executed"), (CODE.replace("ax", "bx"), "changed since")],
)
def test_outputs_count_as_long_as_the_code_is_the_same(root, code, expected):
    write_notebook(root / "runs/digits/jobs/00_tour/all.ipynb", executed_cells(code=code))
    assert state(root) == expected


def test_a_run_that_did_not_end_does_not_count(root):
    (root / "runs/digits/jobs/00_tour/all.done").unlink()
    assert state(root) == "not executed"


def test_the_command_says_what_makes_a_missing_run(root, tmp_path, monkeypatch, capsys):
    shutil.rmtree(root / "runs")
    (root / "spotter_core").mkdir()
    monkeypatch.chdir(root)
    assert main(["digits", "--out", str(tmp_path / "site")]) == 2
    said = capsys.readouterr().err
    assert "notebooks/00_tour.ipynb: not executed" in said
    assert "make study PROFILE=digits" in said
    assert not (tmp_path / "site").exists()
    assert main(["digits", "--out", "site", "--partial"]) == 0  # as make names the folder
    assert "was not executed" in text_of(root / "site", "notebooks/00_tour.html")


def test_a_folder_of_something_else_is_not_made_anew(root, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/only copy").touch()
    with pytest.raises(ValueError, match="something else"):
        built(root, tmp_path / "thesis")
    assert (tmp_path / "thesis/only copy").exists()


# --- formulas, links, captions, privacy -----------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "wrong"),
    [
        (r"\foo x", r"unknown macro \\foo"),
        (r"\frac{a}", "lacks an argument"),
        (r"\frac{a", "braces"),
        (r"x^", "can't be shown"),
        (r"\begin{aligned}a&=b\end{aligned}", "can't be shown"),
    ],
)
def test_a_formula_that_would_look_wrong_is_refused(formula, wrong):
    with pytest.raises(ValueError, match=wrong):
        to_mathml(formula)


def test_a_wrong_formula_is_told_with_its_notebook(root, tmp_path):
    write_notebook(root / "notebooks/01_b.ipynb", [cell("markdown", "t", r"# B" "\n\n" r"$\foo$")])
    with pytest.raises(ValueError, match=r"notebooks/01_b.ipynb.*\\foo"):
        built(root, tmp_path / "site")


def test_a_link_to_nothing_is_told_with_its_file(root, tmp_path):
    (root / "notebooks/GUIDE.md").write_text("# G\n\n[x](gone.ipynb)", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notebooks/GUIDE.md links to gone.ipynb"):
        built(root, tmp_path / "site")


def test_every_text_of_this_repository_can_be_shown():
    addresses = Addresses(ROOT)
    for path in [*ROOT.glob("*.md"), *ROOT.glob("notebooks/**/*.md")]:
        name = path.relative_to(ROOT).as_posix()
        Prose(addresses, name, addresses.of(name)).render(path.read_text(encoding="utf-8"))
    for path in ROOT.glob("notebooks/**/[!.]*.ipynb"):
        if any(part.startswith(".") for part in path.relative_to(ROOT).parts):
            continue  # JupyterLab's own copies
        name = path.relative_to(ROOT).as_posix()
        prose = Prose(addresses, name, addresses.of(name))
        for each in read_cells(path):
            if each.kind == "markdown":
                prose.render(each.source, each.attachments)


def test_headings_of_one_name_get_two_anchors(root):
    prose = Prose(Addresses(root), "README.md", "index.html")
    assert re.findall('id="([^"]+)"', prose.render("# A, b\n\n## A, b")) == ["a-b", "a-b-1"]
    assert slug("a-b") == "a-b"  # so that an anchor stays itself


def test_tags_change_and_nothing_else():
    html = "<p title=x>a &amp; &#8212; <br/><svg viewBox='0'></svg></p>"
    assert rewrite(html, lambda _, has: has) == html
    dropped = rewrite("a<s>b<s>c</s>d</s>e<img>f", lambda tag, has: None if tag in "s img" else has)
    assert dropped == "aef"


def test_a_picture_is_told_by_what_draws_it():
    code = "from spotter_core.plots.toy import plot_toy\nax = plot_toy()"
    saved = "save_figure(ax[0].figure, figures / '00_toy.png')"
    captions = captions_of([Cell("code", "a", code), Cell("code", "b", saved)])
    sentence = "Decision regions of every model above, divergence from the original below."
    assert captions.by_cell["a"] == [sentence]
    assert captions.by_file == {"00_toy.png": (sentence, "a")}


@pytest.mark.parametrize(
    ("printed", "published"),
    [
        (f"{MACHINE}/runs/digits/x.json", "runs/digits/x.json"),
        ("/tmp/ipykernel_7/12.py:3", "…/12.py:3"),
        ("C:" + r"\Users\me\x.py", "…/x.py"),
        ("1/2 and a/b, https://arxiv.org/abs/1", "1/2 and a/b, https://arxiv.org/abs/1"),
        ("</td></tr>", "</td></tr>"),
    ],
)
def test_paths_are_shortened_to_what_a_reader_has(printed, published, tmp_path):
    assert scrub(printed) == published
    assert not leaks(published, tmp_path)


# --- the checker ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="gone.html">x</a>', "leads to no file"),
        ('<a href="#gone">x</a>', "no place of that page"),
        ('<a href="b.html#gone">x</a>', "no place of that page"),
        ('<a href="../x.html">x</a>', "out of the site"),
        ('<a href="/x.html">x</a>', "no address inside"),
        ('<img src="a.png" alt="">', "no text for the picture"),
        ('<img src="https://x.org/a.png" alt="a">', "loads from elsewhere"),
        ('<script src="//x.org/a.js"></script>', "loads from elsewhere"),
        ('<script>import("https://x.org/a.js")</script>', "loads from elsewhere"),
        ('<link rel="stylesheet" href="https://x.org/a.css">', "loads from elsewhere"),
        ("<style>@import 'https://x.org/a.css';</style>", "loads from elsewhere"),
        ('<p style="background: url(https://x.org/a.png)">', "loads from elsewhere"),
        ('<p id="a"></p><p id="a"></p>', "stands twice"),
    ],
)
def test_the_checker_finds(tmp_path, body, problem):
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.html").write_text('<p id="here">', encoding="utf-8")
    (tmp_path / "index.html").write_text(f'<a href="b.html#here">b</a>{body}', encoding="utf-8")
    (found,) = check_site(tmp_path).problems
    assert problem in found


def test_the_checker_finds_a_page_without_a_way_to_it(tmp_path):
    (tmp_path / "index.html").write_text("<p>", encoding="utf-8")
    (tmp_path / "lost.html").write_text("<p>", encoding="utf-8")
    assert check_site(tmp_path).problems == ["lost.html: no page links to it"]


# --- how it looks ---------------------------------------------------------------------------------


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_word_has_the_contrast_that_accessibility_asks_for(scheme):
    block = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)[scheme]
    colors = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    inks = [name for name in colors if name in ("ink", "quiet", "link") or "code" in name]
    assert len(inks) == 9
    for ink in inks:
        for paper in ("page", "panel", *(["mark"] if ink in ("ink", "link") else [])):
            high, low = sorted((luminance(colors[ink]), luminance(colors[paper])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


# --- the study itself, where it was executed ------------------------------------------------------


@pytest.fixture(scope="module")
def study_site(tmp_path_factory):
    contents = read_contents(ROOT, "digits")
    if contents.lacking:
        pytest.skip("`make study` has not executed these notebooks: nothing to be shown")
    out = tmp_path_factory.mktemp("study") / "site"
    found = build_site(ROOT, contents, out)
    return contents, out, found


@pytest.mark.slow
def test_the_executed_study_makes_a_site_without_a_problem(study_site):
    contents, out, found = study_site
    assert found.problems == []
    for notebook in contents.notebooks:
        page = read_page(out / Addresses(ROOT).of(notebook.path))
        assert "content" in page.ids
    assert all(address.startswith("https://") for address in found.external)


@pytest.mark.slow
def test_a_browser_asks_nobody_and_a_telephone_shows_whole_pages(study_site):
    browser = find_chromium()
    sync_api = pytest.importorskip("playwright.sync_api")
    if browser is None:
        pytest.skip("no Chromium here")
    _, out, _ = study_site
    asked, wide, errors = [], [], []
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 390, "height": 900}, color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in sorted(out.rglob("*.html")):
            page.goto(path.as_uri())
            element = "document.documentElement"
            if page.evaluate(f"{element}.scrollWidth > {element}.clientWidth"):
                wide.append(relative(path.as_posix(), out.as_posix() + "/x"))
        page.goto((out / "notebooks/00_tour.html").as_uri())
        assert page.locator("details.source[open]").count() == 0
        page.get_by_role("button", name="Show all code").click()
        assert page.locator("details.source:not([open])").count() == 0
        chromium.close()
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert (wide, errors) == ([], [])
