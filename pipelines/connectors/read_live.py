"""Reads a live system: blocks of decoded messages with event times, and a watermark that says how far it has come."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import apache_beam as beam
import orjson
from apache_beam.coders import Coder
from apache_beam.io.unbounded_source import CheckpointMark, ReadFromUnboundedSource, UnboundedReader, UnboundedSource
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from pipelines.connectors import back_pressure, draining, run_state
from pipelines.connectors.addresses import take_parameters
from pipelines.connectors.event_clock import EventClock
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message
from pipelines.connectors.live_decoding import Decoding
from pipelines.connectors.read_native import DecodeNative
from transforms.progress import advance
from transforms.schemas import Reject
from transforms.windows import parse_duration

_BLOCK = 1000  # messages at most
_TOGETHER = 10_000  # messages in a bundle at most, for a while after a sink was behind
_STRAINED = 10.0  # seconds of that while
_POLL = 0.1  # seconds until a system that had nothing is asked again
_VERSION = 1

# Runners in this process. DirectRunner is one of them, or a download of Prism: which, it says to nobody.
_WAIT_FOR_THE_END = frozenset(
    {"FnApiRunner", "BundleBasedDirectRunner", "DirectRunner", "SwitchingDirectRunner", "InteractiveRunner"}
)
# Runners whose watermark follows the last bundle, and not the slowest split: a source must be one split.
_ONE_SPLIT = frozenset({"PrismRunner"})


def require_streaming(pipeline: beam.Pipeline) -> None:
    """Raises ValueError on a runner that would tell nothing before the end, which never comes."""
    runner = type(pipeline.runner).__name__
    if runner in _WAIT_FOR_THE_END:
        raise ValueError(
            f"what is read live has no end, and {runner} tells no window before the end: take a runner that streams, "
            "for example --runner PrismRunner"
        )


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise ValueError("must be more than 0 messages a second")
    return rate


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What every live address takes: how far out of order events come, and how fast they may be read."""

    bound: float = 5.0  # seconds that events of a shard may be behind the latest of it
    idle: float = 5.0  # seconds after which a shard without news goes on with the clock
    rate: float | None = None  # messages a second at most


def pace_of(uri: str) -> tuple[str, Pace]:
    """An address without what says its pace, which every live address takes; and that.

    >>> pace_of("kafka://localhost:9092/words?bound=1m&group=g")
    ('kafka://localhost:9092/words?group=g', Pace(bound=60.0, idle=5.0, rate=None))
    """
    rest, values = take_parameters(uri, {"bound": parse_duration, "idle": parse_duration, "rate": _rate})
    return rest, Pace(**values)


class ReadLive(beam.PTransform):
    """Decodes the messages of a live system: `.records` at their event times, `.rejects`, and how many it was.

    `.read` counts all that were delivered, `.duplicates` those of them that were delivered again, which are left out.

    A record without a time of its own came about when its system says that it was written. The watermark follows event
    times (see EventClock). `stamped`, records are pairs of how far their shard had come before them and
    themselves, for a Gate with FromStamps. Reading ends after `limit` messages, when the system ends, or when it is
    told to drain; what was not read then stays where it is. Every message is delivered once to the state of a runner
    that keeps checkpoints, and at least once to what is outside.

    A runner that reads the system by itself does so (`native`), and then nothing is stamped: see `watermark_of`.

    Raises ValueError on runners that wait for the end, and Unreachable where the system cannot be read.
    """

    def __init__(
        self,
        live: LiveInput,
        decoding: Decoding,
        pace: Pace | None = None,
        limit: int | None = None,
        *,
        stamped: bool = False,
    ) -> None:
        super().__init__()
        self._source = LiveSource(live, decoding, pace or Pace(), limit)
        self._stamped = stamped

    def expand(self, begin: beam.pvalue.PBegin) -> beam.pvalue.DoOutputsTuple:
        runner = type(begin.pipeline.runner).__name__
        if native := self._source.live.native(runner):
            self._source.require_native(runner)
            return begin | "Native" >> native | DecodeNative(self._source.decoding, self._source.live.source)
        require_streaming(begin.pipeline)
        self._source.live.check()
        one = runner in _ONE_SPLIT or self._source.limit is not None
        kind: Any = self._source.decoding.kind
        return (
            begin
            | "Blocks" >> ReadFromUnboundedSource(self._source.in_one() if one else self._source, poll_interval=_POLL)
            | "Open"
            >> beam.ParDo(_Open(self._source.decoding, stamped=self._stamped))
            .with_output_types(tuple[Any, kind] if self._stamped else kind, rejects=Reject, read=int, duplicates=int)
            .with_outputs("rejects", "read", "duplicates", main="records")
        )


# What was decoded of one shard, the event times, and what the watermark was before each, in microseconds.
Part: TypeAlias = tuple[list[Any], list[int], list[int]]


