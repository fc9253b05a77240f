"""Watches a directory: each file that appears in it is read once, when it is complete.

A file is complete when it appears: write it under a name that begins with a dot or an underscore, and rename it.
What is in the directory at the start is read first, in order of name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import apache_beam as beam
import orjson
from apache_beam.coders import Coder
from apache_beam.io.unbounded_source import CheckpointMark, ReadFromUnboundedSource, UnboundedReader, UnboundedSource
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from pipelines.connectors import draining
from pipelines.connectors.decoding import Split
from pipelines.connectors.read_files import matches
from pipelines.connectors.read_live import require_streaming

_POLL = 1.0  # seconds between two looks at the directory


class WatchFiles(beam.PTransform):
    """Decodes files as they appear in a directory: `.records`, `.rejects`, `.read`. `decode` takes lists of splits.

    A record without a time of its own came about when its file was seen. The watermark is the clock, so that a record
    with a time of its own is as late as it is old: windows need that much lateness. Runs on runners that stream
    (PrismRunner, FlinkRunner), until it is told to drain; raises ValueError on others.
    """

    def __init__(self, directory: str, decode: beam.PTransform) -> None:
        super().__init__()
        self._directory = directory.rstrip("/")
        self._decode = decode

    def expand(self, begin: beam.pvalue.PBegin) -> beam.pvalue.DoOutputsTuple:
        require_streaming(begin.pipeline)
        watched = begin | "Watch" >> ReadFromUnboundedSource(_Directory(self._directory), poll_interval=_POLL)
        return watched | "Decode" >> self._decode


@dataclass(frozen=True)
class _Seen(CheckpointMark):
    """The files that were handed on, and when the last one was."""

    names: tuple[str, ...]
    at: float

    def finalize_checkpoint(self) -> None:
        """Files stay where they are."""


class _SeenCoder(Coder):
    def encode(self, value: _Seen) -> bytes:
        return orjson.dumps([value.at, *value.names])

    def decode(self, encoded: bytes) -> _Seen:
        at, *names = orjson.loads(encoded)
        return _Seen(tuple(names), at)

    def is_deterministic(self) -> bool:
        return True


@dataclass(frozen=True)
class _Directory(UnboundedSource):
    """Files as splits, one after the other: one reader, since a watermark must hold for all files."""

    path: str

    def split(self, desired_num_splits: int, options: object = None) -> list[_Directory]:
        del desired_num_splits, options
        return [self]

    def create_reader(self, options: object, checkpoint_mark: _Seen | None) -> _Reader:
        del options
        return _Reader(self.path, checkpoint_mark or _Seen((), 0.0))

    def get_checkpoint_mark_coder(self) -> _SeenCoder:
        return _SeenCoder()


class _Reader(UnboundedReader):
    def __init__(self, path: str, seen: _Seen, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._seen = set(seen.names)
        self._at = seen.at
        self._clock = clock
        self._waiting: list[Split] = []
        self._looked = float("-inf")
        self._current: list[Split] = []
        self._ended = False

    def start(self) -> bool:
        return self.advance()

    def advance(self) -> bool:
        if not self._waiting:
            self._look()
        if not self._waiting:
            # The end may be told only after there was nothing left.
            self._ended = draining.is_asked()
            return False
        self._current = [self._waiting.pop(0)]
        self._seen.add(self._current[0].source)
        return True

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _POLL and not draining.is_asked():
            return
        self._looked = now
        new = sorted(file.path for file in matches(f"{self._path}/") if file.path not in self._seen)
        self._at = max(self._at, now)  # the clock of a machine may be set back, a watermark may not
        stamp = Timestamp(self._at).micros
        self._waiting = [Split(name, written=self._at, stamp=stamp) for name in new]

    def get_current(self) -> list[Split]:
        return self._current

    def get_current_timestamp(self) -> Timestamp:
        return Timestamp(self._at)

    def get_watermark(self) -> Timestamp:
        return MAX_TIMESTAMP if self._ended else Timestamp(self._at)

    def get_checkpoint_mark(self) -> _Seen:
        return _Seen(tuple(sorted(self._seen)), self._at)
