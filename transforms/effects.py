"""Effects that happen once, although answers may be made again: DStreams' foreachRDD, with a name for each answer.

A runner that repeats a bundle makes the same answers again. An answer's name is made of its window, key and pane alone,
so that a sink which knows the names it has seen, or replaces by them, ends as if nothing had been repeated.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming, WindowedValue

from transforms.panes import Pane, describe
from transforms.windowing import window_bounds

_TOGETHER = 1000  # effects that are handed over at once, at most


@dataclass(frozen=True, slots=True)
class Effect:
    """An answer and its names."""

    id: str  # of this answer, 32 hexadecimal digits: the same window, key and pane have the same
    row: str  # of what it answers: later answers of the window and key have it too, and replace this one
    key: Any
    value: Any
    pane: Pane


class ApplyEffects(beam.PTransform):
    """Hands the answers of an aggregation to a function, many at a time: [tuple[K, V]] -> [int], how many there were.

    `apply` takes effects and returns when they have happened; where it raises, the bundle fails, and the runner may
    repeat it: effects with ids that it has seen must then not happen again. Where panes accumulate it replaces by
    `row`, and only where the answer is not older. Must follow the aggregation; an empty closing pane is an effect too.
    """

    def __init__(self, apply: Callable[[Sequence[Effect]], None]) -> None:
        super().__init__()
        self._apply = apply

    def expand(self, answers: beam.PCollection) -> beam.PCollection:
        key_type = getattr(answers.element_type, "tuple_types", (Any, Any))[0]
        key_coder = beam.coders.registry.get_coder(key_type).as_deterministic_coder(self.label)
        waits = answers.windowing.allowed_lateness.micros > 0
        return answers | "Apply" >> beam.ParDo(_Apply(self._apply, key_coder, waits))


@beam.typehints.with_output_types(int)
class _Apply(beam.DoFn):
    def __init__(self, apply: Callable[[Sequence[Effect]], None], key_coder: Coder, waits: bool) -> None:
        self._apply = apply
        self._key_coder = key_coder
        self._waits = waits

    def start_bundle(self) -> None:
        self._effects: list[Effect] = []
        self._windows: Counter[Any] = Counter()

    def process(
        self, answer: tuple[Any, Any], window: Any = beam.DoFn.WindowParam, pane: PaneInfo = beam.DoFn.PaneInfoParam
    ) -> Iterator[WindowedValue]:
        key, value = answer
        row = b"|".join((*(str(bound).encode() for bound in window_bounds(window)), self._key_coder.encode(key)))
        final = not self._waits and pane.timing != PaneInfoTiming.EARLY
        told = describe(window, pane, final=final)
        self._effects.append(Effect(_name(b"%d|%s" % (pane.index, row)), _name(row), key, value, told))
        self._windows[window] += 1
        if len(self._effects) >= _TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._effects:
            self._apply(self._effects)
        for window, happened in self._windows.items():
            yield WindowedValue(happened, window.max_timestamp(), [window])
        self.start_bundle()


def _name(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
