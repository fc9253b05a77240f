"""Files of lines, plain or gzipped: JSON for records, text for text."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from transforms.formatting import to_line

MAX_LINE = 2**20  # bytes; nobody's record is longer, and a line without an end must not fill the memory


@dataclass(frozen=True)
class Lines:
    """One record a line. Blank lines are no records. A position is bytes from the start, decompressed."""

    gzipped: bool = False

    @property
    def splittable(self) -> bool:
        return not self.gzipped

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
        """The lines that begin in [start, end), without their ends; what is longer than MAX_LINE comes cut.

        Raises EOFError or OSError where a gzip stream ends early or is damaged, after all whole lines before that.
        """
        if self.gzipped:
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=stream))
        position = start
        if start:  # a line that begins before the range belongs to the range before: skip to the next one
            stream.seek(start - 1)
            position += _skip_line(stream) - 1
        while end is None or position < end:
            line = stream.readline(MAX_LINE + 2)
            if not line:
                return
            length = len(line)
            if length > MAX_LINE and not line.endswith(b"\n"):
                length += _skip_line(stream)
            payload = line.rstrip(b"\r\n")
            if payload.strip():
                yield position, payload
            position += length

    def encode(self, element: Any) -> bytes:
        return to_line(element)

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        lines = (row + b"\n" for row in rows)
        if not self.gzipped:
            stream.writelines(lines)
            return
        with gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) as compressed:
            compressed.writelines(lines)


def _skip_line(stream: BinaryIO) -> int:
    """Reads past the next end of line, in bounded memory; returns the bytes that were passed."""
    passed = 0
    while chunk := stream.readline(MAX_LINE):
        passed += len(chunk)
        if chunk.endswith(b"\n"):
            break
    return passed
