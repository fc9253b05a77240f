"""Moments as people write them: "12:00:01" on the day of a story, with a date on another day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from transforms.schemas import EPOCH
from transforms.windows import parse_duration, to_micros

Moment: TypeAlias = str | float | datetime  # a number is seconds since 1970
Duration: TypeAlias = str | float  # a number is seconds

MICRO = timedelta(microseconds=1)


def micros_of(moment: Moment, day: date) -> int:
    """Microseconds since 1970 of a moment; texts without a date are on that day, and without a zone in UTC.

    >>> day = date(1970, 1, 2)
    >>> micros_of("00:00:01.5", day) - micros_of("1970-01-02", day)
    1500000

    Raises ValueError for what is no moment.
    """
    if isinstance(moment, str):
        try:
            read = datetime.fromisoformat(moment if "-" in moment else f"{day} {moment}")
        except ValueError as error:
            raise ValueError(
                f"a moment must be like 12:00:01, 2026-01-01 12:00:01 or a number of seconds since 1970, got {moment!r}"
            ) from error
        moment = read if read.tzinfo else read.replace(tzinfo=UTC)
    if isinstance(moment, datetime):
        if not moment.tzinfo:
            raise ValueError(f"a datetime must have a zone, got {moment!r}: use datetime(…, tzinfo=UTC)")
        return (moment - EPOCH) // MICRO
    return to_micros(moment)


def text_of(micros: int, day: date) -> str:
    """The shortest text of a moment that `micros_of` reads.

    >>> text_of(86_400_000_000, date(1970, 1, 2)), text_of(86_400_000_000, date(1970, 1, 1))
    ('00:00:00', '1970-01-02 00:00:00')
    """
    moment = EPOCH + timedelta(microseconds=micros)
    text = moment.time().isoformat() if moment.date() == day else f"{moment.date()} {moment.time().isoformat()}"
    return text.rstrip("0") if moment.microsecond else text


def seconds_of(duration: Duration) -> float:
    """Seconds of a duration such as 30s or 1.5."""
    return parse_duration(duration) if isinstance(duration, str) else float(duration)
