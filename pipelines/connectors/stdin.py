"""Reads lines of standard input as they come: stdin: or stdin:?log=DIR. It ends where the input does."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.feeds import LiveInput, Mark
from pipelines.connectors.received import Received

_TICK = 0.2  # seconds
_CHUNK = 2**16


@dataclass(frozen=True)
class Stdin(LiveInput):
    """What another program writes into this one."""

    log: str | None = None
    descriptor: int = 0

    @property
    def source(self) -> str:
        return "stdin:"

    def check(self) -> None:
        """It is always there."""

    def open(self, mark: Mark | None) -> Received:
        return Received(self.source, self._chunks(), self.log, mark)

    def kept_in(self, directory: str) -> Stdin:
        return replace(self, log=self.log or directory)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            if not select.select([self.descriptor], [], [], _TICK)[0]:
                yield b""
            elif chunk := os.read(self.descriptor, _CHUNK):
                yield chunk
            else:
                return


def input_of(uri: str) -> Stdin:
    """What an address says."""
    parts, values = parse_address(uri, {"log": str})
    if parts.netloc or parts.path:
        raise ValueError(f"standard input is stdin: or stdin:?log=DIR, got {uri!r}")
    return Stdin(**values)
