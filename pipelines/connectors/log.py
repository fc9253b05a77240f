"""A write-ahead log: what was received is on disk before it counts, and is read from there again after a crash."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import logging
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pipelines.connectors.feeds import Message, Unreachable

_LOGGER = logging.getLogger(__name__)
_HEADER = struct.Struct("<Id8s")  # bytes of the payload, when it was received, the digest of everything else
_LONGEST = 2**26  # bytes of a payload; a damaged length must not fill the memory
_SEGMENT = 2**24  # bytes after which another file begins
_MOST = 2**30  # bytes of all files
_ENDING = ".log"


class Log:
    """Messages by their number, in files of a directory, each named after the first that it holds.

    `append` returns when its messages are synced to the disk, and only those are read. A kill at any moment leaves all
    that was appended; the last file is cut where it is not whole when the
    log is opened, and that is logged. Files whose messages are all
    acknowledged are removed. One process writes a log at a time. `append`, `read` and `forget` may come from different
    threads, each from one at a time.

    Raises Unreachable where another process has the log open, where a file other than the last is damaged, and where
    messages that are not acknowledged take more than `most` bytes.
    """

    def __init__(self, directory: str, *, most: int = _MOST, segment: int = _SEGMENT) -> None:
        self._directory, self._most, self._segment = Path(directory), most, segment
        self._changing = threading.Lock()
        self._reading: tuple[int, BinaryIO] | None = None  # the number that comes next, and the file at its place
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise Unreachable(f"a log has one reader, and {directory} is open already: give each its own") from None
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        self._sizes = {int(path.stem): path.stat().st_size for path in self._directory.glob(f"*{_ENDING}")}
        if not self._sizes:
            self._sizes[0] = 0
        last = max(self._sizes)
        self._file = self._path(last).open("ab", buffering=0)
        self.end = last  # the number of the message that will be appended next
        whole = 0
        with self._path(last).open("rb") as stream:
            for _ in _messages(stream, last):
                self.end += 1
                whole = stream.tell()
        if whole < self._sizes[last]:
            _LOGGER.warning("%s ends in %d bytes never synced whole: cut", self._path(last), self._sizes[last] - whole)
            self._file.truncate(whole)
            self._sizes[last] = whole
        os.fsync(self._file.fileno())  # what is read next may have been written and never synced
        self._sync_names()

    @property
    def first(self) -> int:
        """The number of the first message that is still here."""
        return min(self._sizes)

    def begin(self) -> int:
        """The number behind all that was acknowledged, as far as that came to the disk."""
        noted = self._directory / "acknowledged"
        text = noted.read_text() if noted.exists() else ""
        return min(max(int(text) if text.isdigit() else 0, self.first), self.end)

    def append(self, messages: Sequence[tuple[float, bytes]]) -> None:
        """Adds payloads and when they were received: all of them, or none where an error is raised."""
        rows = [
            _HEADER.pack(len(payload), written, _digest(self.end + index, written, payload)) + payload
            for index, (written, payload) in enumerate(messages)
        ]
        block = b"".join(rows)
        with self._changing:
            held = sum(self._sizes.values())
            if held + len(block) > self._most:
                raise Unreachable(
                    f"the log {self._directory} may hold {self._most} bytes, and {held} of it are not acknowledged: "
                    "see why the pipeline does not come on, or make room"
                )
            last = max(self._sizes)
            if self._sizes[last] >= self._segment:
                last = self._begin_segment()
            try:
                rest = memoryview(block)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
                os.fsync(self._file.fileno())
            except OSError as error:
                self._file.truncate(self._sizes[last])
                raise Unreachable(f"the log {self._directory} cannot be written: {error}") from error
            self._sizes[last] += len(block)
            self.end += len(rows)

    def read(self, number: int, most: int) -> list[Message]:
        """At most so many messages from a number on; none at the end. Raises Unreachable for what is gone."""
        with self._changing:
            if not self.first <= number <= self.end:
                raise Unreachable(
                    f"the log {self._directory} holds messages {self.first} to {self.end}, and not {number}, where "
                    "reading goes on: is it the directory of another run?"
                )
            end, starts = self.end, sorted(self._sizes)
        found: list[Message] = []
        while number < end and len(found) < most:
            start = max(begin for begin in starts if begin <= number)
            below = min([begin for begin in starts if begin > start], default=end)
            for message in self._messages_from(start, number, min(below, end, number + most - len(found))):
                found.append(message)
                number += 1
        return found

    def _messages_from(self, start: int, number: int, end: int) -> Iterator[Message]:
        if self._reading is None or self._reading[0] != number or number == start:
            if self._reading is not None:
                self._reading[1].close()
            self._reading = (start, self._path(start).open("rb"))
        at, stream = self._reading
        messages = _messages(stream, at)
        while at < end:
            message = next(messages, None)
            if message is None:
                raise Unreachable(f"{self._path(start)} is damaged from message {at} on: restore it, or remove the log")
            at += 1
            self._reading = (at, stream)
            if at > number:
                yield message

    def forget(self, number: int, keep: int | None = None) -> None:
        """Notes what is acknowledged; removes files that hold nothing else, but the last, which keeps the count.

        Files stay that hold a message from the number `keep` on.
        """
        with self._changing:
            noted = self._directory / "acknowledged.tmp"
            noted.write_text(str(number))
            noted.replace(self._directory / "acknowledged")
            for start, following in itertools.pairwise(sorted(self._sizes)):
                if following <= (number if keep is None else min(number, keep)):
                    self._path(start).unlink(missing_ok=True)
                    del self._sizes[start]

    def close(self) -> None:
        with self._changing:
            self._file.close()
            if self._reading is not None:
                self._reading[1].close()
                self._reading = None
            self._lock.close()

    def _begin_segment(self) -> int:
        self._file.close()
        self._sizes[self.end] = 0
        self._file = self._path(self.end).open("ab", buffering=0)
        self._sync_names()
        return self.end

    def _path(self, start: int) -> Path:
        return self._directory / f"{start:020d}{_ENDING}"

    def _sync_names(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _messages(stream: BinaryIO, number: int) -> Iterator[Message]:
    """The messages from here on, up to the first that is not whole."""
    while len(header := stream.read(_HEADER.size)) == _HEADER.size:
        length, written, digest = _HEADER.unpack(header)
        payload = stream.read(length) if length <= _LONGEST else b""
        if len(payload) < length or digest != _digest(number, written, payload):
            return
        yield Message(payload, number, written)
        number += 1


def _digest(number: int, written: float, payload: bytes) -> bytes:
    return hashlib.blake2b(struct.pack("<Qd", number, written) + payload, digest_size=8).digest()
