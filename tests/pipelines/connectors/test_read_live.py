"""What every live source has from the core: blocks, event times, stamps, marks, rates, limits, and one connection."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP

from pipelines.connectors import draining
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from pipelines.connectors.live_decoding import AsRecords
from pipelines.connectors.read_live import LiveReader, LiveSource, Pace, ReadLive, _OpenFeeds, pace_of
from transforms.parsing import parse_text

SECOND = 1_000_000


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pipelines.connectors.read_live._open_feeds", _OpenFeeds())
    opened.clear()
    draining.forget()
    yield
    draining.forget()


opened: list[CountingFeed] = []


@dataclass(frozen=True)
class Counting(LiveInput):
    """Texts of the seconds 0, 1, 2, …; every tenth is no JSON text."""

    messages: int
    at_once: int = 7

    @property
    def source(self) -> str:
        return "counting"

    def check(self) -> None:
        pass

    def open(self, mark: Mark | None) -> CountingFeed:
        opened.append(CountingFeed(self, mark["next"] if mark else 0))
        return opened[-1]


class CountingFeed(Feed):
    def __init__(self, of: Counting, begin: int) -> None:
        self.of, self.next = of, begin
        self.acknowledged: list[Mark] = []
        self.closed = False

    def poll(self, most: int) -> list[Message]:
        end = min(self.next + most, self.next + self.of.at_once, self.of.messages)
        messages = [Message(payload(number), number, float(number)) for number in range(self.next, end)]
        self.next = end
        return messages

    def mark(self) -> Mark:
        return {"next": self.next}

    def at_end(self) -> Mapping[str, bool]:
        return {"": self.next == self.of.messages}

    def acknowledge(self, mark: Mark) -> None:
        self.acknowledged.append(mark)

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def payload(number: int) -> bytes:
    return b"{" if number % 10 == 9 else orjson.dumps({"text": str(number), "time": 1_000_000_000 + number})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def source(messages: int = 40, limit: int | None = None, **pace: Any) -> LiveSource:
    return LiveSource(Counting(messages), AsRecords.by(parse_text), Pace(**pace), limit)


def texts(reader: LiveReader) -> list[str]:
    return [record.text for items, _, _ in reader.get_current().parts for record in items]


def stamps(reader: LiveReader) -> list[int]:
    return [stamp for _, _, stamps in reader.get_current().parts for stamp in stamps]


def times(reader: LiveReader) -> list[int]:
    return [time for _, times, _ in reader.get_current().parts for time in times]


def test_blocks_hold_records_with_their_times_and_rejects_with_their_places() -> None:
    reader = LiveReader(source(bound=0), None)
    assert reader.start()
    assert reader.advance()
    block = reader.get_current()
    assert texts(reader) == ["7", "8", "10", "11", "12", "13"]
    assert times(reader)[0] == (1_000_000_000 + 7) * SECOND
    ((source_, position, raw),) = [(reject.source, reject.position, reject.raw) for reject in block.rejects]
    assert (source_, position, raw) == ("counting", 9, b"{")


def test_records_are_stamped_with_how_far_their_shard_had_come_and_never_with_less_than_was_told() -> None:
    reader = LiveReader(source(bound=2), None)
    assert reader.start()
    assert stamps(reader)[0] == MIN_TIMESTAMP.micros
    told = reader.get_watermark()
    assert told.micros == (1_000_000_000 + 6 - 2) * SECOND
    assert reader.advance()
    assert stamps(reader)[0] == told.micros
    assert reader.get_current_timestamp().micros == times(reader)[0]  # where it is counted: it is not late
    assert reader.get_watermark() > told


def test_a_reader_goes_on_at_any_mark_as_if_nothing_had_happened() -> None:
    chance = random.Random(7)
    whole, expected = LiveReader(source(400), None), []
    while whole.advance():
        expected.append((texts(whole), stamps(whole)))
    reader, told = LiveReader(source(400), None), []
    coder = source(400).get_checkpoint_mark_coder()
    while True:
        if chance.random() < 0.5:
            mark = coder.decode(coder.encode(reader.get_checkpoint_mark()))
            if chance.random() < 0.5:
                reader.close()
            if chance.random() < 0.5:  # another process goes on, which has no feed that stands there
                mark = coder.decode(coder.encode(mark))
                opened[-1].next = -1_000_000_000
                reader._lease.at = None
            reader = LiveReader(source(400), mark)
        if not reader.advance():
            break
        told.append((texts(reader), stamps(reader)))
    assert told == expected
    assert Counter(text for block, _ in told for text in block) == Counter(str(n) for n in range(400) if n % 10 != 9)


def test_a_feed_outlives_its_readers_and_belongs_to_the_last() -> None:
    coder = source().get_checkpoint_mark_coder()
    reader = LiveReader(source(), None)
    for _ in range(5):  # as Flink does: a reader for each bundle, and the one before is closed later
        assert reader.advance()
        before, reader = reader, LiveReader(source(), coder.decode(coder.encode(reader.get_checkpoint_mark())))
        before.close()
    assert len(opened) == 1
    assert reader.advance()
    reader.close()  # in the midst of a bundle: where it is, nobody knows
    assert opened[0].closed


def test_what_is_safe_is_told_to_the_feed_that_is_open() -> None:
    reader = LiveReader(source(), None)
    assert reader.start()
    coder = source().get_checkpoint_mark_coder()
    coder.decode(coder.encode(reader.get_checkpoint_mark())).finalize_checkpoint()
    assert opened[0].acknowledged == [{"next": 7}]


def test_checkpoints_of_another_version_are_refused() -> None:
    coder = source().get_checkpoint_mark_coder()
    with pytest.raises(ValueError, match="this checkpoint is of version 2, and version 1 can be read"):
        coder.decode(b'{"version": 2}')


def test_nothing_is_read_beyond_a_limit() -> None:
    reader = LiveReader(source(limit=10), None)
    blocks = list(itertools.takewhile(lambda _: reader.advance(), itertools.count()))
    assert len(blocks) == 2
    assert opened[0].next == 10
    assert reader.get_watermark() == MAX_TIMESTAMP


def test_draining_ends_it_at_once() -> None:
    reader = LiveReader(source(), None)
    assert reader.start()
    assert reader.get_watermark() < MAX_TIMESTAMP
    draining.ask()
    assert not reader.advance()
    assert reader.get_watermark() == MAX_TIMESTAMP
    reader.close()
    assert opened[0].closed


def test_no_more_than_the_rate_is_read() -> None:
    clock = Clock()
    reader, read = LiveReader(source(messages=10_000, rate=50), None, clock), 0
    for _ in range(200):
        clock.now += 0.05
        if reader.advance():
            read += reader.get_current().read
    assert read == pytest.approx(50 * 0.05 * 200, rel=0.02)


def test_the_pace_is_taken_out_of_an_address() -> None:
    assert pace_of("kafka://h:1,i:2/t?bound=1m&group=a%20b&rate=10&idle=0.5s") == (
        "kafka://h:1,i:2/t?group=a+b",
        Pace(bound=60, idle=0.5, rate=10),
    )
    with pytest.raises(ValueError, match="rate=0: must be more than 0 messages a second"):
        pace_of("kafka://h/t?rate=0")


@pytest.mark.parametrize("runner", ["FnApiRunner", "BundleBasedDirectRunner", "DirectRunner"])
def test_runners_that_wait_for_the_end_are_refused(runner: str) -> None:
    with pytest.raises(ValueError, match=r"has no end, and \w+ tells no window before .* --runner PrismRunner"):
        _ = beam.Pipeline(runner=runner) | ReadLive(Counting(1), AsRecords.by(parse_text))
