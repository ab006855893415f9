"""JupyterLab on this machine only, with a token, in a real browser, driven by a test."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
    "--disable-dev-shm-usage",  # a container's shared memory is small
]
DRAWN = """
(() => {
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    window.drawnAt = 0;
    CanvasRenderingContext2D.prototype.drawImage = function (...all) {
        window.drawnAt = performance.now();
        return draw.apply(this, all);
    };
})()
"""
"""Notes when a picture was last put on any canvas; runs before the page's own code."""


def find_chromium():
    """Where the browser is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def until(check, seconds, what):
    """Wait until ``check()`` is true and return its answer; names what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited {seconds} s for {what}")


class Lab:
    """A server of its own: own configuration, own folder of notebooks, loopback, a token."""

    def __init__(self, folder, notebooks):
        self.token, self.folder, self.notebooks = secrets.token_hex(16), folder, notebooks
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        own = folder / "jupyter"
        news = own / "@jupyterlab" / "apputils-extension"
        news.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}  # else a question covers the page
        (news / "notification.jupyterlab-settings").write_text(json.dumps(quiet), encoding="utf-8")
        names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
        environment = os.environ | {f"JUPYTER_{name}": str(own) for name in names}
        environment |= {f"JUPYTERLAB_{name}_DIR": str(own) for name in ("SETTINGS", "WORKSPACES")}
        environment["TQDM_DISABLE"] = "1"  # what is left on the error stream is a warning
        for name in ("SPOTTER_STATIC", "SPOTTER_STYLE", "MPLBACKEND", "DISPLAY"):
            environment.pop(name, None)
        self.log = (folder / "lab.log").open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
                *(f"--port={self.port}", "--ServerApp.port_retries=0", "--allow-root"),
                *(f"--ServerApp.root_dir={notebooks}", f"--IdentityProvider.token={self.token}"),
            ],
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        until(self.answers, 60, f"JupyterLab, see {folder / 'lab.log'}")

    def answers(self):
        """Whether the server is up; an error if it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"JupyterLab ended: {(self.folder / 'lab.log').read_text()[-800:]}")
        try:
            return self.ask("/api")
        except OSError:
            return None

    def ask(self, path, *, token=True, method="GET"):
        """What the server says of an address of its interface."""
        headers = {"Authorization": f"token {self.token}"} if token else {}
        address = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(address, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def close(self):
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Page:
    """One notebook in the browser."""

    def __init__(self, browser, lab, name):
        self.lab, self.name = lab, name
        # tall, because Lab draws only the cells that are near the view
        self.context = browser.new_context(viewport={"width": 1440, "height": 2000})
        self.page = self.context.new_page()
        self.page.add_init_script(DRAWN)
        self.errors, self.strangers = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)
        self.page.goto(f"http://127.0.0.1:{lab.port}/lab/tree/{name}?token={lab.token}&reset")
        # the page says idle before there is a kernel, and then runs nothing: ask the server
        until(self._ready, 60, f"a kernel for {name}")
        self.page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=60_000)

    def _request(self, request):
        if request.url.startswith("http") and "//127.0.0.1:" not in request.url:
            self.strangers.append(request.url)

    def kernel(self):
        """What the server knows of this notebook's kernel."""
        sessions = self.lab.ask("/api/sessions")
        return next((s["kernel"] for s in sessions if s["path"] == self.name), None)

    def _ready(self):
        kernel = self.kernel()
        return kernel and kernel["execution_state"] == "idle" and kernel["connections"] >= 1

    def run_all(self):
        """Press Run > Run All Cells; the time on the page's clock."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        start = self.page.evaluate("performance.now()")
        self.page.get_by_text("Run All Cells", exact=True).click()
        return start

    def finish(self, seconds):
        """Wait until every code cell has run, and return the cells as saved by the page."""

        def done():
            if not self._ready():
                return None
            self.page.keyboard.press("Control+s")
            time.sleep(0.5)
            text = (self.lab.notebooks / self.name).read_text(encoding="utf-8")
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            return cells if all(cell["execution_count"] for cell in cells) else None

        return until(done, seconds, f"the end of {self.name}")

    def canvases(self):
        """The explorers' pictures, from the top."""
        return self.page.locator(".jupyter-matplotlib")

    def pixels(self, canvas):
        """What a canvas shows, once it shows something."""
        canvas.scroll_into_view_if_needed()
        first = canvas.locator("canvas").first
        until(lambda: first.evaluate("e => e.width") > 50, 20, "a drawn canvas")
        return first.evaluate("e => e.toDataURL()")

    def panel(self, canvas):
        """An explorer: its picture and its controls."""
        return canvas.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")

    def control(self, label, canvas=None):
        """The first control with that label, of the page or of one explorer."""
        box = (self.page if canvas is None else self.panel(canvas)).locator(".widget-inline-hbox")
        return box.filter(has=self.page.get_by_text(label, exact=True)).first

    def button(self, label):
        """The first button of an explorer with that label."""
        return self.page.locator("button.jupyter-button").filter(has_text=label).first

    def move(self, label, key="ArrowRight"):
        """Press a key on a slider; milliseconds until a picture was drawn."""
        handle = self.control(label).locator(".noUi-handle").first
        handle.focus()
        start = self.page.evaluate("performance.now()")
        handle.press(key)
        self.page.wait_for_function(f"window.drawnAt > {start}", timeout=10_000, polling=5)
        return self.page.evaluate("window.drawnAt") - start

    def close(self):
        """Close the page and end its kernel."""
        kernel = self.kernel()
        self.context.close()
        if kernel:
            self.lab.ask(f"/api/kernels/{kernel['id']}", method="DELETE")
