r"""Lines of web servers' access logs as rows: Apache's common and combined formats, which Nginx writes as well.

    203.0.113.9 - ana [01/Mar/2026:13:00:05 +0100] "GET /shop?id=7 HTTP/2.0" 200 5120 "https://a.example/" "Mozilla/5.0"

The fields are host, user, time, method, path (without its query), query, protocol, status, bytes, referrer and agent.
What the server writes as - is missing; inside quotes \" is a quote, \\ a backslash and \xhh a byte.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"(\S+) \S+ (.+?) \[([^\]]+)\] {_QUOTED} (\d{{3}}|-) (\d+|-)(?: {_QUOTED} {_QUOTED})?")
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)", re.ASCII)
# In English, whatever the locale.
_MONTHS = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]  # in English, whatever the locale
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")


def parse_access(line: str) -> dict[str, Any]:
    """The row of a line; ValueError where it is in neither format.

    >>> row = parse_access('203.0.113.9 - - [01/Mar/2026:13:00:05 +0100] "GET /shop?id=7 HTTP/1.1" 404 -')
    >>> row["time"].isoformat(), row["path"], row["query"], row["status"], row["bytes"], row["user"]
    ('2026-03-01T12:00:05+00:00', '/shop', 'id=7', 404, None, None)
    """
    match = _LINE.match(line)
    if not match:
        raise ValueError('expected a line of an access log: host, -, user, [time], "request", status, bytes')
    host, user, time, request, status, size, referrer, agent = match.groups()
    method, path, query, protocol = _request(_unescaped(request))
    return {
        "host": host,
        "user": None if user == "-" else user,
        "time": _time(time),
        "method": method,
        "path": path,
        "query": query,
        "protocol": protocol,
        "status": None if status == "-" else int(status),
        "bytes": None if size == "-" else int(size),
        "referrer": _unescaped(referrer),
        "agent": _unescaped(agent),
    }


def _request(request: str | None) -> tuple[str | None, str | None, str | None, str | None]:
    """Method, path, query and protocol; what is no request of HTTP is a path alone, as clients may send anything."""
    words = (request or "").split(" ")
    if len(words) != 3:
        return None, request, None, None
    path, mark, query = words[1].partition("?")
    return words[0], path, query if mark else None, words[2]


def _time(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if not match or match[2] not in _MONTHS:
        raise ValueError(f"a time in an access log must be like 01/Mar/2026:13:00:05 +0100, got {text!r}")
    day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)
    moment = datetime(
        int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset)
    )
    return moment.astimezone(UTC)


def _unescaped(text: str | None) -> str | None:
    return None if text is None or text == "-" else _ESCAPED.sub(_meant, text)


def _meant(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) == 3 else code
