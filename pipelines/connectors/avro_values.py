"""Messages whose content is Avro, of any live system: `avro=FILE` in an address names the file of their schema.

    kafka://host:9092/orders?avro=orders.avsc&registry=yes

With `registry`, each has five bytes before it, as those who write by a schema registry put them: a zero and the number
of a schema. All are read by the schema of the file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import orjson
from fastavro import _read_py

from pipelines.connectors.addresses import take_parameters, yes_or_no
from pipelines.connectors.avro_blocks import recurs, require_bounded
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message

_PREFIX = 5  # bytes: a zero, and the number of a schema


@dataclass(frozen=True)
class AvroValues(LiveInput):
    """A live system whose messages are rows of an Avro schema; what is none is a message with a problem."""

    live: LiveInput
    schema: str  # of a record, in JSON
    registry: bool = False

    @property
    def source(self) -> str:
        return self.live.source

    def check(self) -> None:
        self.live.check()

    def open(self, mark: Mark | None) -> Feed:
        return _Rows(self.live.open(mark), _Decoder(self))

    def kept_in(self, directory: str) -> AvroValues:
        return replace(self, live=self.live.kept_in(directory))

    def native(self, runner: str) -> beam.PTransform | None:
        native = self.live.native(runner)
        return native and _NativeRows(native, self)

    def split(self, desired: int) -> list[LiveInput]:
        return [replace(self, live=live) for live in self.live.split(desired)]


def avro_of(uri: str) -> tuple[str, dict[str, Any]]:
    """An address without what says that its messages are Avro; and that, for AvroValues: nothing where they are not.

    Raises ValueError where there is no such schema, or one that a few bytes could make endless.
    """
    rest, values = take_parameters(uri, {"avro": _schema_of, "registry": yes_or_no})
    if "registry" in values and "avro" not in values:
        raise ValueError("registry= is about messages of Avro: name the file of their schema, as avro=orders.avsc")
    return rest, {"schema" if name == "avro" else name: value for name, value in values.items()}


def _schema_of(path: str) -> str:
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        schema: Any = fastavro.parse_schema(told)
    except OSError as error:
        raise ValueError(f"there must be a schema in JSON: {error}") from error
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        fastavro.schema.SchemaParseException,
        fastavro.schema.UnknownType,
    ) as error:
        raise ValueError(f"it must be an Avro schema in JSON: {error}") from error
    if not isinstance(schema, Mapping) or schema["type"] != "record":
        raise ValueError("a message must be a record, with fields")
    require_bounded(schema)
    return orjson.dumps(told).decode()


class _Decoder:
    """Makes rows of messages."""

    def __init__(self, of: AvroValues) -> None:
        self._schema: Any = fastavro.parse_schema(orjson.loads(of.schema))
        # Where a value may hold one of its own type, the compiled decoder follows it beyond the end of its stack.
        self._read: Any = _read_py.schemaless_reader if recurs(self._schema) else fastavro.schemaless_reader
        self._registry = of.registry

    def __call__(self, message: Message) -> Message:
        if message.problem or not isinstance(message.payload, bytes):
            return message
        try:
            return replace(message, payload=self._row(message.payload))
        except Exception as error:  # noqa: BLE001  fastavro raises whatever comes about in bytes that are none of its own
            return replace(message, problem=f"it is no Avro of the schema: {type(error).__name__}: {error}")

    def _row(self, payload: bytes) -> Any:
        if self._registry and (len(payload) < _PREFIX or payload[0]):
            raise ValueError("there must be a zero and the number of a schema before it")
        stream = io.BytesIO(payload)
        stream.seek(_PREFIX if self._registry else 0)
        row = self._read(stream, self._schema, None)
        if left := len(payload) - stream.tell():
            raise ValueError(f"{left} bytes are left over")
        return row


class _Rows(Feed):
    """A feed that was opened, with its messages as rows."""

    def __init__(self, feed: Feed, decode: _Decoder) -> None:
        self._feed, self._decode = feed, decode

    def poll(self, most: int) -> list[Message]:
        return list(map(self._decode, self._feed.poll(most)))

    def mark(self) -> Mark:
        return self._feed.mark()

    def at_end(self) -> Mapping[str, bool]:
        return self._feed.at_end()

    def repeated(self) -> int:
        return self._feed.repeated()

    def acknowledge(self, mark: Mark) -> None:
        self._feed.acknowledge(mark)

    def ended(self) -> bool:
        return self._feed.ended()

    def finish(self) -> bool:
        return self._feed.finish()

    def close(self) -> None:
        self._feed.close()


class _NativeRows(beam.PTransform):
    """What a runner reads by itself, as rows."""

    def __init__(self, native: beam.PTransform, of: AvroValues) -> None:
        super().__init__()
        self._native, self._of = native, of

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | "Messages" >> self._native | "Rows" >> beam.ParDo(_DecodeEach(self._of))


@beam.typehints.with_output_types(Message)
class _DecodeEach(beam.DoFn):
    def __init__(self, of: AvroValues) -> None:
        self._of = of

    def setup(self) -> None:
        self._decode = _Decoder(self._of)

    def process(self, message: Message) -> Any:
        yield self._decode(message)
