"""What a finished run left, shown to a person: JSON read back, and tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NARROW = 20  # characters


def read_json(path: str) -> Any:
    """The first line of a file, as JSON."""
    from apache_beam.io.filesystem import CompressionTypes  # noqa: PLC0415  what shows no files starts without Beam
    from apache_beam.io.filesystems import FileSystems  # noqa: PLC0415

    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return orjson.loads(stream.readline())


def table(title: str, *columns: str, rows: Iterable[tuple[object, ...]]) -> Table:
    """A table whose numbers stand to the right; where it is too wide for the terminal, long texts are cut."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    content = list(rows)
    for at, column in enumerate(columns):
        values = [row[at] for row in content]
        numeric = all(isinstance(value, int) for value in values)
        gives_way = max((len(str(value)) for value in values), default=0) > _NARROW
        drawn.add_column(column, justify="right" if numeric else "left", no_wrap=not gives_way)
    for row in content:
        drawn.add_row(*map(_cell, row))
    return drawn


def _cell(value: object) -> Text:
    shown = f"{value:,}" if isinstance(value, int) else visible(" ".join(str(value).split()))
    return Text(shown, no_wrap=True, overflow="ellipsis")


def visible(text: str) -> str:
    r"""Text without power over a terminal.

    >>> visible("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def share(part: int, whole: int) -> str:
    """A part in percent.

    >>> share(1, 8)
    '12.5 %'
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "-"


def in_one_line(value: Any) -> str:
    """An answer of a sketch, for a cell of a table."""
    match value:
        case dict():
            return ", ".join(f"{rank:g}: {estimate}" for rank, estimate in value.items())
        case list():
            return ", ".join(f"{item} {estimate}" for item, estimate in value)
        case int():
            return f"{value:,}"
    return str(value)
