"""How far a run has come: counters of Beam, and the same counts in this process for whoever shows them."""

from __future__ import annotations

import threading
from collections import Counter

from apache_beam.metrics import Metrics

NAMESPACE = "streamsketch"

_counts: Counter[str] = Counter()
_latest = ""  # the step that advanced last
_lock = threading.Lock()


def advance(step: str, records: int) -> None:
    """Says that a step has dealt with more records; call it once for many, not for each."""
    global _latest  # noqa: PLW0603  a process has one progress
    Metrics.counter(NAMESPACE, step).inc(records)
    with _lock:
        _counts[step] += records
        _latest = step


def so_far() -> tuple[str, dict[str, int]]:
    """The step that advanced last, and the records of every step, in this process."""
    with _lock:
        return _latest, dict(_counts)


def forget() -> None:
    """Starts anew, for the next run in this process."""
    global _latest  # noqa: PLW0603
    with _lock:
        _counts.clear()
        _latest = ""
