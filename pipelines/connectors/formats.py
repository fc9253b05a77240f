"""How the content of a file is laid out, told by the ending of its name: lines, Avro, Parquet, or one whole element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol

from pipelines.connectors.containers import Avro, Parquet
from pipelines.connectors.lines import Lines
from pipelines.connectors.whole import Whole
from transforms.parsing import Payload


class Format(Protocol):
    """What a kind of file owes to the file source and the file sink."""

    @property
    def splittable(self) -> bool:
        """Whether one file may be read in several ranges of bytes."""

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, Payload]]:
        """The payloads that begin in [start, end), each with its position."""

    def encode(self, element: Any) -> bytes:
        """One element, as it travels to the worker that writes it."""

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        """A whole file of encoded elements; the same elements give the same bytes."""


# The ending of a name -> how to make its format for the type of element that will be written.
_FORMATS: dict[str, Callable[[Any], Format]] = {
    ".jsonl": lambda _: Lines(),
    ".jsonl.gz": lambda _: Lines(gzipped=True),
    ".json": lambda _: Lines(),
    ".json.gz": lambda _: Lines(gzipped=True),
    ".txt": lambda _: Lines(),
    ".txt.gz": lambda _: Lines(gzipped=True),
    ".log": lambda _: Lines(),
    ".log.gz": lambda _: Lines(gzipped=True),
    ".avro": Avro,
    ".parquet": Parquet,
    ".safetensors": lambda _: Whole(),
}


def suffix_of(path: str) -> str | None:
    """The ending that tells the format of a file, or None.

    >>> suffix_of("tweets/2014.jsonl.gz"), suffix_of("tweets")
    ('.jsonl.gz', None)
    """
    return max((suffix for suffix in _FORMATS if path.lower().endswith(suffix)), key=len, default=None)


def format_of(path: str, element_type: Any = None) -> Format:
    """The format of a file by its ending; raises ValueError where it tells none."""
    suffix = suffix_of(path)
    if suffix is None:
        raise ValueError(f"the name of a file must end in one of {', '.join(_FORMATS)}, got {path!r}")
    return _FORMATS[suffix](element_type)
