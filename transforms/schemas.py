"""The records that flow between steps, and how each is stored: as Arrow, as Avro, and as bytes between workers.

A record is a frozen dataclass. Its fields say everything: names, types, which may be missing (`| None`), and which
one is the event time (`EventTime`); Arrow and Avro schemas and the coder are derived from them.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, TypeAlias, TypeVar

import apache_beam as beam
import fastavro
import pyarrow as pa

R = TypeVar("R")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_IS_EVENT_TIME = "event time"
EventTime: TypeAlias = Annotated[datetime, _IS_EVENT_TIME]


class Record(Protocol):
    """Any frozen dataclass whose fields are strings, numbers, bytes, UTC times, or tuples of these."""

    __dataclass_fields__: typing.ClassVar[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Tweet:
    """A short public message. What a source says beyond these fields is kept in `extra`, as JSON."""

    id: str
    created_at: EventTime
    text: str
    lang: str | None = None  # of the text, as the source labels it; "und" means undecidable
    user: str | None = None
    user_lang: str | None = None  # of the user's own settings
    hashtags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Something written, and when: None where only its source can say."""

    text: str
    time: EventTime | None = None


@dataclass(frozen=True, slots=True)
class WordCount:
    """How often a word came in a window; None and None where time is whole."""

    window_start: datetime | None
    window_end: datetime | None
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that a step could not use: what came, where it came from, and why it was put aside."""

    raw: bytes
    step: str
    error: str
    source: str
    position: int  # bytes from the start of the (decompressed) source; rows in a container such as Avro


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that is complete and in its place, and how many records it holds."""

    path: str
    records: int


def is_record_type(hint: object) -> typing.TypeGuard[type[Record]]:
    """Whether a type hint names a record."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


@functools.cache
def event_time_field(record_type: object) -> str | None:
    """The name of the field that holds the event time, or None where a record has no time."""
    if not is_record_type(record_type):
        return None
    hints = typing.get_type_hints(record_type, include_extras=True)
    return next((name for name, hint in hints.items() if _is_event_time(hint)), None)


def _is_event_time(hint: Any) -> bool:
    """Whether a hint is EventTime, or EventTime | None."""
    arguments = typing.get_args(hint)
    return _IS_EVENT_TIME in arguments or any(map(_is_event_time, arguments))


def micros(time: datetime) -> int:
    """Microseconds since 1970 of a time with a time zone.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


# One row a Python type: its Arrow type and its Avro type.
_STORED_AS: dict[type, tuple[pa.DataType, object]] = {
    str: (pa.string(), "string"),
    bytes: (pa.binary(), "bytes"),
    int: (pa.int64(), "long"),
    float: (pa.float64(), "double"),
    bool: (pa.bool_(), "boolean"),
    datetime: (pa.timestamp("us", tz="UTC"), {"type": "long", "logicalType": "timestamp-micros"}),
}


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    arrow: pa.DataType
    avro: object
    optional: bool
    repeated: bool


@functools.cache
def _columns(record_type: Any) -> tuple[_Column, ...]:
    hints = typing.get_type_hints(record_type)
    return tuple(_column(field.name, hints[field.name]) for field in dataclasses.fields(record_type))


def _column(name: str, hint: Any) -> _Column:
    arguments = typing.get_args(hint)
    optional = typing.get_origin(hint) in {typing.Union, types.UnionType} and type(None) in arguments
    repeated = typing.get_origin(hint) is tuple
    plain = arguments[0] if optional or repeated else hint
    if plain not in _STORED_AS:
        known = ", ".join(kind.__name__ for kind in _STORED_AS)
        raise TypeError(f"field {name} must hold one of {known}, or a tuple of these, got {hint}")
    arrow, avro = _STORED_AS[plain]
    return _Column(name, arrow, avro, optional, repeated)


@functools.cache
def arrow_schema(record_type: Any) -> pa.Schema:
    """The Arrow schema of a record type.

    >>> arrow_schema(WrittenFile).names
    ['path', 'records']
    """
    return pa.schema(
        pa.field(c.name, pa.list_(c.arrow) if c.repeated else c.arrow, nullable=c.optional)
        for c in _columns(record_type)
    )


@functools.cache
def avro_schema(record_type: Any) -> dict[str, Any]:
    """The Avro schema of a record type, parsed."""
    fields: list[dict[str, Any]] = []
    for column in _columns(record_type):
        if column.optional:
            fields.append({"name": column.name, "type": ["null", column.avro], "default": None})
        elif column.repeated:
            fields.append({"name": column.name, "type": {"type": "array", "items": column.avro}, "default": []})
        else:
            fields.append({"name": column.name, "type": column.avro})
    schema = {"type": "record", "name": record_type.__name__, "namespace": "streamsketch", "fields": fields}
    return typing.cast("dict[str, Any]", fastavro.parse_schema(schema))


def to_row(record: Record) -> dict[str, Any]:
    """A record as a plain dict, for writers of files."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def from_row(record_type: type[R], row: Mapping[str, Any]) -> R:
    """The record that a row holds."""
    return record_type(**{name: tuple(value) if type(value) is list else value for name, value in row.items()})


class RecordCoder(beam.coders.Coder):
    """Records between workers and in saved state: a version byte and Avro's binary form, never a pickle."""

    VERSION = b"\x01"

    def __init__(self, record_type: Any) -> None:
        self._record_type = record_type

    def encode(self, value: Record) -> bytes:
        stream = io.BytesIO()
        stream.write(self.VERSION)
        fastavro.schemaless_writer(stream, avro_schema(self._record_type), to_row(value))
        return stream.getvalue()

    def decode(self, encoded: bytes) -> Any:
        name = self._record_type.__name__
        if encoded[:1] != self.VERSION:
            raise ValueError(f"a stored {name} must be of version {self.VERSION!r}, got {encoded[:1]!r}: drain first")
        stream = io.BytesIO(encoded[1:])
        row: Any = fastavro.schemaless_reader(stream, avro_schema(self._record_type), None)
        return from_row(self._record_type, row)

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return self._record_type

    @classmethod
    def from_type_hint(cls, typehint: Any, registry: object) -> RecordCoder:
        del registry
        return cls(typehint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordCoder) and self._record_type is other._record_type

    def __hash__(self) -> int:
        return hash((RecordCoder, self._record_type.__name__))


class BatchCoder(beam.coders.Coder):
    """Arrow record batches between workers and in saved state: Arrow's own stream format, schema and all."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        return pa.ipc.open_stream(encoded).read_next_batch()

    def is_deterministic(self) -> bool:
        return True

    @classmethod
    def from_type_hint(cls, typehint: Any, registry: object) -> BatchCoder:
        del typehint, registry
        return cls()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BatchCoder)

    def __hash__(self) -> int:
        return hash(BatchCoder)


beam.coders.registry.register_coder(pa.RecordBatch, BatchCoder)


def register(record_type: type[R]) -> type[R]:
    """Tells Beam to move a record type with RecordCoder; usable as a class decorator."""
    beam.coders.registry.register_coder(record_type, RecordCoder)
    return record_type


for _record_type in (Tweet, Text, WordCount, Reject, WrittenFile):
    register(_record_type)
