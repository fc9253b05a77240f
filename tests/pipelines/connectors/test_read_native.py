"""What a runner reads by itself: decoded, counted, and late by its own watermark. A TestStream plays Dataflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from pipelines.connectors.live_decoding import AsBatches, AsRecords
from pipelines.connectors.pubsub import PubSubInput, input_of, message_of
from pipelines.connectors.read_live import Pace, ReadLive
from pipelines.connectors.read_native import met_by
from transforms.lateness import Gate
from transforms.parsing import Payload
from transforms.tables import Field
from transforms.watermarks import FromStamps, FromTimers
from transforms.windowing import WindowPolicy

T0 = 1_000_000
RUNNER = "BundleBasedDirectRunner"


class _ByTheRunner(beam.PTransform):
    def __init__(self, stream: TestStream) -> None:
        super().__init__()
        self._stream = stream.advance_watermark_to_infinity()

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | self._stream | beam.MapTuple(Message).with_output_types(Message)


@dataclass(frozen=True)
class _Scripted(LiveInput):
    script: tuple[bytes, ...] = ()

    source = "scripted"

    def check(self) -> None:
        raise AssertionError("a runner that reads by itself checks by itself")

    def open(self, mark: Mark | None) -> Feed:
        raise AssertionError(f"nothing is opened here, at {mark}")

    def native(self, runner: str) -> Any:
        return _ByTheRunner(self._stream()) if runner == RUNNER else None

    def _stream(self) -> TestStream:
        """b"10 text" is at second 10, and b"w10" a watermark."""
        stream = TestStream(coder=FastPrimitivesCoder())
        for number, step in enumerate(self.script):
            if step.startswith(b"w"):
                stream = stream.advance_watermark_to(T0 + int(step[1:]))
            else:
                at = T0 + int(step.split()[0])
                stream = stream.add_elements([TimestampedValue((step, number, at), at)])
        return stream


class _Together(_Scripted):
    def _stream(self) -> TestStream:
        elements = [TimestampedValue((payload, 0, T0), T0) for payload in self.script]
        return TestStream(coder=FastPrimitivesCoder()).add_elements(elements)


def word(payload: Payload) -> str:
    text = bytes(payload).decode().split()[1]
    if text == "bad":
        raise ValueError("bad")
    return text


SCRIPT = (b"1 a", b"2 b", b"w5", b"3 bad", b"4 c", b"w25", b"7 late", b"21 d")


def test_records_rejects_and_their_count_are_told_at_the_times_of_the_runner() -> None:
    with TestPipeline(runner=BundleBasedDirectRunner()) as pipeline:
        told = pipeline | ReadLive(_Scripted(SCRIPT), AsRecords.by(word), stamped=True)
        timed = told.records | beam.Map(lambda each, at=beam.DoFn.TimestampParam: (each, int(at) - T0))
        assert_that(timed, equal_to([("a", 1), ("b", 2), ("c", 4), ("late", 7), ("d", 21)]), "records")
        rejects = told.rejects | beam.Map(lambda reject: (reject.raw, reject.error, reject.source, reject.position))
        assert_that(rejects, equal_to([(b"3 bad", "bad", "scripted", 3)]), "rejects")
        assert_that(told.read, equal_to([1] * 6), "read")
        assert_that(told.duplicates, equal_to([]), "duplicates")


def test_a_gate_puts_aside_what_the_runner_would_drop_and_counts_all() -> None:
    policy = WindowPolicy.parse("10s, lateness 5s")
    with TestPipeline(runner=BundleBasedDirectRunner()) as pipeline:
        live = _Scripted(SCRIPT)
        met = met_by(live, pipeline)
        assert met == FromTimers()
        told = pipeline | ReadLive(live, AsRecords.by(word), stamped=True)
        gate = told.records | "Gate" >> Gate(policy, met)
        assert_that(gate.in_time, equal_to(["a", "b", "c", "d"]), "in time")
        assert_that(gate.late | beam.Map(lambda pair: pair[0]), equal_to(["late"]), "late")
        counts = gate.read | beam.Map(lambda tally: (tally.start // 1_000_000 - T0, tally.records))
        assert_that(counts, equal_to([(0, 1)] * 4 + [(20, 1)]), "read")


def test_batches_are_made_of_what_came_together() -> None:
    script = (b'{"at": "1970-01-12T13:46:41Z"} ', b"no JSON", b'{"at": "1970-01-12T13:46:42Z"}')
    times: Any = beam.FlatMap(lambda batch: [at.timestamp() - T0 for at in batch.column("at").to_pylist()])
    with TestPipeline(runner=BundleBasedDirectRunner()) as pipeline:
        told = pipeline | ReadLive(_Together(script), AsBatches((Field("at", "time"),)), stamped=True)
        assert_that(told.records | times, equal_to([1, 2]), "records")
        assert_that(told.rejects | beam.Map(lambda reject: reject.raw), equal_to([b"no JSON"]), "rejects")
        assert_that(told.read, equal_to([3]), "read")


@pytest.mark.parametrize("pace", [Pace(bound=1), Pace(idle=1), Pace(rate=10)])
def test_its_pace_is_its_own(pace: Pace) -> None:
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner())
    with pytest.raises(ValueError, match="leave out bound, idle and rate"):
        pipeline | ReadLive(_Scripted(), AsRecords.by(word), pace)


def test_other_runners_are_fed_by_us() -> None:
    live = PubSubInput("projects/example/subscriptions/s")
    assert live.native("PrismRunner") is None
    assert live.native("DataflowRunner") is not None
    assert met_by(live, beam.Pipeline(runner="FnApiRunner")) == FromStamps()


def test_what_dataflow_hands_over_becomes_a_message() -> None:
    pubsub = pytest.importorskip("google.cloud.pubsub_v1", reason="needs the extra gcp")
    kind = pubsub.types.PubsubMessage
    whole = kind.serialize(kind(data=b"text", attributes={"key": "k"}, message_id="123"))
    told = message_of(whole, Timestamp(micros=T0 * 1_000_000 + 500_000))
    assert told == Message(b"text", 123, T0 + 0.5, attributes={"key": "k"})
    assert message_of(kind.serialize(kind(data=b"text", message_id="made-up")), Timestamp(T0)).position == 0


@pytest.mark.parametrize("asked", ["remember=1h", "log=/var/log/events"])
def test_what_dataflow_does_by_itself_cannot_be_asked_of_it(asked: str) -> None:
    live = input_of(f"pubsub://projects/p/subscriptions/s?{asked}")
    with pytest.raises(ValueError, match="leave out log and remember"):
        live.native("DataflowRunner")
