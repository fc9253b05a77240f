"""Events of any shape as records, where they come one by one: their time, and the fields that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import orjson
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.formatting import to_json
from transforms.parsing import Payload
from transforms.schemas import EventTime, register
from transforms.tables import Field, batch_of, parse_row, values_of

_TOGETHER = 10_000  # events of a bundle that become a batch at most


@register
@dataclass(frozen=True, slots=True)
class Event:
    """When something happened, and what is known of it: a JSON object of all fields, or of those that are needed."""

    time: EventTime
    fields: str


def event_decoder(fields: Sequence[Field]) -> Callable[[Payload], Event]:
    """Makes an event of a payload: the fields that are needed, of which the first is its time.

    >>> decode = event_decoder([Field("at", "time"), Field("user.id", "text")])
    >>> decode(b'{"at": 1772366400, "user": {"id": 7}}').fields
    '{"user.id":"7"}'
    """

    def decode(payload: Payload) -> Event:
        time, *others = values_of(parse_row(payload), fields)
        names = [field.path for field in fields[1:]]
        return Event(time, orjson.dumps(dict(zip(names, others, strict=True))).decode())

    return decode


def raw_decoder(event_time: str) -> Callable[[Payload], Event]:
    """Makes an event of a payload that keeps all of it.

    >>> raw_decoder("at")(b'{"at": 1772366400, "user": {"id": 7}}').fields
    '{"at":1772366400,"user":{"id":7}}'
    """

    def decode(payload: Payload) -> Event:
        row = parse_row(payload)
        (time,) = values_of(row, [Field(event_time, "time")])
        return Event(time, to_json(row).decode())

    return decode


class BatchEvents(beam.PTransform):
    """Events as batches, at the time of their earliest: PCollection[Event] -> PCollection[RecordBatch]."""

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__()
        self._fields = list(fields)

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        return events | "Batch" >> beam.ParDo(_BatchEvents(self._fields)).with_output_types(pa.RecordBatch)


class _BatchEvents(beam.DoFn):
    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields

    def start_bundle(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._earliest = MAX_TIMESTAMP

    def process(self, event: Event) -> Iterator[WindowedValue]:
        self._rows.append((event.time, *orjson.loads(event.fields).values()))
        self._earliest = min(self._earliest, Timestamp.of(event.time))
        if len(self._rows) >= _TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._rows:
            yield WindowedValue(batch_of(self._rows, self._fields), self._earliest, [GlobalWindow()])
        self.start_bundle()
