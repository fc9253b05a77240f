"""Writes records to files that are complete whenever they can be seen, and never replaces one by another.

Beam's own file sinks lose or overwrite data when the input has no end or comes late; this one names a file after its
window, pane, shard and content, writes it under a temporary name, and renames it.
"""

from __future__ import annotations

import contextlib
import posixpath
import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import PaneInfo

from pipelines.connectors import run_state
from pipelines.connectors.back_pressure import writing
from pipelines.connectors.formats import Format, format_of
from pipelines.connectors.parts import Parts
from transforms.progress import advance
from transforms.schemas import WrittenFile
from transforms.windowing import ForgetTime

_TIME_BYTES = 8
_TIME_BIAS = 2**63  # makes the microseconds of any timestamp positive, so that bytes sort as times do
NOTHING = b""  # asks for a file although there may be no record


class WriteFile(beam.PTransform):
    """Writes a bounded collection to one file, in order of event time: PCollection[T] -> PCollection[WrittenFile].

    The file appears at the end, whole, and also where there was no record. Its name decides its format, unless a
    `layout` is given.
    """

    def __init__(self, path: str, layout: Format | None = None) -> None:
        super().__init__()
        self._path = path
        self._layout = layout
        format_of(path)
        if FileSystems.exists(path):
            raise ValueError(f"{path!r} exists already and is never overwritten: choose another name, or remove it")

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        if not records.is_bounded:
            raise ValueError(f"a stream without an end cannot become one file {self._path!r}: name a directory")
        layout = self._layout or format_of(self._path, records.element_type)
        rows = records | ForgetTime() | "Encode" >> beam.ParDo(EncodeRow(layout, shards=1))
        always = records.pipeline | "Always" >> beam.Create([(0, NOTHING)]).with_output_types(tuple[int, bytes])
        return (
            (rows, always)
            | "Together" >> beam.Flatten()
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(_WriteWhole(self._path, layout))
        )


class WriteParts(beam.PTransform):
    """Writes part files into a directory, by window, pane and shard: PCollection[T] -> PCollection[WrittenFile].

    Late panes are new files. The same records written again make the same files, so that a repeated run or a retried
    bundle adds nothing. A shard is sorted in memory.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        if self._parts.by and isinstance(records.windowing.windowfn, GlobalWindows):
            raise ValueError(
                f"by={self._parts.by} is about windows, and these records have none: cut time into windows"
            )
        layout = format_of(self._parts.suffix, records.element_type)
        return (
            records
            | "Encode" >> beam.ParDo(EncodeRow(layout, self._parts.shards))
            | "Gather" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(_WritePart(self._parts, layout)).with_output_types(WrittenFile)
        )


@beam.typehints.with_output_types(tuple[int, bytes])
class EncodeRow(beam.DoFn):
    """Pairs each record's shard with its time and bytes, which sort by event time and then by content."""

    def __init__(self, layout: Format, shards: int) -> None:
        self._layout = layout
        self._shards = shards

    def process(self, record: Any, time: Timestamp = beam.DoFn.TimestampParam) -> Iterator[tuple[int, bytes]]:
        row = self._layout.encode(record)
        yield zlib.crc32(row) % self._shards, (time.micros + _TIME_BIAS).to_bytes(_TIME_BYTES, "big") + row


@beam.typehints.with_output_types(WrittenFile)
class _WriteWhole(beam.DoFn):
    def __init__(self, path: str, layout: Format) -> None:
        self._path = path
        self._layout = layout

    def process(self, gathered: tuple[int, Iterable[bytes]]) -> Iterator[WrittenFile]:
        yield write_file(self._path, self._layout, in_order(gathered[1]))


@beam.typehints.with_output_types(WrittenFile)
class _WritePart(beam.DoFn):
    def __init__(self, parts: Parts, layout: Format) -> None:
        self._parts = parts
        self._layout = layout

    def process(
        self,
        gathered: tuple[int, Iterable[bytes]],
        window: Any = beam.DoFn.WindowParam,
        pane: PaneInfo = beam.DoFn.PaneInfoParam,
    ) -> Iterator[WrittenFile]:
        shard, rows = gathered
        ordered = in_order(rows)
        if not ordered:  # an empty closing pane has nothing to say
            return
        path = self._parts.path(window, pane.index, shard, ordered)
        if state := run_state.current():
            state.write(path, window)
        with writing(window.max_timestamp().micros):
            written = write_file(path, self._layout, ordered)
        yield written


def write_file(path: str, layout: Format, rows: list[bytes]) -> WrittenFile:
    """Writes a whole file under a temporary name and renames it; a failure leaves nothing behind."""
    directory, name = posixpath.split(path)
    temporary = posixpath.join(directory, f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            layout.write(stream, rows)
        FileSystems.rename([temporary], [path])
    except BaseException:
        with contextlib.suppress(Exception):  # the first failure is the one to tell
            FileSystems.delete([temporary])
        raise
    advance("Write", len(rows))
    return WrittenFile(path, len(rows))


def in_order(rows: Iterable[bytes]) -> list[bytes]:
    """Encoded elements in order of event time, then of content, so that the order of arrival does not show."""
    return [row[_TIME_BYTES:] for row in sorted(row for row in rows if row != NOTHING)]
