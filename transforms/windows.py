"""How time is cut: equal windows, sliding ones, sessions, days of a calendar, or not at all.

    10s               windows of equal size, from the epoch on
    1h/5m             windows of an hour, a new one every five minutes
    session 30m       activity, until nothing came for half an hour
    day Europe/Paris  days, weeks (from Monday), months or years of a time zone, daylight saving included
    all               one window

These are values: they know which window an event falls into, and nothing of Beam. Times are microseconds since 1970 in
UTC, durations are seconds. A window holds its start and not its end.
"""

from __future__ import annotations

import functools
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Micros: TypeAlias = NDArray[np.int64]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(_UNITS)})", re.ASCII)
_FOREVER = np.iinfo(np.int64).max


def parse_duration(text: str) -> float:
    """Seconds in a duration such as 250ms, 10s, 5m, 1h or 1d.

    >>> parse_duration("1.5h")
    5400.0
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"a duration must be a number and one of {', '.join(_UNITS)}, got {text!r}; for example 10s")
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as this many seconds.

    >>> format_duration(5400)
    '90m'
    """
    units = [unit for unit in _UNITS if math.isclose(seconds / _UNITS[unit], round(seconds / _UNITS[unit]))]
    unit = units[-1] if seconds and units else "s" if not seconds else "ms"
    return f"{seconds / _UNITS[unit]:g}{unit}"


def to_micros(seconds: float) -> int:
    """Whole microseconds, as event times have them."""
    return round(seconds * 1_000_000)


class Window(ABC):
    """A way to cut time."""

    PANES: ClassVar[bool] = True  # whether windows are made of panes: pieces of time that lie in a window or outside it

    @abstractmethod
    def last(self, times: Micros) -> tuple[Micros, Micros]:
        """Start and end of the last window that holds each event time."""

    def pane_ends(self, times: Micros) -> Micros:
        """The end of the pane that holds each event time: an answer about a window is made of those of its panes."""
        return self.last(times)[1]


@dataclass(frozen=True)
class Fixed(Window):
    """Windows of equal size, in seconds, side by side.

    >>> Fixed(10).last(np.array([12_000_000]))
    (array([10000000]), array([20000000]))
    """

    size: float

    def __post_init__(self) -> None:
        _require_long(self.size, "a window", "use 'all' to leave time whole")

    def last(self, times: Micros) -> tuple[Micros, Micros]:
        size = to_micros(self.size)
        starts = times // size * size
        return starts, starts + size

    def __str__(self) -> str:
        return format_duration(self.size)


@dataclass(frozen=True)
class Sliding(Window):
    """Windows of equal size, one every `period` seconds, so that each event lies in size / period of them."""

    size: float
    period: float

    def __post_init__(self) -> None:
        _require_long(self.size, "a window", "use 'all' to leave time whole")
        _require_long(self.period, "the period of sliding windows", "for example 1h/5m")
        if self.period > self.size:
            raise ValueError(
                f"sliding windows must not leave gaps, got {self}: the period must be at most the size "
                f"{format_duration(self.size)}"
            )

    def last(self, times: Micros) -> tuple[Micros, Micros]:
        period = to_micros(self.period)
        starts = times // period * period
        return starts, starts + to_micros(self.size)

    def pane_ends(self, times: Micros) -> Micros:
        pane = math.gcd(to_micros(self.size), to_micros(self.period))
        return (times // pane + 1) * pane

    def __str__(self) -> str:
        return f"{format_duration(self.size)}/{format_duration(self.period)}"


@dataclass(frozen=True)
class Sessions(Window):
    """Activity: a window grows with each event, and ends `gap` seconds after the last."""

    PANES: ClassVar[bool] = False
    gap: float

    def __post_init__(self) -> None:
        _require_long(self.gap, "the gap of a session", "for example session 30m")

    def last(self, times: Micros) -> tuple[Micros, Micros]:
        """The session of each event by itself, before it is merged with others."""
        return times, times + to_micros(self.gap)

    def __str__(self) -> str:
        return f"session {format_duration(self.gap)}"


Unit: TypeAlias = Literal["day", "week", "month", "year"]


@dataclass(frozen=True)
class Calendar(Window):
    """Days, weeks (from Monday), months or years as a time zone has them: a day may last 23, 24 or 25 hours.

    >>> october = np.array([int(datetime(2026, 10, 25, 12, tzinfo=UTC).timestamp() * 1e6)])
    >>> start, end = Calendar("day", "Europe/Paris").last(october)
    >>> int(end[0] - start[0]) / 3.6e9
    25.0
    """

    unit: Unit
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"a calendar window must be a {' or '.join(get_args(Unit))}, got {self.unit!r}")
        try:
            ZoneInfo(self.timezone)
        except (ValueError, OSError, KeyError) as error:
            raise ValueError(
                f"a time zone must be a name such as Europe/Paris or UTC, got {self.timezone!r}; "
                "where the system has no time zones, install tzdata"
            ) from error

    def last(self, times: Micros) -> tuple[Micros, Micros]:
        if not times.size:
            return times, times
        bounds = _bounds(self.unit, self.timezone, _date(times.min()), _date(times.max()))
        place = np.searchsorted(bounds, times, side="right")
        return bounds[place - 1], bounds[place]

    def __str__(self) -> str:
        return f"{self.unit} {self.timezone}"


@dataclass(frozen=True)
class AllTime(Window):
    """One window, which never ends."""

    def last(self, times: Micros) -> tuple[Micros, Micros]:
        return np.full_like(times, -_FOREVER), np.full_like(times, _FOREVER)

    def __str__(self) -> str:
        return "all"


def parse_window(text: str) -> Window:
    """The window that a line of text names; raises ValueError, with examples, for anything else.

    >>> parse_window("1h/5m")
    Sliding(size=3600.0, period=300.0)
    """
    words = text.split()
    match words:
        case ["all"]:
            return AllTime()
        case ["session", gap]:
            return Sessions(parse_duration(gap))
        case ["day" | "week" | "month" | "year" as unit]:
            return Calendar(unit)
        case ["day" | "week" | "month" | "year" as unit, timezone]:
            return Calendar(unit, timezone)
        case [single]:
            size, _, period = single.partition("/")
            return Sliding(parse_duration(size), parse_duration(period)) if period else Fixed(parse_duration(size))
    raise ValueError(f"a window must be like 10s, 1h/5m, session 30m, day Europe/Paris or all, got {text!r}")


def _require_long(seconds: float, what: str, advice: str) -> None:
    if not to_micros(seconds) > 0:
        raise ValueError(f"{what} must be longer than 0 seconds, got {seconds:g}; {advice}")


def _date(micros: np.int64) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))).date()


@functools.lru_cache(256)
def _bounds(unit: Unit, timezone: str, first: date, last: date) -> Micros:
    """Where the units of a calendar begin, from before the first day to after the last, wherever it is noon."""
    zone = ZoneInfo(timezone)
    begin = _begin(unit, first - timedelta(days=2))
    begins: list[date] = []
    while not begins or begin <= last + timedelta(days=2):
        begins.append(begin)
        begin = _next(unit, begin)
    begins.append(begin)
    # fold=0 is right both where midnight is missing (the clock's jump) and where it comes twice (the first).
    instants = [datetime.combine(day, time.min, tzinfo=zone).timestamp() for day in begins]
    return np.array([to_micros(instant) for instant in instants], np.int64)


def _begin(unit: Unit, day: date) -> date:
    match unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)


def _next(unit: Unit, begin: date) -> date:
    step = {"day": 1, "week": 7, "month": 31, "year": 366}[unit]
    return _begin(unit, begin + timedelta(days=step))
