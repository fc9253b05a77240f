"""The final answer about each window and key, from all that was told about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any, NamedTuple, TypeAlias

from apache_beam.transforms.core import Windowing
from apache_beam.transforms.trigger import AccumulationMode

from transforms.testing.panes import Told
from transforms.testing.stories import Story

Final: TypeAlias = Callable[[list[Any]], Any]
Equal: TypeAlias = Callable[[Any, Any], bool]


class Place(NamedTuple):
    """What an answer is about."""

    start: str | None
    end: str | None
    key: str | None = None  # as it prints, so that 1 and True are two

    def __str__(self) -> str:
        window = "all time" if self.start is None else f"{self.start} to {self.end}"
        return window if self.key is None else f"{window}, {self.key}"


@dataclass(frozen=True)
class Reading:
    """How answers are read: what is one place, and what is the final answer of several about it."""

    final: Final
    equal: Equal
    keyed: bool = True  # whether pairs are a key and the answer about it
    merging: bool = False  # whether windows become one longer window

    def places(self, told: list[Told], story: Story) -> dict[Place, list[Told]]:
        """What was told about each place, in order."""
        outer = {place: place for place in map(self._place, told)}
        if self.merging:
            outer = {
                place: max((it for it in outer if _holds(it, place, story)), key=_length(story)) for place in outer
            }
        places: dict[Place, list[Told]] = defaultdict(list)
        for pane in told:
            places[outer[self._place(pane)]].append(pane)
        return places

    def answer(self, told: list[Told]) -> Any:
        """The final answer about a place."""
        return self.final([pane.value[1] if self._is_pair(pane) else pane.value for pane in told])

    def _place(self, pane: Told) -> Place:
        return Place(_millis(pane.start), _millis(pane.end), repr(pane.value[0]) if self._is_pair(pane) else None)

    def _is_pair(self, pane: Told) -> bool:
        return self.keyed and isinstance(pane.value, tuple) and len(pane.value) == 2


def reading_of(batch: list[Told], windowing: Windowing, story: Story, final: Final | None, equal: Equal) -> Reading:
    """How to read what a transform tells, as its batch shows: answers about each place, or a bag of records.

    Answers that accumulate replace each other, others are summed. Raises ValueError where only the caller can know.
    """
    replaces = windowing.accumulation_mode == AccumulationMode.ACCUMULATING
    reading = Reading(final or (_last if replaces else _sum), equal, merging=windowing.windowfn.is_merging())
    if final:
        return reading
    if any(pane.timing == "unknown" for pane in batch):
        return replace(reading, final=list, equal=_in_any_order(equal), keyed=False)
    for place, panes in reading.places(batch, story).items():
        if len({pane.index for pane in panes}) < len(panes):  # answers to a number of records have panes of their own
            raise ValueError(
                f"a pane must hold one answer about each window and key, got {len(panes)} about {place}: pass final=, "
                "a function that makes one of all that was told about it, such as sorted, set or sum"
            )
    return reading


def _holds(outer: Place, inner: Place, story: Story) -> bool:
    bounds = (outer.start, inner.start, inner.end, outer.end)
    ascending = [story.micros_of(bound) for bound in bounds if bound is not None]
    return outer.key == inner.key and ascending == sorted(ascending)


def _millis(moment: str | None) -> str | None:
    """A moment without the microseconds that Beam's coder of windows cuts off, on some runners and not on others."""
    whole, dot, fraction = (moment or "").partition(".")
    return f"{whole}{dot}{fraction[:3]}".rstrip("0").rstrip(".") if dot else moment


def _length(story: Story) -> Callable[[Place], int]:
    return lambda place: story.micros_of(place.end or 0) - story.micros_of(place.start or 0)


def _last(values: list[Any]) -> Any:
    return values[-1]


def _sum(values: list[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    if not all(isinstance(value, Number) for value in values):
        raise ValueError(
            f"answers of windows that discard must be numbers, which are summed, got {values[0]!r}: pass final=, a "
            "function that makes one of all that was told about a window and key, or let the windows accumulate"
        )
    return sum(values)


def _in_any_order(equal: Equal) -> Equal:
    def same(left: list[Any], right: list[Any]) -> bool:
        rest = list(right)
        for item in left:
            match = next((place for place, other in enumerate(rest) if equal(item, other)), None)
            if match is None:
                return False
            del rest[match]
        return not rest

    return same
