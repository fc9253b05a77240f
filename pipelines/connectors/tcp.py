"""Reads lines that a server sends over TCP: socket://host:port?log=DIR.

It connects again, ever more slowly, whenever the connection is lost; what the server sends meanwhile is not seen, and
an incomplete line is dropped. With `log`, complete lines are on disk before they count (see Received).
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.feeds import LiveInput, Mark, Unreachable
from pipelines.connectors.received import Received

_TIMEOUT = 10.0  # seconds to connect
_TICK = 0.2  # seconds after which a connection tells that nothing came
_SLOWEST = 5.0  # seconds between two attempts
_CHUNK = 2**16


@dataclass(frozen=True)
class Tcp(LiveInput):
    """A server that sends lines."""

    host: str
    port: int
    log: str | None = None

    @property
    def source(self) -> str:
        return f"socket://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def check(self) -> None:
        try:
            socket.create_connection((self.host, self.port), _TIMEOUT).close()
        except OSError as error:
            raise Unreachable(f"{self.source} must accept connections: {error}; is the server running?") from error

    def open(self, mark: Mark | None) -> Received:
        return Received(self.source, self._chunks(), self.log, mark)

    def kept_in(self, directory: str) -> Tcp:
        return replace(self, log=self.log or directory)

    def _chunks(self) -> Iterator[bytes | None]:
        wait = _TICK
        while True:
            try:
                with socket.create_connection((self.host, self.port), 1) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    connection.settimeout(_TICK)
                    while chunk := _receive(connection):
                        wait = _TICK
                        yield b"" if chunk is _NOTHING else chunk
            except OSError:
                pass  # a server that is away may come back
            again = time.monotonic() + wait * random.uniform(0.5, 1)  # noqa: S311  so that not all come at once
            wait = min(2 * wait, _SLOWEST)
            yield None
            while time.monotonic() < again:
                time.sleep(_TICK / 4)
                yield None


_NOTHING = b"nothing yet"


def _receive(connection: socket.socket) -> bytes:
    """What came, _NOTHING where nothing did, and no bytes at the end."""
    try:
        return connection.recv(_CHUNK)
    except TimeoutError:
        return _NOTHING


def input_of(uri: str) -> Tcp:
    """What an address says."""
    parts, values = parse_address(uri, {"log": str})
    if not parts.hostname or not parts.port or parts.path.strip("/"):
        raise ValueError(f"a server is socket://host:port, got {uri!r}")
    return Tcp(parts.hostname, parts.port, **values)
