"""A load generator with planted truth: event n is a function of the seed and n, and so is what must come of all.

    generate://?events=2000&seed=7&late=0.05&after=30s&poison=0.01

Events are JSON: {id, time, user, page, latency, lang, text}. They come as they happen,
`events` a second since `start` (now).
"""

from __future__ import annotations

import hashlib
import math
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from transforms.parsing import parse_time
from transforms.windows import parse_duration

_POISON = (
    b"{",
    b"[1, 2]",
    b'{"time": "noon"}',
    b'{"time": 1e300}',
    b'{"user": 7}',
    b"\xff\xfe",
    b"null",
    b'{"time": NaN}',
)
_WORDS = ("goal", "rain", "coffee", "train", "match", "sea", "late", "home", "music", "sun", "bus")
_LANGS = ("en", "ja", "es", "ar", "pt", "id")


@dataclass(frozen=True, kw_only=True)
class Generated(LiveInput):
    """Events of a seed, from a moment on."""

    events: float = 1000.0  # a second
    start: float  # seconds since 1970
    keys: int = 1000  # users
    seed: int = 7
    limit: int | None = None
    apart: float = 2.0  # seconds by which events come out of order at most
    late: float = 0.0  # the share that comes `after` seconds behind
    after: float = 30.0
    poison: float = 0.0  # the share that is no event

    @property
    def source(self) -> str:
        return f"generate://?seed={self.seed}"

    def check(self) -> None:
        """It is always there."""

    def open(self, mark: Mark | None) -> _Generator:
        return _Generator(self, mark["next"] if mark else 0)

    def payload(self, number: int) -> bytes:
        """What is sent as event `number`."""
        return orjson.dumps(self.event(number)) if self.is_event(number) else _POISON[number % len(_POISON)]

    def is_event(self, number: int) -> bool:
        """Whether event `number` is one, and no poison."""
        return self._draw(number)[0] >= self.poison

    def event(self, number: int) -> dict[str, Any]:
        """The event `number`, where it is one."""
        _, late, apart, user, page, latency, lang = self._draw(number)
        behind = self.after if late < self.late else apart * self.apart
        return {
            "id": number,
            "time": round(self.start + number / self.events - behind, 6),
            "user": f"u{int(self.keys * user**2)}",
            "page": f"/{int(50 * page**3)}",
            "latency": round(20 / (1 - latency) ** 0.5, 3),  # milliseconds, with a heavy tail
            "lang": _LANGS[int(len(_LANGS) * lang**2)],
            "text": f"{_WORDS[int(len(_WORDS) * user**2)]} {_WORDS[int(len(_WORDS) * page)]}",
        }

    def _draw(self, number: int) -> list[float]:
        """Seven numbers from 0 to 1 by chance."""
        digest = hashlib.blake2b(b"%d %d" % (self.seed, number), digest_size=28).digest()
        return [word / 2**32 for word in struct.unpack("<7I", digest)]


class _Generator(Feed):
    def __init__(self, of: Generated, begin: int) -> None:
        self._of = of
        self._next = begin

    def poll(self, most: int) -> list[Message]:
        due = math.ceil((time.time() - self._of.start) * self._of.events)
        end = min(self._next + most, due if self._of.limit is None else min(due, self._of.limit))
        numbers = range(self._next, end)
        self._next = max(self._next, end)
        return [
            Message(self._of.payload(number), number, self._of.start + number / self._of.events) for number in numbers
        ]

    def mark(self) -> Mark:
        return {"version": 1, "next": self._next}

    def at_end(self) -> Mapping[str, bool]:
        return {"": self.ended()}

    def ended(self) -> bool:
        return self._of.limit is not None and self._next >= self._of.limit

    def close(self) -> None:
        """It holds nothing."""


def input_of(uri: str) -> Generated:
    """What an address says."""
    _, values = parse_address(
        uri,
        {
            "events": float,
            "start": lambda text: parse_time(text).timestamp(),
            "keys": int,
            "seed": int,
            "limit": int,
            "apart": parse_duration,
            "after": parse_duration,
            "late": _share,
            "poison": _share,
        },
    )
    return Generated(**{"start": time.time(), **values})


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError("must be from 0 to 1")
    return share
