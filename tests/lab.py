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
    return (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )


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
        self.token, self.folder = secrets.token_hex(16), folder
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
        for name in ("SPOTTER_STATIC", "MPLBACKEND", "DISPLAY"):
            environment.pop(name, None)
        self.log = (folder / "lab.log").open("w")
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

    def ask(self, path, *, token=True):
        """What the server says of an address of its interface."""
        headers = {"Authorization": f"token {self.token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

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
        # tall, because Lab draws only the cells that are in view
        self.context = browser.new_context(viewport={"width": 1440, "height": 2400})
        self.page = self.context.new_page()
        self.page.add_init_script(DRAWN)
        self.errors, self.strangers = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)
        address = f"http://127.0.0.1:{lab.port}/lab/tree/{name}?token={lab.token}&reset"
        self.page.goto(address)
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
        """Press Run > Run All Cells."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        return time.monotonic()

    def finish(self, seconds):
        """Wait until every code cell has run: the last one bears a number, the kernel is idle."""
        count = "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt').length"
        waiting = (
            "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
            ".some(e => !/\\[\\d+\\]/.test(e.innerText))"
        )

        def done():
            idle = self.kernel()["execution_state"] == "idle"
            return idle and self.page.evaluate(f"{count} > 0 && !({waiting})")

        until(done, seconds, f"the end of {self.name}")

    def complaints(self):
        """Error outputs and anything on the error stream, as text."""
        wrong = self.page.locator(
            ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], "
            ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error'], "
            ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"
        )
        return wrong.all_inner_texts()

    def close(self):
        """Close the page and end its kernel."""
        kernel = self.kernel()
        self.context.close()
        if kernel:
            address = f"http://127.0.0.1:{self.lab.port}/api/kernels/{kernel['id']}"
            headers = {"Authorization": f"token {self.lab.token}"}
            request = urllib.request.Request(address, headers=headers, method="DELETE")
            urllib.request.urlopen(request, timeout=20).close()
