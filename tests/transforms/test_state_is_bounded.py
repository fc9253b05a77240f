"""State is back where it started when many keys have come and gone.

Beam's runners in Python slow down with every key that they ever saw. So the stateful step of each transform is driven
by hand here: cells and timers in dicts, encoded and decoded, and a watermark that follows the records.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import apache_beam as beam
import pytest
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.userstate import BagStateSpec, is_stateful_dofn
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from transforms.pairing import JoinWithin
from transforms.remembering import MapWithState
from transforms.repeats import Deduplicate
from transforms.updating import UpdateStateByKey

NOON = 1_000_000_000_000  # microseconds
MILLISECOND = 1000
GLOBAL = GlobalWindow()
Pairs: TypeAlias = beam.PCollection


@dataclass
class Driven:
    """A stateful DoFn, the cells and timers that it holds, and the most cells that it ever held."""

    do_fn: beam.DoFn
    sides: tuple[Any, ...] = ()  # inputs beside the main one
    cells: dict[tuple[bytes, str], Any] = field(default_factory=dict)
    timers: dict[tuple[bytes, str], int] = field(default_factory=dict)
    queue: list[tuple[int, bytes, str]] = field(default_factory=list)
    most: int = 0

    def process(self, element: tuple[bytes, Any], micros: int) -> None:
        self._call(self.do_fn.process, element[0], micros, element, *self.sides)
        self.most = max(self.most, len(self.cells))

    def advance(self, watermark: int) -> None:
        """Fires what is due, in order of time."""
        while self.queue and self.queue[0][0] <= watermark:
            at, key, name = heapq.heappop(self.queue)
            if self.timers.get((key, name)) == at:
                del self.timers[key, name]
                self._call(getattr(self.do_fn, self.callbacks[name]), key, at)

    def set(self, key: bytes, name: str, micros: int) -> None:
        self.timers[key, name] = micros
        heapq.heappush(self.queue, (micros, key, name))

    def _call(self, method: Callable[..., Any], key: bytes, micros: int, *given: Any) -> None:
        arguments = [*given, *(self._argument(default, key, micros) for default in method.__defaults__)]  # type: ignore[attr-defined]
        for _ in method(*arguments) or ():
            pass

    def _argument(self, default: Any, key: bytes, micros: int) -> Any:
        if isinstance(default, beam.DoFn.StateParam):
            return Cell(self.cells, (key, default.state_spec.name), default.state_spec)
        if isinstance(default, beam.DoFn.TimerParam):
            return Timer(self, key, default.timer_spec.name)
        return {"WindowParam": GLOBAL, "KeyParam": key, "TimestampParam": Timestamp(micros=micros)}[str(default)]

    @cached_property
    def callbacks(self) -> dict[str, str]:
        """The name of the method that each timer calls."""
        defaults = [default for method in (self.do_fn.process,) for default in method.__defaults__ or ()]
        specs = [default.timer_spec for default in defaults if isinstance(default, beam.DoFn.TimerParam)]
        return {spec.name: spec._attached_callback.__name__ for spec in specs}


@dataclass
class Cell:
    """State of one key, as bytes."""

    cells: dict[Any, Any]
    place: tuple[bytes, str]
    spec: Any

    def read(self) -> Any:
        kept = self.cells.get(self.place)
        if isinstance(self.spec, BagStateSpec):
            return list(map(self.spec.coder.decode, kept or []))
        return None if kept is None else self.spec.coder.decode(kept)

    def write(self, value: Any) -> None:
        self.cells[self.place] = self.spec.coder.encode(value)

    def add(self, value: Any) -> None:
        self.cells.setdefault(self.place, []).append(self.spec.coder.encode(value))

    def clear(self) -> None:
        self.cells.pop(self.place, None)


@dataclass
class Timer:
    """A timer of one key, of event time."""

    driven: Driven
    key: bytes
    name: str

    def set(self, time: Timestamp) -> None:
        self.driven.set(self.key, self.name, Timestamp.of(time).micros)


def stateful_step(build: Callable[[Pairs], Any]) -> beam.DoFn:
    """The step of a transform that has state."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline | beam.Create([("a", 1)]).with_output_types(tuple[str, int]))
    found = []

    class Steps(PipelineVisitor):
        def visit_transform(self, node: Any) -> None:
            if isinstance(node.transform, beam.ParDo) and is_stateful_dofn(node.transform.fn):
                found.append(node.transform.fn)

    pipeline.visit(Steps())
    (do_fn,) = found
    return do_fn  # type: ignore[no-any-return]


def sum_of(key: str, value: int, before: int | None) -> tuple[None, int]:
    del key
    return None, value + (before or 0)


def sums(values: list[int], before: int | None) -> int:
    return sum(values) + (before or 0)


VALUE = beam.coders.VarIntCoder().encode(1)
STEPS: dict[str, tuple[Callable[[Pairs], Any], Callable[[int, int], Iterable[Any]]]] = {
    "MapWithState": (lambda pairs: pairs | MapWithState(sum_of, state=int, timeout=1), lambda _, __: [VALUE]),
    "Deduplicate": (lambda pairs: pairs | Deduplicate(str, within=1), lambda _, __: ["item"]),
    "JoinWithin": (lambda pairs: (pairs, pairs) | JoinWithin(1, how="full"), lambda n, _: [(n % 2, VALUE)]),
    "UpdateStateByKey": (
        lambda pairs: pairs | UpdateStateByKey(sums, state=int, window="1s", timeout=2),
        lambda _, at: [((at // 10**6 + 1) * 10**6, False, [(at, VALUE)])],
    ),
}


@pytest.mark.parametrize("keys", [5_000, pytest.param(100_000, marks=pytest.mark.schedules)])
@pytest.mark.parametrize("name", STEPS)
def test_state_is_back_where_it_started_when_keys_have_come_and_gone(name: str, keys: int) -> None:
    build, values = STEPS[name]
    driven = Driven(stateful_step(build), ({},) if name == "MapWithState" else ())  # no initial states
    for number in range(keys):  # a key a millisecond, each of which comes twice
        for key in {number, max(number - 100, 0)}:
            at = NOON + number * MILLISECOND
            for value in values(number, at):
                driven.process((b"%d" % key, value), at)
        driven.advance(at)
    assert 1000 < driven.most < 10_000
    driven.advance(NOON + keys * MILLISECOND + 10 * 10**6)
    assert (driven.cells, driven.timers) == ({}, {})
