"""The most frequent items of a range: how often, how that went, and how each has moved since the step before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reports.figures import Reader
from rollups.query import Answer
from transforms.sketches import Estimate


@dataclass(frozen=True)
class Ranked:
    """An item: its place in the range, its count in each piece, and its places in the latest two pieces."""

    item: Any
    rank: int
    count: Estimate
    trail: list[Estimate | None]
    now: int | None  # None where it is not on the list of the latest piece
    before: int | None

    @property
    def moved(self) -> int:
        """By how many places it went up; down where it is below 0."""
        return self.before - self.now if self.before and self.now else 0

    @property
    def movement(self) -> str:
        """What has become of it: up, down, same, new, gone, or away where it is on neither list."""
        if self.now is None:
            return "away" if self.before is None else "gone"
        if self.before is None:
            return "new"
        return "up" if self.moved > 0 else "down" if self.moved < 0 else "same"


@dataclass(frozen=True)
class Ranking:
    """The list of a measure; `latest` and `previous` are the pieces whose places are compared, if there are two."""

    measure: str
    items: list[Ranked]
    latest: tuple[datetime, datetime] | None
    previous: tuple[datetime, datetime] | None


def rankings_of(reader: Reader, measures: Sequence[str]) -> list[Ranking]:
    """The lists of some measures. The latest piece is the last one of full length, so that places can be compared."""
    if not measures:
        return []
    pieces, whole = reader.pieces(measures), reader.whole(measures)
    full = [n for n, piece in enumerate(reader.steps.bounds) if reader.steps.whole(*piece) and pieces[n]]
    now, before = (pieces[full[-1]], pieces[full[-2]]) if len(full) > 1 and full[-1] == full[-2] + 1 else (None, None)
    return [
        Ranking(
            measure,
            [
                Ranked(
                    item, rank, count, [count_in(piece, measure, item) for piece in pieces],
                    place_in(now, measure, item), place_in(before, measure, item),
                )
                for rank, (item, count) in enumerate(answer.values[measure], start=1)
            ],
            (now.start, now.end) if now else None,
            (before.start, before.end) if before else None,
        )
        for answer in whole
        for measure in measures
    ]  # fmt: skip


def count_in(answer: Answer | None, measure: str, item: Any) -> Estimate | None:
    """How often an item came in a piece of time; of sketches that can only list, where it is on the list."""
    if answer is None:
        return None
    sketch: Any = answer.sketches[measure]
    if callable(getattr(sketch, "count", None)):
        counted = sketch.count(item)
        return counted if isinstance(counted, Estimate) else Estimate.exact(counted)
    return next((count for other, count in answer.values[measure] if same(other, item)), None)


def place_in(answer: Answer | None, measure: str, item: Any) -> int | None:
    """The place of an item on the list of a piece of time."""
    listed = answer.values[measure] if answer else []
    return next((rank for rank, (other, _) in enumerate(listed, start=1) if same(other, item)), None)


def same(one: Any, other: Any) -> bool:
    """Whether two items are one: 1, True and 1.0 are three, as in the sketches."""
    return type(one) is type(other) and bool(one == other)