@dataclass(frozen=True, slots=True)
class Block:
    """What came together: decoded parts by shard, rejects, and how many messages it was with those left out.

    It stands at a time of its own, which is not late, where it is counted.
    """

    at: int
    parts: list[Part]
    rejects: list[Reject]
    read: int
    duplicates: int


class _Open(beam.DoFn):
    def __init__(self, decoding: Decoding, *, stamped: bool) -> None:
        self._decoding = decoding
        self._stamped = stamped

    def process(self, block: Block) -> Iterator[Any]:
        for part in block.parts:
            yield from self._decoding.tell(*part, stamped=self._stamped)
        for reject in block.rejects:
            yield TaggedOutput("rejects", reject)
        advance("Read", block.read)
        yield TaggedOutput("read", block.read)
        if block.duplicates:
            yield TaggedOutput("duplicates", block.duplicates)


@dataclass(frozen=True)
class LiveMark(CheckpointMark):
    """Where a feed goes on, how far its event times were, and how many messages were read."""

    key: bytes
    feed: Mark | None
    clock: dict[str, Any]
    read: int

    def finalize_checkpoint(self) -> None:
        """Tells the feed that is open here; another worker's will be told by a later mark."""
        if self.feed is not None and not run_state.current():  # a state says itself what is not read again
            _open_feeds.acknowledge(self.key, self.feed)


class _MarkCoder(Coder):
    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, value: LiveMark) -> bytes:
        return orjson.dumps({"version": _VERSION, "feed": value.feed, "clock": value.clock, "read": value.read})

    def decode(self, encoded: bytes) -> LiveMark:
        told = orjson.loads(encoded)
        if told["version"] != _VERSION:
            raise ValueError(f"this checkpoint is of version {told['version']}, and version {_VERSION} can be read")
        return LiveMark(self._key, told["feed"], told["clock"], told["read"])

    def is_deterministic(self) -> bool:
        return True


@dataclass(frozen=True)
class LiveSource(UnboundedSource):
    """A live system as Beam reads it, in blocks."""

    live: LiveInput
    decoding: Decoding
    pace: Pace
    limit: int | None = None
    whole: bool = False

    def in_one(self) -> LiveSource:
        """The same, as one split whatever a runner asks for."""
        return dataclasses.replace(self, whole=True)

    def require_native(self, runner: str) -> None:
        """Raises ValueError where a runner that reads by itself would not read as asked."""
        if self.pace != Pace() or self.limit is not None:
            raise ValueError(
                f"{runner} reads {self.live.source} by itself, at its own pace and with its own watermark: leave out "
                "bound, idle and rate, and any limit"
            )

    @property
    def key(self) -> bytes:
        """Tells this split from others in the process."""
        return repr(self.live).encode()

    def split(self, desired_num_splits: int, options: object = None) -> list[LiveSource]:
        del options
        if self.whole:
            return [self]
        return [dataclasses.replace(self, live=live, whole=True) for live in self.live.split(desired_num_splits)]

    def create_reader(self, options: object, checkpoint_mark: LiveMark | None) -> LiveReader:
        del options
        return LiveReader(self, checkpoint_mark)

    def get_checkpoint_mark_coder(self) -> _MarkCoder:
        return _MarkCoder(self.key)


