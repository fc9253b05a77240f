"""Shows how far a run has come: a live line on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console

from transforms import progress

_REFRESH = 0.2  # seconds
_LINE_EVERY = 60.0  # seconds


class Progress:
    """While entered, tells the step that is at work, its records, and their rate, on the given console."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
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
                self._console.print(self.summary(), highlight=False, soft_wrap=True)
            return
        with self._console.status(self.summary()) as status:
            while not self._stop.wait(_REFRESH):
                status.update(self.summary())
