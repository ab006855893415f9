"""Work beside the page: it tells how far it is, waits when asked to, and ends when asked to.

Layer 10. The kernel's main thread stays free for the page. A ``Work`` is a thread that is asked to
stop; a ``Command`` is a process that is ended, for work that can't be asked (a compiler) and that
keeps whole what it has finished.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

from spotter_core.files import project_root

State = Literal["ready", "running", "paused", "done", "cancelled", "failed"]
LAST = 5
"""Lines of a command that are told if it fails."""
PATIENCE = 5.0
"""Seconds that a command has to end when it is asked to, before it is killed."""


class Cancelled(Exception):
    """Raised inside the work at its next checkpoint after it was asked to end."""


class Work:
    """A function in a thread of its own, which calls :meth:`checkpoint` now and then.

    Args:
        act: The work; is handed this object.
        on_news: Called in the page's thread with what :meth:`tell` was given.
        on_state: Called in the page's thread when the state changes.
    """

    def __init__(
        self,
        act: Callable[["Work"], None],
        *,
        on_news: Callable[[Any], None],
        on_state: Callable[["Work"], None],
    ) -> None:
        self.state: State = "ready"
        self.error: BaseException | None = None
        self._act, self._on_news, self._on_state = act, on_news, on_state
        self._going, self._ending = threading.Event(), threading.Event()
        self._going.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; call it from the page's thread."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:  # no page, as in a test: what is told is handled where it is told
            self._loop = None
        self._become("running")
        self.thread.start()

    def pause(self) -> None:
        """Wait at the next checkpoint until :meth:`resume`; not if it is about to end."""
        if self.state == "running" and not self._ending.is_set():
            self._going.clear()
            self._become("paused")

    def resume(self) -> None:
        """Go on after :meth:`pause`."""
        if self.state == "paused":
            self._become("running")
            self._going.set()

    @property
    def busy(self) -> bool:
        """Whether it was begun and has not ended."""
        return self.state in ("running", "paused")

    def cancel(self) -> None:
        """End at the next checkpoint, or now if it waits at one."""
        self._ending.set()
        self._going.set()

    def checkpoint(self, seconds: float = 0.0) -> None:
        """Wait as long as the work is paused, and ``seconds`` more; called by the work.

        Raises:
            Cancelled: If the work was asked to end.
        """
        self._going.wait()
        self._ending.wait(seconds)
        self._going.wait()
        if self._ending.is_set():
            raise Cancelled

    def tell(self, news: Any) -> None:
        """Hand something to the page; called by the work."""
        self._later(lambda: self._on_news(news))

    def _run(self) -> None:
        try:
            self._act(self)
            last: State = "done"
        except Cancelled:
            last = "cancelled"
        except BaseException as error:  # told on the page, where the reader is
            self.error, last = error, "failed"
        self._later(lambda: self._become(last))

    def _become(self, state: State) -> None:
        self.state = state
        self._on_state(self)

    def _later(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            call()
        else:
            self._loop.call_soon_threadsafe(call)


class Command:
    """A command of this package in a process of its own, whose lines are followed.

    Args:
        arguments: Behind ``python -m``.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)

    def __call__(self, work: Work) -> None:
        """Run it to its end; what it prints is told line by line.

        Raises:
            Cancelled: If the work was asked to end; the process is ended, too.
            RuntimeError: If the command fails, with the last lines that it printed.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",  # a letter that can't be read must not block the pipe
            env=os.environ | {"PYTHONUTF8": "1"},
            cwd=project_root(),
        )
        lines: deque[str] = deque(maxlen=LAST)
        watcher = threading.Thread(target=self._follow, args=(process, work, lines), daemon=True)
        watcher.start()
        try:
            while process.poll() is None:
                work.checkpoint(0.1)
        finally:
            if process.poll() is None:
                self._end(process)
            watcher.join()
        if process.returncode:
            told = "\n".join(lines)
            raise RuntimeError(f"python -m {' '.join(self.arguments)} failed:\n{told}")

    @staticmethod
    def _end(process: "subprocess.Popen[str]") -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @staticmethod
    def _follow(process: "subprocess.Popen[str]", work: Work, lines: deque[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as printed:
            for line in printed:
                lines.append(line.rstrip())
                work.tell(lines[-1])
