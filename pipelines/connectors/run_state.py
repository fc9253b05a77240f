"""Where a live run is, kept in a directory, so that the next run goes on there after a crash or an end.

For runners that keep no checkpoints, such as Prism. Three things are kept: marks of the source as it was read, up to
which time all windows are final, and which files were written. A run that begins again reads from the oldest window
that was not final; what was written of such windows is withdrawn first, and what is told again of windows that were
final is left out. So each window holds each record once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import apache_beam as beam
import numpy as np
import orjson
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from pipelines.connectors.event_clock import Leap
from transforms.timers import with_own_timers
from transforms.windowing import WindowPolicy, given_up
from transforms.windows import AllTime, Sessions, to_micros

_VERSION = 1
_NEVER: int = MIN_TIMESTAMP.micros
_APART = 0.5  # seconds between two marks, and between two notes of what is final
_SECOND = 1_000_000


@dataclass
class _Span:
    """What was read from a mark to the next: its latest event time, None where nothing was yet, and its leaps."""

    mark: dict[str, Any]
    latest: int | None = None
    leaps: list[Leap] = field(default_factory=list)


class RunState:
    """The state of one live run in a directory; times are microseconds since 1970.

    Raises ValueError where the directory belongs to another source or is in use, and where windows have no end.
    """

    def __init__(self, directory: str, policy: WindowPolicy, source: str, ledger: str) -> None:
        if isinstance(policy.window, AllTime | Sessions):
            raise ValueError(
                f"--state goes on at the oldest open window, and of {policy.window} no end is known before it comes: "
                "use windows of one size, such as 10s"
            )
        self._window, self._lateness = policy.window, to_micros(policy.allowed_lateness)
        self._folder = Path(directory)
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh: dict[str, Any] = {"version": _VERSION, "source": source, "ledgers": [], "final": _NEVER}
        note = next(_lines(self._folder / "final.json"), fresh)
        if note["version"] != _VERSION:
            raise ValueError(f"{directory} is of version {note['version']}, and version {_VERSION} can be read")
        if note["source"] != source:
            raise ValueError(f"{directory} is the state of a run over {note['source']}: use another for {source}")
        self._guard = threading.Lock()
        self._held = self._hold()
        self._source = source
        self.ledgers: list[str] = [*note["ledgers"], ledger]  # of all runs so far
        self.final_before: int = note["final"]  # windows that were over by then were told by runs before
        self.reached: int = _NEVER  # what the source told as its watermark
        self.on_final: Callable[[dict[str, Any]], None] = _ignore  # is told the mark before which nothing is read again
        self._final = self.final_before
        self._noted = self._marked = float("-inf")
        self._outputs: list[beam.PCollection] = []
        self._spans = _spans(self._folder / "marks.jsonl")
        self._forget()
        # What is read again leaps where it leapt before.
        self.leaps = [leap for span in self._spans for leap in span.leaps]
        self._spans = [_Span(span.mark, leaps=self.leaps) for span in self._spans[:1]]
        self._note()
        self._marks = self._open("marks.jsonl", [{"mark": span.mark, "leaps": span.leaps} for span in self._spans])
        self._withdraw()
        self._written = self._open("written.jsonl", [])

    @property
    def log(self) -> str:
        """The directory for what cannot be read again."""
        return str(self._folder / "log")

    def resume(self) -> dict[str, Any] | None:
        """The mark to go on at: before everything of windows that are not final. None at the beginning."""
        return self._spans[0].mark if self._spans else None

    def is_due(self) -> bool:
        """Whether a mark is wanted before what is read next."""
        return not self._spans or (self._spans[-1].latest is not None and time.monotonic() - self._marked >= _APART)

    def saw(self, mark: dict[str, Any] | None, latest: int, leaps: list[Leap]) -> None:
        """Takes word of what will be handed on: the mark before it, if one was due, its latest event, and its leaps."""
        with self._guard:
            if mark is not None:
                self._marked = time.monotonic()
                if self._spans:
                    self._add(latest=self._spans[-1].latest)
                self._add(mark=mark)
                self._spans.append(_Span(mark))
            if leaps:  # before the record is handed on that it came before
                self._add(leaps=leaps)
                self._spans[-1].leaps.extend(leaps)
            span = self._spans[-1]
            span.latest = latest if span.latest is None else max(span.latest, latest)

    def _add(self, **line: Any) -> None:
        self._marks.write(orjson.dumps(line) + b"\n")
        self._marks.flush()

    def finish(self, watermark: int) -> None:
        """Takes word that everything of windows that were over by a watermark has been written."""
        with self._guard:
            # At the end the watermark leaps: windows that are open are told as they are, and go on with the next run.
            self._final = max(self._final, min(watermark, self.reached))
            if (now := time.monotonic()) - self._noted < _APART:
                return
            self._noted = now
            self._forget()
            self._note()
            mark = self.resume()
        if mark is not None:
            self.on_final(mark)

    def write(self, path: str, window: Any) -> None:
        """Takes word that a file of a window is about to be there."""
        until = given_up(window, self._lateness).micros
        with self._guard:
            self._written.write(orjson.dumps({"path": path, "until": until}) + b"\n")
            self._written.flush()

    def close(self) -> None:
        """Notes what is final, and lets another run go on."""
        with self._guard:
            self._forget()
            self._note()
            for stream in (self._marks, self._written, self._held):
                stream.close()

    def kept(self, sink: beam.PTransform, *, once: bool) -> beam.PTransform:
        """A sink after which windows are final; `once`, it leaves out those that were final before this run."""
        return _Kept(self, sink, once=once)

    def add_output(self, written: beam.PCollection) -> None:
        """Makes windows final only after what wrote this."""
        self._outputs.append(written)

    def follow(self) -> None:
        """Adds the step that learns, behind all that was written, which windows are final."""
        ticks = [
            written | f"Written{number}" >> beam.Map(_tick) | f"Timeless{number}" >> beam.WindowInto(GlobalWindows())
            for number, written in enumerate(self._outputs)
        ]
        every = ticks | "AllWritten" >> beam.Flatten()
        _ = every | "Final" >> beam.ParDo(with_own_timers(_Follow(), every))

    def _hold(self) -> IO[bytes]:
        held = (self._folder / "lock").open("ab")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            raise ValueError(f"{self._folder} is in use by another run: use a directory for each") from None
        return held

    def _open_at(self, latest: int) -> bool:
        """Whether a window of a record of this time is not final."""
        (end,) = self._window.last(np.array([latest]))[1]
        return bool(end + self._lateness > self._final)

    def _forget(self) -> None:
        """Drops the spans before the first that must be read again; where the last one ends, nobody knows yet."""
        while len(self._spans) > 1 and (latest := self._spans[0].latest) is not None and not self._open_at(latest):
            self._spans.pop(0)

    def _note(self) -> None:
        note = {"version": _VERSION, "source": self._source, "final": self._final, "ledgers": self.ledgers}
        _replace(self._folder / "final.json", [note])

    def _open(self, name: str, lines: list[dict[str, Any]]) -> IO[bytes]:
        """A file of lines to be added to, of those that are still needed."""
        _replace(self._folder / name, lines)
        return (self._folder / name).open("ab")

    def _withdraw(self) -> None:
        """Removes files of windows that were not final."""
        for line in _lines(self._folder / "written.jsonl"):
            if line["until"] >= self._final:
                with contextlib.suppress(OSError):  # it never came to be
                    FileSystems.delete([line["path"]])


def _spans(path: Path) -> list[_Span]:
    """The spans that lines tell of: each begins with its mark, and may leap, and end with its latest time."""
    spans: list[_Span] = []
    for line in _lines(path):
        if "mark" in line:
            spans.append(_Span(line["mark"]))
        spans[-1].leaps.extend((shard, seen, told) for shard, seen, told in line.get("leaps", ()))
        spans[-1].latest = line.get("latest", spans[-1].latest)
    return spans


def _ignore(mark: dict[str, Any]) -> None:
    """Whoever reads has nothing to give back."""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, but for one that a crash cut short."""
    if path.exists():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(orjson.JSONDecodeError):
                yield orjson.loads(line)


