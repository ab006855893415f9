"""The notebooks in JupyterLab, in a real browser: `make test-browser`.

Screenshots, a film of an explorer and how long its controls take are left in runs/browser/: look at
them. What a test holds is that pictures come and move, not how fast they do.
"""

import json
import socket
import statistics
import time
import urllib.error

import pytest
from lab import FLAGS, ROOT, Lab, Page, find_chromium, until
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]
SHOTS = ROOT / "runs" / "browser"
MOVES = 50
EXPLORERS = {
    "03_over_unlearning": "ε",
    "04_prototypical_relearning": "images k",
    "06_neighborhood_damage": "image",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.stem == "10_demo":  # so that it finds nothing made, as on the first day
            for cell in content["cells"]:
                if "parameters" in cell["metadata"].get("tags", []):
                    text = "".join(cell["source"])
                    cell["source"] = text.replace('run: str = ""', f'run: str = "{folder}/run"')
        (notebooks / path.name).write_text(json.dumps(content), encoding="utf-8")
    lab = Lab(folder, notebooks)
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    SHOTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, lab):
    pages = []

    def open_notebook(name):
        pages.append(Page(browser, lab, f"{name}.ipynb"))
        return pages[-1]

    yield open_notebook
    for page in pages:
        page.close()
        assert page.errors == []
        assert page.strangers == []  # nothing is fetched from another host


def note(**numbers):
    """Keep what was measured beside the screenshots."""
    path = SHOTS / "measured.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(known | numbers, indent=1, ensure_ascii=False), encoding="utf-8")


def outputs_of(cells):
    return [output for cell in cells for output in cell["outputs"]]


def check_outputs(cells, pictures):
    """No cell failed or warned, and so many pictures are there at least."""
    found = outputs_of(cells)
    assert [o for o in found if o["output_type"] == "error"] == []
    assert ["".join(o["text"]) for o in found if o.get("name") == "stderr"] == []
    assert sum("image/png" in o.get("data", {}) for o in found) >= pictures


def test_the_server_is_open_to_nobody_else(lab):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        lab.ask("/api/kernels", token=False)
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), lab.port)}
    for address in addresses - {"127.0.0.1", "::1"}:
        if not address.startswith("127."):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as outside:
                outside.settimeout(2)
                assert outside.connect_ex((address, lab.port)) != 0


def test_the_tour_tells_its_story(opened):
    tour = opened("00_tour")
    start = tour.run_all()
    tour.page.wait_for_selector(".jp-OutputArea-output img", state="attached", timeout=120_000)
    first = (tour.page.evaluate("performance.now()") - start) / 1000
    cells = tour.finish(200)
    whole = (tour.page.evaluate("performance.now()") - start) / 1000
    note(tour_first_picture_s=round(first, 1), tour_s=round(whole, 1))
    check_outputs(cells, pictures=2)
    image = tour.page.locator(".jp-OutputArea-output img").first
    image.scroll_into_view_if_needed()
    assert image.evaluate("e => e.naturalWidth") > 50
    tour.page.screenshot(path=SHOTS / "00_tour.png")


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_notebooks_explorer_moves(opened, name):
    notebook = opened(name)
    notebook.run_all()
    check_outputs(notebook.finish(150), pictures=3)
    canvas = notebook.canvases().first
    before = notebook.pixels(canvas)
    assert notebook.canvases().count() == 1  # the other pictures are pictures
    label = EXPLORERS[name]
    times = [notebook.move(label) for _ in range(5)]
    until(lambda: notebook.pixels(canvas) != before, 10, "another picture")
    note(**{f"{name} {label} ms": round(statistics.median(times))})
    notebook.page.screenshot(path=SHOTS / f"{name}.png")


def test_pointing_at_an_embedding_shows_the_image(opened):
    notebook = opened("05_embedding_dispersion")
    notebook.run_all()
    check_outputs(notebook.finish(200), pictures=2)
    canvas = notebook.canvases().first
    before = notebook.pixels(canvas)
    box = canvas.locator("canvas").first.bounding_box()
    notebook.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    notebook.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    until(lambda: notebook.pixels(canvas) != before, 10, "another image")
    notebook.page.screenshot(path=SHOTS / "05_embedding_dispersion.png")


