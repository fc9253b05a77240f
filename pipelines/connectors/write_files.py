"""Writes records to files that are complete whenever they can be seen, and never replaces one by another.

Beam's own file sinks lose or overwrite data when the input has no end or comes late; this one names a file after its
window, pane, shard and content, writes it under a temporary name, and renames it.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import uuid
import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import PaneInfo

from pipelines.connectors import run_state
from pipelines.connectors.back_pressure import writing
from pipelines.connectors.formats import Format, format_of
from transforms.progress import advance
from transforms.schemas import EPOCH, WrittenFile
from transforms.windowing import ForgetTime

_TIME_BYTES = 8
_TIME_BIAS = 2**63  # makes the microseconds of any timestamp positive, so that bytes sort as times do
NOTHING = b""  # asks for a file although there may be no record


class WriteFile(beam.PTransform):
    """Writes a bounded collection to one file, in order of event time: PCollection[T] -> PCollection[WrittenFile].

    The file appears at the end, whole, and also where there was no record. Its name decides its format.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        format_of(path)
        if FileSystems.exists(path):
            raise ValueError(f"{path!r} exists already and is never overwritten: choose another name, or remove it")

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        if not records.is_bounded:
            raise ValueError(f"a stream without an end cannot become one file {self._path!r}: name a directory")
        layout = format_of(self._path, records.element_type)
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
    bundle adds nothing. A shard is sorted in memory: `shards` is how many files share a window.
    """

    def __init__(self, directory: str, suffix: str, shards: int = 1) -> None:
        super().__init__()
        if shards < 1:
            raise ValueError(f"shards must be at least 1, got {shards}")
        self._directory = directory.rstrip("/")
        self._suffix = suffix
        self._shards = shards

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        layout = format_of(self._suffix, records.element_type)
        return (
            records
            | "Encode" >> beam.ParDo(EncodeRow(layout, self._shards))
            | "Gather" >> beam.GroupByKey()
            | "Write"
            >> beam.ParDo(_WritePart(self._directory, self._suffix, self._shards, layout)).with_output_types(
                WrittenFile
            )
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
    def __init__(self, directory: str, suffix: str, shards: int, layout: Format) -> None:
        self._directory = directory
        self._suffix = suffix
        self._shards = shards
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
        parts = [_name_of(window), f"pane{pane.index}", f"shard{shard}of{self._shards}", _digest(ordered)]
        path = FileSystems.join(self._directory, ".".join(parts) + self._suffix)
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


def _digest(rows: list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for row in rows:
        digest.update(len(row).to_bytes(8, "big"))
        digest.update(row)
    return digest.hexdigest()


def _name_of(window: Any) -> str:
    """The window as it stands in the name of a file: 20140701T000000Z-20140701T010000Z, or all."""
    if isinstance(window, GlobalWindow):
        return "all"
    if isinstance(window, IntervalWindow):
        return f"{_compact(window.start)}-{_compact(window.end)}"
    raise ValueError(f"files are named after windows with a start and an end, got {window!r}")


def _compact(time: Timestamp) -> str:
    moment = EPOCH + timedelta(microseconds=time.micros)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"
