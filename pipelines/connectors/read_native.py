"""Decodes what a runner reads by itself: of some systems it does so better than any source written in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.connectors.feeds import LiveInput, Message
from pipelines.connectors.live_decoding import Decoding
from transforms.schemas import Reject
from transforms.watermarks import FromStamps, FromTimers, Watermark

_BLOCK = 1000  # messages at most


def met_by(live: LiveInput, pipeline: beam.Pipeline) -> Watermark:
    """How a Gate knows the watermark: from a source's stamps, or from timers where the runner reads by itself."""
    return FromTimers() if live.native(type(pipeline.runner).__name__) else FromStamps()


class DecodeNative(beam.PTransform):
    """Decodes in blocks, at the times that the runner gave: PCollection[Message] -> .records, .rejects, .read.

    `.duplicates` stays empty: the runner leaves out what is delivered again, and tells nobody. Records are handed on at
    times of their own where they have one; the watermark is the runner's, and follows the times that it gave. Where the
    two differ, by more than the lateness that windows allow, a record is late: a Gate puts it aside, and counts it.
    """

    def __init__(self, decoding: Decoding, source: str) -> None:
        super().__init__()
        self._decode = _Decode(decoding, source)
        self._kind: Any = decoding.kind

    def expand(self, messages: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        return messages | "Decode" >> beam.ParDo(self._decode).with_output_types(
            self._kind, rejects=Reject, read=int, duplicates=int
        ).with_outputs("rejects", "read", "duplicates", main="records")


class _Decode(beam.DoFn):
    def __init__(self, decoding: Decoding, source: str) -> None:
        self._decoding, self._source = decoding, source

    def start_bundle(self) -> None:
        self._messages: list[Message] = []

    def process(self, message: Message) -> Iterator[Any]:
        self._messages.append(message)
        if len(self._messages) >= _BLOCK:
            for tag, value, at in self._told():
                yield self._to(tag, TimestampedValue(value, at))

    def finish_bundle(self) -> Iterator[Any]:
        for tag, value, at in self._told():
            yield self._to(tag, WindowedValue(value, at, (GlobalWindow(),)))

    @staticmethod
    def _to(tag: str | None, value: Any) -> Any:
        return beam.pvalue.TaggedOutput(tag, value) if tag else value

    def _told(self) -> Iterator[tuple[str | None, Any, Timestamp]]:
        """What becomes of messages: outputs, values and times; what is counted stands at the first."""
        messages, self._messages = self._messages, []
        if not messages:
            return
        items, times, rejects = self._decoding.decode(messages, self._source)
        for told in self._decoding.tell(items, times, times, stamped=False):
            yield None, told.value, told.timestamp
        first = Timestamp(micros=min(round(message.written * 1e6) for message in messages))
        for reject in rejects:
            yield "rejects", reject, first
        yield "read", len(messages), first
