"""From records to bytes that other programs read."""

from __future__ import annotations

import base64

import orjson


def to_json(value: object) -> bytes:
    r"""A record, dict or list as one line of JSON: times in RFC 3339 UTC, bytes as text where they are UTF-8.

    >>> from transforms.schemas import Reject
    >>> to_json(Reject(raw=b"{oops", step="Read", error="not JSON", source="a.jsonl", position=0)).decode()
    '{"raw":"{oops","step":"Read","error":"not JSON","source":"a.jsonl","position":0}'
    >>> to_json({"raw": b"\xff"})
    b'{"raw":{"base64":"/w=="}}'
    """
    return orjson.dumps(value, default=_bytes_as_text, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def to_line(value: object) -> bytes:
    """Text and bytes as they are; anything else as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8")
    return value if isinstance(value, bytes) else to_json(value)


def _bytes_as_text(value: object) -> object:
    if not isinstance(value, bytes):
        raise TypeError(f"cannot write {type(value).__name__} as JSON: use text, numbers, times, bytes or records")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}
