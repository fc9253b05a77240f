"""What becomes of the messages of a live system: records one by one, or rows of an Arrow batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.internal import pickler
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipelines.connectors.decoding import Row, decode_batch, decode_row, record_type_of
from pipelines.connectors.feeds import Message
from transforms.parsing import Payload
from transforms.schemas import Reject, event_time_field, micros
from transforms.tables import Field
from transforms.tallies import event_times

# Records or one batch, and the event time of each record or row, in microseconds.
Decoded = tuple[list[Any], list[int], list[Reject]]


class Decoding(ABC):
    """Turns the messages of one shard, in order, into what is handed on, and rejects."""

    kind: Any  # the type of what is handed on

    @abstractmethod
    def decode(self, messages: Sequence[Message], source: str) -> Decoded:
        """Records, or one batch if any; the event time of each record or row, in microseconds; and rejects."""

    @abstractmethod
    def tell(self, items: list[Any], times: list[int], stamps: list[int], *, stamped: bool) -> Iterator[Any]:
        """What was decoded at its event times, `stamped` as pairs with what the watermark was before each."""


def _row(message: Message, source: str) -> Row:
    return Row(message.payload, message.source or source, message.position, message.problem)


@dataclass(frozen=True)
class AsRecords(Decoding):
    """Records that a function makes of payloads. One without a time came about when its message was written."""

    function: Callable[[Payload], Any]
    kind: Any
    time_field: str | None

    @classmethod
    def by(cls, function: Callable[[Payload], Any]) -> AsRecords:
        """The records of the type that a function says that it returns."""
        kind = record_type_of(function)
        return cls(function, kind, event_time_field(kind))

    def __reduce__(self) -> tuple[Any, ...]:
        """Sources are pickled as Python does it, and functions that are made in functions as Beam does it."""
        return _unpickled, (pickler.dumps(self.function), pickler.dumps(self.kind), self.time_field)

    def decode(self, messages: Sequence[Message], source: str) -> Decoded:
        records: list[Any] = []
        times: list[int] = []
        rejects: list[Reject] = []
        for message in messages:
            outcome = decode_row(self.function, _row(message, source))
            if isinstance(outcome, Reject):
                rejects.append(outcome)
                continue
            moment = getattr(outcome, self.time_field) if self.time_field else None
            records.append(outcome)
            times.append(micros(moment) if moment is not None else round(message.written * 1e6))
        return records, times, rejects

    def tell(self, items: list[Any], times: list[int], stamps: list[int], *, stamped: bool) -> Iterator[Any]:
        for record, at, stamp in zip(items, times, stamps, strict=True):
            yield TimestampedValue((stamp, record) if stamped else record, Timestamp(micros=at))


def _unpickled(function: bytes, kind: bytes, time_field: str | None) -> AsRecords:
    return AsRecords(pickler.loads(function), pickler.loads(kind), time_field)


@dataclass(frozen=True)
class AsBatches(Decoding):
    """Batches of the columns of fields, of which the first is the event time."""

    fields: tuple[Field, ...]
    kind: Any = pa.RecordBatch

    def decode(self, messages: Sequence[Message], source: str) -> Decoded:
        batch, rejects = decode_batch([_row(message, source) for message in messages], self.fields)
        times: list[int] = event_times(batch, self.fields[0].path).tolist()
        return ([batch] if times else []), times, rejects

    def tell(self, items: list[Any], times: list[int], stamps: list[int], *, stamped: bool) -> Iterator[Any]:
        for batch in items:
            yield TimestampedValue((np.array(stamps), batch) if stamped else batch, Timestamp(micros=min(times)))