def _replace(path: Path, lines: list[dict[str, Any]]) -> None:
    """Writes a file anew, whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as stream:
        stream.writelines(orjson.dumps(line) + b"\n" for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


_current: RunState | None = None


def current() -> RunState | None:
    """The state of the run in this process, where it keeps one."""
    return _current


@contextlib.contextmanager
def keeping(state: RunState | None) -> Iterator[RunState | None]:
    """Lets sources and sinks of this process know the state of their run."""
    global _current  # noqa: PLW0603  a process has one run
    _current = state
    try:
        yield state
    finally:
        _current = None
        if state:
            state.close()


class _Kept(beam.PTransform):
    def __init__(self, state: RunState, sink: beam.PTransform, *, once: bool) -> None:
        super().__init__()
        self._before = state.final_before if once else _NEVER
        self._tell = state.add_output
        self._sink = sink

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        if self._before != _NEVER:
            leave_out = beam.ParDo(_LeaveOut(self._before, records.windowing.allowed_lateness.micros))
            records = records | "LeaveOutFinal" >> leave_out.with_output_types(records.element_type)
        written: beam.PCollection = records | self._sink
        self._tell(written)
        return written


class _LeaveOut(beam.DoFn):
    def __init__(self, before: int, lateness: int) -> None:
        self._before, self._lateness = before, lateness

    def process(self, record: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        if given_up(window, self._lateness).micros >= self._before:
            yield record


@beam.typehints.with_output_types(tuple[int, int])
def _tick(_: Any) -> tuple[int, int]:
    return 0, 0


_FINAL = TimerSpec("final", TimeDomain.WATERMARK)


class _Follow(beam.DoFn):
    """A timer for each second in which something was written: when it fires, all before has been written."""

    def process(
        self,
        tick: tuple[int, int],
        at: Timestamp = beam.DoFn.TimestampParam,
        final: Any = beam.DoFn.TimerParam(_FINAL),
    ) -> None:
        del tick
        second = at.micros // _SECOND + 1
        final.set(Timestamp(second), dynamic_timer_tag=str(second))

    @on_timer(_FINAL)
    def reach(self, at: Timestamp = beam.DoFn.TimestampParam) -> None:
        if state := current():
            state.finish(at.micros)
