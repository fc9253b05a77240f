"""What is rising, on the wire: for each key, items that a window has more often than their past foretells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import apache_beam as beam

from models.rising import Rising
from transforms.schemas import EPOCH, EventTime, register
from transforms.sketches import Sketch
from transforms.updating import UpdateStateByKey
from transforms.windowing import WindowPolicy
from transforms.windows import Fixed, parse_duration, to_micros

_Counts: TypeAlias = tuple[int, int, list[list[tuple[str, int]]]]  # pane, records, of each measure its items
_Told: TypeAlias = tuple[int, str, int, float, float]  # measure, item, count, expected, score
_State: TypeAlias = tuple[list[bytes], list[_Told]]  # of each measure what is known; what rises now


@register
@dataclass(frozen=True, slots=True)
class Trend:
    """An item that rises: it is in `count` records of the window, and was expected in `expected` of them.

    A score of 6 is what happens by chance in one of a million windows, if the item were as frequent as before.
    """

    window_start: EventTime
    window_end: EventTime
    key: str
    measure: str
    item: str
    count: int
    expected: float
    score: float


class FindRising(beam.PTransform):
    """Items that rise in sliding windows: PCollection[tuple[Key, dict[str, Sketch]]] -> PCollection[Trend].

    Takes, in panes of `pane`, what MeasureBatches tells of keys of one column, as sketches: `count`, a Count of
    records, and each of `measures`, HeavyHitters of items that a record has once at most. At the end of each pane it
    tells the items of the last `width` panes that score `least` or more against their past, of which what is
    `half_life` older counts half; see `models.rising`. A pane is told once, when it and its lateness are over: late
    records are in it. State is, for each key and measure, some ten thousand counts.
    """

    def __init__(
        self,
        measures: Sequence[str],
        *,
        pane: WindowPolicy,
        width: int,
        half_life: float | str = "1h",
        least: float = 6.0,
    ) -> None:
        super().__init__()
        if not isinstance(pane.window, Fixed):
            raise ValueError(f"panes must be of one size, got {pane.window}")
        seconds = parse_duration(half_life) if isinstance(half_life, str) else half_life
        self._measures, self._width, self._size = list(measures), width, pane.window.size
        # Told once, whatever the measures do: each trend is of one pane of its window.
        self._pane = WindowPolicy(pane.window, allowed_lateness=pane.allowed_lateness)
        self._half_life, self._least = seconds / self._size, least
        # What was usual is forgotten where a key is not heard of for so long that nothing is left of it.
        self._timeout = 20 * seconds

    def expand(self, measured: beam.PCollection) -> beam.PCollection:
        follow = _Follow(len(self._measures), self._width, self._half_life, self._least)
        return (
            measured
            | "Count"
            >> beam.Map(_counts_of, self._measures, to_micros(self._size)).with_output_types(tuple[str, _Counts])
            | "Follow"
            >> UpdateStateByKey(follow, state=_State, window=self._pane, timeout=self._timeout, tell="changes")
            | "Tell" >> beam.FlatMap(_trends, self._measures, self._width).with_output_types(Trend)
        )


def _counts_of(
    answer: tuple[tuple[Any, ...], Mapping[str, Sketch]],
    measures: Sequence[str],
    size: int,
    window: Any = beam.DoFn.WindowParam,
) -> tuple[str, _Counts]:
    (key,), sketches = answer
    records: Any = sketches["count"]
    items: list[Any] = [sketches[name] for name in measures]
    counts = [[(str(item), count) for item, count in sketch.lower_counts().items()] for sketch in items]
    return str(key), (window.start.micros // size, records.count, counts)


class _Follow:
    """One step of each measure of a key."""

    def __init__(self, measures: int, width: int, half_life: float, least: float) -> None:
        self._measures, self._width, self._half_life, self._least = measures, width, half_life, least

    def __call__(self, panes: list[_Counts], before: _State | None) -> _State:
        rising = [Rising(width=self._width, half_life=self._half_life) for _ in range(self._measures)]
        for known, data in zip(rising, before[0] if before else [], strict=bool(before)):
            known.restore(data)
        pane, records, counts = max(panes)  # a pane that was told early is told again, with more
        told: list[_Told] = []
        for number, known in enumerate(rising):
            rises = known.step(pane, dict(counts[number]), records, least=self._least)
            told += [(number, rise.item, rise.count, rise.expected, rise.score) for rise in rises]
        return [known.to_bytes() for known in rising], told


def _trends(
    followed: tuple[str, _State], measures: Sequence[str], width: int, window: Any = beam.DoFn.WindowParam
) -> Iterator[Trend]:
    key, (_, told) = followed
    start, end = (EPOCH + timedelta(microseconds=bound.micros) for bound in (window.start, window.end))
    for number, item, count, expected, score in told:
        yield Trend(end - width * (end - start), end, key, measures[number], item, count, expected, score)
