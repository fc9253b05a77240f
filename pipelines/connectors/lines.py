"""Files of lines, plain or gzipped: JSON for records, text for text."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pipelines.connectors.bounds import Gunzipped
from transforms.formatting import to_line

MAX_LINE = 2**20  # bytes; nobody's record is longer, and a line without an end must not fill the memory

_BUFFER = 2**16
_BLANK = 1_000_000  # lines in a row: more of them are a bomb, or no lines


@dataclass(frozen=True)
class Lines:
    """One record a line. Blank lines are no records. A position is bytes from the start, decompressed."""

    gzipped: bool = False

    @property
    def splittable(self) -> bool:
        return not self.gzipped

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
        """The lines that begin in [start, end), without their ends; what is longer than MAX_LINE comes cut.

        Raises EOFError, OSError or ValueError where a gzip stream ends early, is damaged or is a bomb, and ValueError
        where nothing but blank lines comes, after all whole lines before that.
        """
        if self.gzipped:
            stream = cast("BinaryIO", io.BufferedReader(Gunzipped(stream), _BUFFER))
        position, blank = start, 0
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
            blank = blank + 1 if not payload.strip() else 0
            if not blank:
                yield position, payload
            if blank > _BLANK:
                raise ValueError(f"there must be at most {_BLANK:,} blank lines in a row, got more")
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
