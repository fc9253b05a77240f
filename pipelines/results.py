"""What a finished run left, shown to a person: JSON read back, and tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pipelines.connectors.standard_streams import visible

_NARROW = 20  # characters


def read_json(path: str) -> Any:
    """The first line of a file, as JSON."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return orjson.loads(stream.readline())


def table(title: str, *columns: str, rows: Iterable[tuple[object, ...]]) -> Table:
    """A table whose numbers stand to the right and whose texts are cut, not wrapped."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    content = [tuple(row) for row in rows]
    for at, column in enumerate(columns):
        numeric = all(isinstance(row[at], int | float) for row in content)
        widest = max((len(_cell(row[at])) for row in content), default=0)
        drawn.add_column(
            column,
            justify="right" if numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(max(widest, len(column)), _NARROW),  # a long text beside it gives way, not a short one
        )
    for row in content:
        drawn.add_row(*map(_cell, row))
    return drawn


def _cell(value: object) -> Text:
    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text(visible(" ".join(str(value).split())))


def share(part: int, whole: int) -> str:
    """A part in percent.

    >>> share(1, 8)
    '12.5 %'
    """
    return f"{part / whole:.1%}".replace("%", " %") if whole else "-"