class LiveReader(UnboundedReader):
    """Polls a feed, decodes what it gives, and follows its event times."""

    def __init__(self, source: LiveSource, mark: LiveMark | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._now = clock
        self._read = 0
        self._state = run_state.current()
        leaps = self._state.leaps if self._state else []
        self._clock = EventClock(bound=source.pace.bound, idle=source.pace.idle, leaps=leaps)
        if self._state and mark is None and (kept := self._state.resume()):
            mark = LiveMark(source.key, **kept)
        if mark:
            self._clock.restore(mark.clock)
            self._read = mark.read
        self._told = self._clock.watermark(self._now())
        self._lease = _open_feeds.take(source, mark.feed if mark else None, self)
        self._feed = self._lease.feed
        if self._state:
            self._state.on_final = self._give_back
        self._block = Block(self._told, [], [], 0, 0)
        self._allowance = _Allowance(source.pace.rate, self._now)
        self._duplicates = 0  # since the last block
        self._strained = float("-inf")  # when a sink was behind
        self._together = 0  # messages since a bundle began
        self._ended = False
        self._finishing = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        self._lease.at = None
        most = self._allowance.of(_BLOCK)
        if self._source.limit is not None:
            most = min(most, self._source.limit - self._read)
            self._ended = most <= 0 and self._source.limit <= self._read
        if draining.is_asked() and not self._finishing:
            self._finishing = True
            self._ended = not self._feed.finish()
        if self._ended or (self._must_wait() and not self._finishing):
            return False
        before = self._mark() if self._state and self._state.is_due() else None
        messages = self._feed.poll(most) if most else []
        self._duplicates += self._feed.repeated()
        if not messages and not self._duplicates:
            # The end may be told only after there was nothing left.
            self._ended = bool(most) and (self._finishing or self._feed.ended())
            self._clock.rest(self._feed.at_end(), self._now())
            self._told = self._clock.watermark(self._now())
            if self._state:
                self._state.reached = self._told
            return False
        self._allowance.spend(len(messages))
        self._read += len(messages)
        self._together += len(messages)
        self._block = self._decoded(messages)
        if self._state:
            latest = max((max(times) for _, times, _ in self._block.parts if times), default=self._block.at)
            self._state.saw(before, max(self._block.at, latest), self._clock.leaps)
            self._clock.leaps.clear()
            self._state.reached = self._told
        return True

    def _must_wait(self) -> bool:
        """Whether sinks are to catch up first: then a bundle ends, and reading goes on in a moment."""
        if back_pressure.is_behind(self._told):
            self._strained, self._together = self._now(), 0
            return True
        # After that, a sink gets word of a little before more is read.
        wait = self._together >= _TOGETHER and self._now() < self._strained + _STRAINED
        if wait:
            self._together = 0
        return wait

    def _mark(self) -> dict[str, Any]:
        return {"feed": self._feed.mark(), "clock": self._clock.state(), "read": self._read}

    def _give_back(self, mark: dict[str, Any]) -> None:
        self._feed.acknowledge(mark["feed"])

    def _decoded(self, messages: list[Message]) -> Block:
        """The block of messages, each stamped with what its shard had told before; the clock sees their times."""
        shards: dict[str, list[Message]] = {}
        for message in messages:
            shards.setdefault(message.shard, []).append(message)
        parts: list[Part] = []
        rejects: list[Reject] = []
        for shard, of_shard in shards.items():
            items, times, rejected = self._source.decoding.decode(of_shard, self._source.live.source)
            parts.append((items, times, self._clock.see(shard, times)))
            rejects += rejected
        written = (round(message.written * 1e6) for message in messages[:1])
        earliest = min((min(times) for _, times, _ in parts if times), default=next(written, self._told))
        duplicates, self._duplicates = self._duplicates, 0
        block = Block(max(self._told, earliest), parts, rejects, len(messages) + duplicates, duplicates)
        self._clock.rest(self._feed.at_end(), self._now())
        self._told = self._clock.watermark(self._now())
        return block

    def get_current(self) -> Block:
        return self._block

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(micros=self._block.at)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._ended else Timestamp(micros=self._told)

    def get_checkpoint_mark(self) -> LiveMark:
        mark = LiveMark(self._source.key, **self._mark())
        self._lease.at = _text(mark.feed)
        return mark

    def close(self) -> None:
        _open_feeds.leave(self._lease, self, ended=self._ended)


class _Allowance:
    """How many messages may be read now, so that they are no more than a rate; a tenth of a second is saved up."""

    def __init__(self, rate: float | None, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._since = now()
        self._left = 0.0

    def of(self, most: int) -> int:
        if self._rate is None:
            return most
        now = self._now()
        self._left = min(self._left + (now - self._since) * self._rate, max(1.0, self._rate / 10))
        self._since = now
        return min(most, int(self._left))

    def spend(self, messages: int) -> None:
        self._left -= messages


_KEPT = timedelta(minutes=1).total_seconds()


@dataclass(eq=False)
class _Lease:
    """A feed, who polls it, and the mark that it stands at: None while it moves."""

    key: bytes
    feed: Feed
    owner: object
    at: bytes | None = None
    left: float | None = None  # when its owner closed


class _OpenFeeds:
    """The feeds of this process: a runner may make a reader for each bundle, and connections outlive readers.

    A reader that goes on at a mark gets the feed that stands there, and who had it before has it no more. A feed that
    nobody came back to for a minute is closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: list[_Lease] = []

    def take(self, source: LiveSource, mark: Mark | None, owner: object) -> _Lease:
        with self._lock:
            stale = [lease for lease in self._leases if lease.left and lease.left < time.monotonic() - _KEPT]
            self._leases = [lease for lease in self._leases if lease not in stale]
            place = source.key, _text(mark)
            standing = (lease for lease in self._leases if mark is not None and (lease.key, lease.at) == place)
            found = next(standing, None)
            if found:
                found.owner, found.left = owner, None
        for lease in stale:
            lease.feed.close()
        if found:
            return found
        lease = _Lease(source.key, source.live.open(mark), owner)
        with self._lock:
            self._leases.append(lease)
        return lease

    def leave(self, lease: _Lease, owner: object, *, ended: bool) -> None:
        with self._lock:
            if lease.owner is not owner:
                return
            if kept := lease.at is not None and not ended:
                lease.left = time.monotonic()
            else:
                self._leases.remove(lease)
        if not kept:
            lease.feed.close()

    def acknowledge(self, key: bytes, mark: Mark) -> None:
        with self._lock:
            feeds = [lease.feed for lease in self._leases if lease.key == key]
        for feed in feeds:
            feed.acknowledge(mark)


def _text(mark: Mark | None) -> bytes | None:
    return None if mark is None else orjson.dumps(mark, option=orjson.OPT_SORT_KEYS)


_open_feeds = _OpenFeeds()
