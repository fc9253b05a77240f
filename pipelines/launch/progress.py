"""Shows how far a run has come: a live line on a terminal, a line a minute elsewhere; with a table above, if asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live

from transforms import progress

_REFRESH = 0.2  # seconds
_VIEW_EVERY = 1.0  # seconds
_LINE_EVERY = 60.0  # seconds


class Progress:
    """While entered, tells the step that is at work, its records, and their rate, on the given console.

    With a `view`, what it gives is shown above that, again and again.
    """

    def __init__(self, console: Console, name: str, view: Callable[[], RenderableType] | None = None) -> None:
        self._console = console
        self._name = name
        self._view = view
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        progress.forget()
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def summary(self) -> str:
        """One line: what has been done so far, and how quickly."""
        step, counts = progress.so_far()
        seconds = time.monotonic() - self._began
        done = ", ".join(f"{count:,} {name.lower()}" for name, count in counts.items() if count)
        rate = f", {counts[step] / seconds:,.0f} records/s at {step}" if step and seconds > 0 else ""
        return f"{self._name}: {done or 'starting'}{rate}, {seconds:.0f} s"

    def _show(self) -> None:
        if not self._console.is_terminal:
            while not self._stop.wait(_LINE_EVERY):
                self._console.print(self._shown(), highlight=False, soft_wrap=True)
            return
        if self._view:
            with Live(console=self._console, auto_refresh=False) as screen:
                while not self._stop.wait(_VIEW_EVERY):
                    screen.update(self._shown(), refresh=True)
            return
        with self._console.status(self.summary()) as status:
            while not self._stop.wait(_REFRESH):
                status.update(self.summary())

    def _shown(self) -> RenderableType:
        if not self._view:
            return self.summary()
        try:
            view = self._view()
        except Exception as error:  # noqa: BLE001  whatever is not there yet; the run itself must not end for it
            view = f"nothing to show yet: {error}"
        return Group(view, self.summary())
