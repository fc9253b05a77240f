"""What every source does with a payload: a record with its event time, or a reject, never an exception."""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from pipelines.connectors.lines import MAX_LINE
from transforms.formatting import to_json
from transforms.json_batches import parse_json_batch
from transforms.parsing import Payload
from transforms.progress import advance
from transforms.schemas import Reject, event_time_field, micros
from transforms.tables import Field, batch_of, parse_row, values_of

RAW_KEPT = 64 * 2**10  # bytes of an endless line that its reject holds; the position tells where the rest is
_PAYLOADS_A_REPORT = 1000

RowsOf = Callable[[Any], Iterable[tuple[int, Payload]]]


@dataclass(frozen=True)
class Split:
    """A part of a source that one worker reads from its beginning to its end."""

    source: str
    start: int = 0
    end: int | None = None
    written: float | None = None  # seconds since 1970; None where what is read is written while it is read
    stamp: int = MIN_TIMESTAMP.micros  # the watermark that its source tells with it; by default it has none


class DecodeRows(beam.DoFn):
    """Reads splits one after the other and decodes each payload.

    Takes lists of splits. Gives records, at their event times or, where they have none, at the time when their source
    was written; `rejects`; and `read`, how many payloads there were. A source that cannot be read any further is one
    reject. After `limit` records it stops. `stamped`, records are pairs of their split's watermark and themselves.
    """

    def __init__(
        self,
        rows_of: RowsOf,
        decode: Callable[[Payload], Any],
        limit: int | None = None,
        *,
        stamped: bool = False,
    ) -> None:
        self._rows_of = rows_of
        self._decode = decode
        self._limit = limit
        self._stamped = stamped
        self._time_field = event_time_field(record_type_of(decode))

    def process(self, splits: list[Split]) -> Iterator[Any]:
        read = used = 0
        for outcome in self._outcomes(splits):
            read += 1
            if read % _PAYLOADS_A_REPORT == 0:
                advance("Read", _PAYLOADS_A_REPORT)
            if isinstance(outcome, Reject):
                yield TaggedOutput("rejects", outcome)
                continue
            used += 1
            yield self._at_its_time(*outcome)
            if used == self._limit:
                break
        advance("Read", read % _PAYLOADS_A_REPORT)
        yield TaggedOutput("read", read)

    def _outcomes(self, splits: list[Split]) -> Iterator[Any]:
        """A record and its split, or a reject, for each payload; where a source breaks, a reject that says so."""
        for split in splits:
            position = split.start
            try:
                for position, payload in self._rows_of(split):
                    outcome = outcome_of(self._decode, payload, split.source, position)
                    yield outcome if isinstance(outcome, Reject) else (outcome, split)
            except Exception as error:  # noqa: BLE001  whatever a damaged file makes a library raise
                problem = f"cannot be read beyond this point: {describe(error)}"
                yield Reject(b"", "Read", problem, split.source, position)

    def _at_its_time(self, record: Any, split: Split) -> TimestampedValue:
        """A record without a time of its own came about when its source was written."""
        moment = getattr(record, self._time_field) if self._time_field else None
        value = (split.stamp, record) if self._stamped else record
        if moment is not None:
            return TimestampedValue(value, Timestamp(micros=micros(moment)))
        return TimestampedValue(value, Timestamp(time.time() if split.written is None else split.written))


def outcome_of(decode: Callable[[Payload], Any], payload: Payload, source: str, position: int) -> Any:
    """What a decoder makes of a payload: a record, or a Reject that says what was wrong, whatever it raised."""
    if len(payload) > MAX_LINE and isinstance(payload, bytes):
        problem = f"a line must be at most {MAX_LINE:,} bytes long; the first {RAW_KEPT:,} are kept here"
        return Reject(payload[:RAW_KEPT], "Read", problem, source, position)
    try:
        return decode(payload)
    except Exception as error:  # noqa: BLE001  a decoder may be the user's own; no record may stop the stream
        raw = payload if isinstance(payload, bytes) else to_json(_printable(payload))
        return Reject(raw, "Parse", describe(error), source, position)


class Row(NamedTuple):
    """A payload, and where it came from; `problem` says why it cannot be decoded, where it is known already."""

    payload: Payload
    source: str
    position: int
    problem: str | None = None


def decode_row(decode: Callable[[Payload], Any], row: Row) -> Any:
    """What a decoder makes of a row: a record or a Reject."""
    if row.problem:
        raw = row.payload if isinstance(row.payload, bytes) else to_json(_printable(row.payload))
        return Reject(raw[:RAW_KEPT], "Read", row.problem, row.source, row.position)
    return outcome_of(decode, row.payload, row.source, row.position)


def decode_batch(rows: Sequence[Row], fields: Sequence[Field]) -> tuple[pa.RecordBatch, list[Reject]]:
    """The columns of fields, and rejects of the rows that do not fit."""
    if all(isinstance(row.payload, bytes) and not row.problem for row in rows):
        batch = parse_json_batch([row.payload for row in rows if isinstance(row.payload, bytes)], fields)
        if batch is not None:
            return batch, []
    kept: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for row in rows:
        outcome = decode_row(lambda payload: values_of(parse_row(payload), fields), row)
        (rejects if isinstance(outcome, Reject) else kept).append(outcome)
    return batch_of(kept, fields), rejects


def decoding(
    rows_of: RowsOf, decode: Callable[[Payload], Any], limit: int | None = None, *, stamped: bool = False
) -> beam.PTransform:
    """DecodeRows as a step: PCollection[list[Split]] -> `.records`, `.rejects`, `.read`."""
    rows = DecodeRows(rows_of, decode, limit, stamped=stamped)
    record: Any = record_type_of(decode)
    return (
        beam.ParDo(rows)
        .with_output_types(tuple[int, record] if stamped else record, rejects=Reject, read=int)
        .with_outputs("rejects", "read", main="records")
    )


class ReadSplits(beam.PTransform):
    """Decodes the payloads of the splits of a bounded source: `.records`, `.rejects`, `.read`."""

    def __init__(
        self,
        splits: list[Split],
        rows_of: RowsOf,
        decode: Callable[[Payload], Any],
        limit: int | None = None,
        *,
        stamped: bool = False,
    ) -> None:
        super().__init__()
        self._splits = splits
        self._decode = decoding(rows_of, decode, limit, stamped=stamped)
        self._limit = limit

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        # To stop at a limit the splits are read one after the other; otherwise by as many workers as there are.
        work = [self._splits] if self._limit is not None else [[split] for split in self._splits]
        return pipeline | "Splits" >> beam.Create(work) | "Spread" >> beam.Reshuffle() | "Decode" >> self._decode


def record_type_of(decode: Callable[[Payload], Any]) -> Any:
    """The type that a decoder returns, by its annotation; Any where it says nothing."""
    return typing.get_type_hints(decode).get("return", Any)


def describe(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def _printable(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = (bytes, str, int, float, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in row.items()}
