"""A range of time as a command line gives it, in whole windows of a store."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from rollups import Store
from rollups.query import rfc3339
from transforms.windows import parse_duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_range(
    store: Store, from_: str, to: str, last: str, *, told_by: str
) -> tuple[datetime | None, datetime | None]:
    """The bounds of a range, None where it is open; `last` is a length that ends with the latest window.

    A range is widened to whole windows, which `told_by` tells on standard error. Raises ValueError for what is no time.
    """
    window = timedelta(microseconds=store.window)
    bounds = store.bounds()
    if last and bounds:
        end = _EPOCH + bounds[1] * window
        return _widened(end - timedelta(seconds=parse_duration(last)), window, told_by, up=False), end
    start = _widened(read_moment(from_), window, told_by, up=False) if from_ else None
    return start, _widened(read_moment(to), window, told_by, up=True) if to else None


def read_moment(text: str) -> datetime:
    """A time that names its zone, or a day in UTC.

    >>> str(read_moment("2026-03-01")), str(read_moment("2026-03-01T13:00:00+01:00"))
    ('2026-03-01 00:00:00+00:00', '2026-03-01 13:00:00+01:00')
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"a time must be like 2026-03-01 or 2026-03-01T12:00:00Z, got {text!r}") from error
    if moment.tzinfo is None and len(text) > len("2026-03-01"):
        raise ValueError(f"a time must name its zone, such as Z or +02:00, got {text!r}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _widened(moment: datetime, window: timedelta, told_by: str, *, up: bool) -> datetime:
    """The bound of a window at a moment, or the nearest one outside, which is told."""
    places, rest = divmod(moment - _EPOCH, window)
    bound = _EPOCH + (places + (up and bool(rest))) * window
    if rest:
        print(f"{told_by}: windows are {window} long; {rfc3339(moment)} becomes {rfc3339(bound)}", file=sys.stderr)  # noqa: T201
    return bound
