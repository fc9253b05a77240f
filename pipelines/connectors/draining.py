"""Whether live sources were asked to end: they finish what they have, and every window answers.

The first Ctrl-C asks for it, where the workers are threads of this process, as on Prism.
"""

from __future__ import annotations

import threading

_asked = threading.Event()


def ask() -> None:
    """Asks all live sources of this process to end."""
    _asked.set()


def is_asked() -> bool:
    """Whether they were asked."""
    return _asked.is_set()


def forget() -> None:
    """Lets the next run's sources live."""
    _asked.clear()
