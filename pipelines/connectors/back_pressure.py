"""Lets sources wait for sinks of their process that fall behind, where a runner would let pile up what is between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_BEHIND = 15_000_000  # microseconds of event time that a sink may be behind a source

_writing: dict[int, int] = {}  # the end of what each thread is writing


@contextmanager
def writing(end: int) -> Iterator[None]:
    """Says that what belongs before a time is being written, in microseconds since 1970.

    A sink that takes its time does so within this. Runners in several processes have back-pressure of their own.
    """
    _writing[threading.get_ident()] = end
    try:
        yield
    finally:
        del _writing[threading.get_ident()]


def is_behind(told: int) -> bool:
    """Whether somebody is still writing what is much older than what a source told last."""
    return any(end < told - _BEHIND for end in list(_writing.values()))