def test_the_demo_makes_what_is_missing_and_every_control_moves_it(opened):
    demo = opened("10_demo")
    demo.run_all()
    check_outputs(demo.finish(60), pictures=0)
    page = demo.page
    page.screenshot(path=SHOTS / "10_demo_nothing_made.png")
    assert "make study PROFILE=digits" in page.locator(".widget-html-content").first.inner_text()
    for count in range(1, 5):
        demo.button("Make them here").click()
        until(lambda n=count: demo.canvases().count() >= n, 120, f"explorer {count}")
    live, near, back, space = (demo.canvases().nth(i) for i in range(4))
    watch_a_run(demo, live)
    times = {label: [] for label in ("ε", "image", "walk", "images k", "blend α", "draw")}
    for label, canvas in zip(times, (near, near, near, back, back, back), strict=True):
        before = demo.pixels(canvas)
        ways = ["ArrowLeft", "ArrowRight"] if label == "blend α" else ["ArrowRight", "ArrowLeft"]
        moves = MOVES if label == "ε" else MOVES // 5
        for number in range(moves):  # five there, five back
            times[label].append(demo.move(label, ways[number // 5 % 2]))
            if number == 4:
                until(lambda c=canvas, b=before: demo.pixels(c) != b, 10, f"what {label} moves")
    note(demo_ms={label: round(statistics.median(each)) for label, each in times.items()})
    choose(demo, near, "method", "Random label")
    choose(demo, near, "upwards", "random noise")
    choose(demo, back, "new row", "as long as the other rows")
    choose(demo, space, "colour by", "damage")
    page.screenshot(path=SHOTS / "10_demo.png")
    film(demo, near)


def choose(demo, canvas, label, choice):
    """Choose from a menu, see another picture, and note how long it took."""
    before = demo.pixels(canvas)
    start = demo.page.evaluate("performance.now()")
    demo.control(label, canvas).locator("select").select_option(choice)
    demo.page.wait_for_function(f"window.drawnAt > {start}", timeout=10_000, polling=5)
    took = demo.page.evaluate("window.drawnAt") - start
    until(lambda: demo.pixels(canvas) != before, 10, f"what {label} moves")
    note(**{f"demo menu {label} ms": round(took)})


def watch_a_run(demo, canvas):
    """Start a run, pause it, see it wait, go on and cancel it."""
    page = demo.page
    before = demo.pixels(canvas)
    demo.control("pace").locator("select").select_option("slow")
    demo.button("Start").click()
    until(lambda: demo.pixels(canvas) != before, 20, "the first epochs")
    demo.button("Pause").click()
    demo.button("Go on").wait_for()
    time.sleep(0.5)  # what was on its way has come
    waiting = demo.pixels(canvas)
    time.sleep(1.5)
    assert demo.pixels(canvas) == waiting
    demo.button("Go on").click()
    until(lambda: demo.pixels(canvas) != waiting, 20, "the next epochs")
    page.screenshot(path=SHOTS / "10_demo_live.png")
    demo.button("Cancel").click()
    page.get_by_text("cancelled", exact=True).wait_for()


def film(demo, canvas):
    """Keep the neighborhood's explorer in motion, for the README."""
    panel = demo.panel(canvas)
    canvas.scroll_into_view_if_needed()
    demo.control("upwards").locator("select").select_option("runner-up")
    frames = []
    for label, key, moves in (
        ("ε", "ArrowRight", 8),
        ("walk", "ArrowRight", 14),
        ("image", "ArrowLeft", 10),
        ("walk", "ArrowLeft", 14),
        ("ε", "ArrowLeft", 8),
    ):
        for _ in range(moves):
            demo.move(label, key)
            time.sleep(0.1)
            frames.append(panel.screenshot())
    for number, frame in enumerate(frames):
        (SHOTS / "frame.png").write_bytes(frame)
        with Image.open(SHOTS / "frame.png") as image:
            frames[number] = image.convert("RGB").quantize(96, dither=Image.Dither.NONE)
    options = {"append_images": frames[1:], "duration": 160, "loop": 0, "optimize": True}
    frames[0].save(SHOTS / "explorer.gif", save_all=True, **options)
    (SHOTS / "frame.png").unlink()
