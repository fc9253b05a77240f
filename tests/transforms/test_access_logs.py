"""Lines of access logs become rows, whatever clients send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from transforms.access_logs import parse_access

COMBINED = (
    '203.0.113.9 - ana [01/Mar/2026:13:00:05 +0100] "GET /shop?id=7 HTTP/2.0" 200 5120 '
    '"https://a.example/" "Mozilla/5.0 (X11; \\"quoted\\")"'
)


def test_a_combined_line_has_all_fields() -> None:
    assert parse_access(COMBINED) == {
        "host": "203.0.113.9",
        "user": "ana",
        "time": datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC),
        "method": "GET",
        "path": "/shop",
        "query": "id=7",
        "protocol": "HTTP/2.0",
        "status": 200,
        "bytes": 5120,
        "referrer": "https://a.example/",
        "agent": 'Mozilla/5.0 (X11; "quoted")',
    }


@pytest.mark.parametrize(
    ("request_line", "method", "path"),
    [
        ("-", None, None),
        ("", None, ""),
        (r"\x16\x03\x01", None, "\x16\x03\x01"),
        ("GET /a b HTTP/1.1", None, "GET /a b HTTP/1.1"),
        (r"GET /\"x\\ HTTP/1.1", "GET", '/"x\\'),
        ("GET /? HTTP/1.1", "GET", "/"),
    ],
)
def test_what_is_no_request_is_kept_as_it_came(request_line: str, method: str | None, path: str | None) -> None:
    row = parse_access(f'::1 - - [28/Feb/2026:23:59:59 -0800] "{request_line}" 400 0 "-" "-"')
    assert (row["method"], row["path"], row["agent"]) == (method, path, None)
    assert row["time"] == datetime(2026, 3, 1, 7, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        COMBINED[:40],
        COMBINED.replace("Mar", "Mrz"),
        COMBINED.replace("01/", "31/").replace("Mar", "Feb"),
        COMBINED.replace("13:00", "25:00"),
    ],
)
def test_any_other_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"access log|day is out of range|hour must be"):
        parse_access(line)
