"""Files that are one element and nothing else, such as a model: its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Whole:
    """One element of bytes a file. Its only position is 0."""

    splittable = False

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, bytes]]:
        """The content of the file."""
        del start, end
        yield 0, stream.read()

    def encode(self, element: Any) -> bytes:
        if not isinstance(element, bytes):
            raise TypeError(f"a file of its own needs an element of bytes, got {type(element).__name__}")
        return element

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        """The content of the file; raises ValueError unless there is exactly one element."""
        content = list(rows)
        if len(content) != 1:
            raise ValueError(f"a file of its own holds exactly one element, got {len(content)}")
        stream.write(content[0])
