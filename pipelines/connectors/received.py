"""Lines that somebody sends and nobody can ask for again: a thread receives them, into a log where there is one."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping

from pipelines.connectors.feeds import Feed, Mark, Message, Unreachable
from pipelines.connectors.lines import MAX_LINE
from pipelines.connectors.log import Log

_LOGGER = logging.getLogger(__name__)
_WAITING = 2**24  # bytes that were received and not yet polled, after which the sender has to wait
_A_READ = 1000  # messages of a log at once


class Received(Feed):
    """Lines out of chunks of bytes; blank ones are no messages. What is longer than MAX_LINE comes cut, as a reject.

    `chunks` are received in a thread: b"" where nothing came for a while, None where the connection is lost, and with
    it the line that was not complete. It must give one of them every second at least.

    With a log, a message counts when it is synced to the disk, and is delivered again after a crash unless it was
    acknowledged. Without one, what was received and not acknowledged is lost in a crash. What is received while
    the pipeline does not come on is bounded: the sender waits.
    """

    def __init__(self, source: str, chunks: Iterator[bytes | None], directory: str | None, mark: Mark | None) -> None:
        self._source, self._chunks = source, chunks
        self._log = Log(directory) if directory else None
        if self._log is None:
            _LOGGER.warning("%s is read without log=DIR: what is in flight is lost in a crash", source)
        self._next: int = mark["next"] if mark else (self._log.begin() if self._log else 0)
        self._received = self._log.end if self._log else self._next  # the number that is received next
        self._waiting: deque[Message] = deque()  # without a log
        self._bytes = 0  # received here, and not polled
        self._room = threading.Condition()
        self._failure: Exception | None = None
        self._reached = self._over = self._closed = False
        self._thread = threading.Thread(target=self._receive, name=f"receive {source}", daemon=True)
        self._thread.start()

    def poll(self, most: int) -> list[Message]:
        with self._room:
            failure, available = self._failure, self._received - self._next
            if self._log is None:
                found = [self._waiting.popleft() for _ in range(min(most, available))]
        if failure is not None and not available:
            raise failure
        if self._log is not None:
            found = self._log.read(self._next, min(most, available, _A_READ)) if available else []
        with self._room:
            self._next += len(found)
            # What a log held before this feed is polled first, and was never counted.
            self._bytes = max(0, self._bytes - sum(len(message.payload) for message in found))
            self._room.notify()
        return found

    def mark(self) -> Mark:
        return {"version": 1, "next": self._next}

    def at_end(self) -> Mapping[str, bool]:
        with self._room:
            return {"": (self._reached or self._over) and self._next == self._received}

    def acknowledge(self, mark: Mark) -> None:
        if self._log is not None:
            self._log.forget(mark["next"])

    def ended(self) -> bool:
        with self._room:
            return self._over and self._next == self._received

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify()
        self._thread.join()
        if self._log is not None:
            self._log.close()

    def _receive(self) -> None:
        cutter = Cutter()
        try:
            for chunk in self._chunks:
                if self._closed:
                    return
                if chunk is None:
                    cutter = Cutter()
                else:
                    self._keep(cutter.lines(chunk))
                self._reached = chunk is not None
            self._keep(cutter.rest())
            with self._room:
                self._over = True
        except Unreachable as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001  whatever it is must be told by the feed, not by a thread
            self._failure = Unreachable(f"{self._source} cannot be received any further: {error!r}")

    def _keep(self, lines: list[bytes]) -> None:
        now = time.time()
        rows = [(now, line.rstrip(b"\r")) for line in lines if line.strip()]
        if not rows:
            return
        if self._log is not None:
            self._log.append(rows)
        with self._room:
            if self._log is None:
                numbered = enumerate(rows, self._received)
                self._waiting.extend(Message(payload, number, written) for number, (written, payload) in numbered)
            self._received += len(rows)
            self._bytes += sum(len(payload) for _, payload in rows)
            self._room.wait_for(lambda: self._bytes < _WAITING or self._next == self._received or self._closed)


class Cutter:
    r"""Cuts bytes into lines, however they come, in bounded memory.

    >>> cutter = Cutter()
    >>> cutter.lines(b"one\ntw"), cutter.lines(b"o\nthree"), cutter.rest()
    ([b'one'], [b'two'], [b'three'])
    """

    def __init__(self) -> None:
        self._held = b""  # of the line that is not complete: what is beyond one byte more than allowed is dropped

    def lines(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now."""
        first, *more = chunk.split(b"\n")
        whole = [self._held + first[: MAX_LINE + 1 - len(self._held)], *(line[: MAX_LINE + 1] for line in more)]
        self._held = whole.pop()
        return whole

    def rest(self) -> list[bytes]:
        """The line that was not complete, where there was one."""
        return [self._held] if self._held else []
