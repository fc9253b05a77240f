"""Numbers, durations and texts as a reader wants them, each written in one way all over the page."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

ABSENT = "–"  # noqa: RUF001  as typographers write what is not there
_LONG = 120  # characters of a text that are shown
_OVERRIDES = "\u202d\u202e"  # would let a text read other than it is
_SECOND = (timedelta(seconds=1), "second")
_UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def shown(number: float | None) -> str:
    """A number for the eye: whole ones in full up to a million, others to three digits at least; a dash for none.

    >>> shown(12345), shown(1_234_567), shown(0.012345), shown(1234.5)
    ('12,345', '1.235 M', '0.0123', '1,235')
    """
    if number is None or math.isnan(number):
        return ABSENT
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"  # noqa: RUF001
    size = abs(number)
    for unit, sign in ((1e12, "T"), (1e9, "bn"), (1e6, "M")):
        if size >= unit:
            text = f"{number / unit:.4g} {sign}" if size < 1e15 else f"{number:.3e}"
            return text.replace("-", "−").replace("+", "")  # noqa: RUF001
    whole = float(number).is_integer() or size >= 100
    text = f"{_half_up(number):,}" if whole else f"{number:.3g}"
    return text.replace("-", "−")  # noqa: RUF001


def _half_up(number: float) -> int:
    return math.floor(abs(number) + 0.5) * (-1 if number < 0 else 1)


def exact(number: float | None) -> str:
    """A number for a test: all its digits; nothing where there is none.

    >>> exact(0.1), exact(12.0), exact(None)
    ('0.1', '12', '')
    """
    if number is None or math.isnan(number):
        return ""
    return repr(int(number)) if float(number).is_integer() else repr(float(number))


def percent(part: float) -> str:
    """A share or an error.

    >>> percent(0.0162), percent(0.5), percent(0.00001)
    ('1.6 %', '50 %', '0.001 %')
    """
    return f"{shown(float(f'{part * 100:.2g}') if abs(part) < 0.995 else round(part * 100, 1))} %"


def size(count: int) -> str:
    """Bytes.

    >>> size(17), size(4300), size(12_345_678)
    ('17 B', '4.3 kB', '12.3 MB')
    """
    for unit, sign in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {sign}"
    return f"{count} B"


def duration(length: timedelta) -> str:
    """A length of time in words: in the longest unit of which it is a whole number, or in all that it takes.

    >>> duration(timedelta(minutes=5)), duration(timedelta(seconds=90)), duration(timedelta(hours=49.5))
    ('5 minutes', '90 seconds', '2 days, 1 hour and 30 minutes')
    """
    if length < _UNITS[0][0]:
        unit, name = next(((unit, name) for unit, name in _UNITS if length and not length % unit), _SECOND)
        return _counted(length / unit, name)
    parts = []
    for unit, name in _UNITS:
        parts += [_counted(length // unit, name)] if length >= unit else []
        length %= unit
    parts += [_counted(length.total_seconds(), "second")] if length else []
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


def _counted(count: float, name: str) -> str:
    return f"{count:,g} {name}{'s' * (count != 1)}" if count % 1 else f"{int(count):,} {name}{'s' * (count != 1)}"


def each(length: timedelta) -> str:
    """A length of time as the measure of a rate.

    >>> each(timedelta(hours=1)), each(timedelta(minutes=5))
    ('hour', '5 minutes')
    """
    words = duration(length)
    return words if " and " in words else words.removeprefix("1 ")


def moment(when: datetime, *, seconds: bool = False) -> str:
    """A time of day with its date, in UTC.

    >>> moment(datetime(2026, 3, 1, 12, 5, tzinfo=UTC))
    '1 March 2026, 12:05'
    """
    when = when.astimezone(UTC)
    return f"{when.day} {when:%B} {when.year:04}, {clock(when, seconds=seconds)}"


def clock(when: datetime, *, seconds: bool = False) -> str:
    """A time of day; seconds where it has some, or where they are asked for."""
    fraction = f".{when.microsecond:06}".rstrip("0") if when.microsecond else ""
    return f"{when:%H:%M:%S}{fraction}" if seconds or when.second or fraction else f"{when:%H:%M}"


def text_of(item: Any) -> str:
    r"""Any item or key as text that HTML can hold, control characters as pictures, cut where it is very long.

    >>> text_of("a\0b"), text_of(None), text_of(True), text_of(b"\xff"), text_of("x" * 1000)[-3:]
    ('a␀b', 'none', 'true', '0xff', 'xx…')
    """
    match item:
        case str():
            text = item
        case bytes():
            text = f"0x{item.hex()}"
        case None | bool():
            text = {None: "none", True: "true", False: "false"}[item]
        case _:
            text = str(item)
    cut = text if len(text) <= _LONG else text[: _LONG - 1].rstrip() + "…"
    return "".join(map(_picture, cut))


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    unseen = 0xD800 <= code < 0xE000 or 0x80 <= code < 0xA0 or code & 0xFFFE == 0xFFFE
    return "\ufffd" if unseen or character in _OVERRIDES else character


def identity(item: Any) -> str:
    r"""An item as data that tells it apart from all others, in ASCII: JSON, bytes as `{"hex": …}`.

    >>> identity("a\0"), identity(1), identity(b"\xff")
    ('"a\\u0000"', '1', '{"hex": "ff"}')
    """
    return json.dumps({"hex": item.hex()} if isinstance(item, bytes) else item, default=str)
