"""What has changed between two answers, what is new in one, and what both have in common: with honest errors.

Two answers are of two ranges of time, or of two choices of keys. Bounds of what is derived hold whenever those of all
that it is derived from do, so that the chances of an error add up (Boole's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rollups.errors import StoreError
from rollups.query import Answer, Answers, as_table, query, rfc3339
from rollups.written import as_json
from transforms.sketches import Estimate, HeavyHitters, HyperLogLog, Question

if TYPE_CHECKING:
    from rollups.store import Store

_CONFIDENCE = 0.95  # of what is derived from distinct counts, unless their measure states another


@dataclass(frozen=True)
class Change:
    """One measure of two answers. What cannot be told is None, and `why` says why there is no change."""

    now: Any
    before: Any
    change: Any = None  # now - before: of numbers, of each quantile, of each of the most frequent items
    new: Estimate | None = None  # how many different items there are now that were not before
    both: Estimate | None = None  # how many different items both have
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """An object of what is known."""
        derived = {"change": self.change, "new": self.new, "both": self.both, "why": self.why or None}
        known = {name: as_json(value) for name, value in derived.items() if value is not None}
        return {"now": as_json(self.now), "before": as_json(self.before), **known}


@dataclass(frozen=True)
class Comparison:
    """Two answers about one group of keys, side by side, and what has become of each measure."""

    group: Mapping[str, Any]
    now: Answer
    before: Answer
    changes: Mapping[str, Change]

    def as_json(self) -> dict[str, Any]:
        """One object: the group's keys, from, to, the same of what was before, and an object for each measure."""
        bounds = {"from": rfc3339(self.now.start), "to": rfc3339(self.now.end)}
        earlier = {"from": rfc3339(self.before.start), "to": rfc3339(self.before.end)}
        return {**self.group, **bounds, "before": earlier, **{name: of.as_json() for name, of in self.changes.items()}}


@dataclass(frozen=True)
class Comparisons:
    """Comparisons in the order of their answers; the counts are those of both queries together."""

    rows: list[Comparison]
    reads: int
    damaged: list[str]
    open_windows: int

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_arrow(self) -> pa.Table:
        """A table of what `Comparison.as_json` has."""
        return as_table(
            {
                **row.as_json(),
                "from": row.now.start,
                "to": row.now.end,
                "before": {"from": row.before.start, "to": row.before.end},
            }
            for row in self.rows
        )


def compare(store: Store, other: Mapping[str, Any], **asked: Any) -> Comparisons:
    """Asks a store two things and compares the answers, group by group and step by step.

    `asked` is what `query` takes, and `other` what the other answers have instead: `start` and `end`, or `where`, which
    may not choose keys to group by. A group that only one of the two knows is compared with nothing.

    Raises ValueError where `other` differs in more than that, or has other steps.
    """
    if unlike := other.keys() - {"start", "end", "where"}:
        raise ValueError(f"what is compared may differ in start, end and where, got {', '.join(sorted(unlike))}")
    by = asked.get("by", ())
    if mixed := [name for name in other.get("where", {}) if name in by]:
        raise ValueError(f"keys that are compared cannot be grouped by, got {', '.join(mixed)}: leave them out of one")
    now, before = query(store, **asked), query(store, **{**asked, **other})
    if len(now.steps) != len(before.steps):
        raise ValueError(f"what is compared must have as many steps, got {len(now.steps)} and {len(before.steps)}")
    rows = []
    for here, ours, there, theirs in zip(now.steps, _by_step(now), before.steps, _by_step(before), strict=True):
        for group in dict.fromkeys([*ours, *theirs]):
            # Where a row is damaged, what is missing may be more than nothing.
            if (group in ours or not now.damaged) and (group in theirs or not before.damaged):
                names = dict(zip(by, group, strict=True))
                answer = ours.get(group) or _nothing(store, asked, names, here)
                earlier = theirs.get(group) or _nothing(store, asked, names, there)
                rows.append(Comparison(names, answer, earlier, changes(store, answer, earlier)))
    damaged = [*now.damaged, *before.damaged]
    return Comparisons(rows, now.reads + before.reads, damaged, now.open_windows + before.open_windows)


def changes(store: Store, now: Answer, before: Answer) -> dict[str, Change]:
    """What has become of each measure that two answers of a store have."""
    return {
        name: _change(store.measures[name].question, now, before, name) for name in now.values if name in before.values
    }


def without(store: Store, whole: Answer, part: Answer) -> Answer:
    """What is left of an answer without a part of it, such as a shorter time or fewer keys, from their sketches alone.

    Raises StoreError for a measure whose sketch does not subtract: ask for what is left as ranges of its own. Raises
    ValueError where the part plainly is none.
    """
    if not whole.start <= part.start <= part.end <= whole.end:
        raise ValueError(f"a part must lie within {whole.start} to {whole.end}, got {part.start} to {part.end}")
    left = {}
    for name, sketch in whole.sketches.items():
        if not sketch.SUBTRACTS:
            raise StoreError(f"{name} is kept as a {type(sketch).__name__}, which does not subtract: ask without it")
        rest: Any = sketch.copy()
        rest.subtract(part.sketches[name])
        left[name] = rest
    values = {name: store.measures[name].question(sketch) for name, sketch in left.items()}
    return Answer(whole.group, whole.start, whole.end, left, values)


def minus(one: Estimate, other: Estimate) -> Estimate:
    """The difference of two estimates: its bounds hold where those of both do.

    >>> minus(Estimate(9.0, 8.0, 10.0, 0.99), Estimate(5.0, 4.0, 6.0, 0.99))
    Estimate(value=4.0, low=2.0, high=6.0, confidence=0.98)
    """
    confidence = max(round(one.confidence + other.confidence - 1.0, 12), 1e-12)
    return Estimate(one.value - other.value, one.low - other.high, one.high - other.low, confidence)


def _change(question: Question, now: Answer, before: Answer, name: str) -> Change:
    ours, theirs, sketch, earlier = now.values[name], before.values[name], now.sketches[name], before.sketches[name]
    if isinstance(sketch, HyperLogLog) and isinstance(earlier, HyperLogLog):
        confidence = float(question.arguments[0]) if question.arguments else _CONFIDENCE
        return Change(ours, theirs, *_distinct(sketch, earlier, confidence))
    if isinstance(sketch, HeavyHitters) and isinstance(earlier, HeavyHitters) and isinstance(ours, list):
        items = {(type(item), item): item for item, _ in [*ours, *theirs]}.values()
        moved = [(item, minus(sketch.count(item), earlier.count(item))) for item in items]
        return Change(ours, theirs, sorted(moved, key=lambda pair: -abs(pair[1].value)))
    if _is_missing(ours) or _is_missing(theirs):
        return Change(ours, theirs, why=f"there is no value {'now' if _is_missing(ours) else 'before'}")
    change = _difference(ours, theirs)
    why = "" if change is not None else f"{question.name} of a {type(sketch).__name__} is nothing to subtract from"
    return Change(ours, theirs, change, why=why)


def _difference(now: Any, before: Any) -> Any:
    match now, before:
        case (int() | float(), int() | float()):
            return now - before
        case (Estimate(), Estimate()):
            return minus(now, before)
        case (dict(), dict()):
            return {q: minus(now[q], before[q]) for q in now}
    return None


def _distinct(now: HyperLogLog, before: HyperLogLog, confidence: float) -> tuple[Estimate, Estimate, Estimate]:
    """How many more items there are, how many new ones, and how many in both, each with this confidence."""
    each = (1.0 + confidence) / 2  # so that two of them hold together
    union = now.copy()
    union.merge(before)
    new = minus(union.estimate(each), before.estimate(each))
    value = max(new.value, 0.0)
    new = Estimate(value, max(new.low, 0.0), max(new.high, value), new.confidence)
    return minus(now.estimate(each), before.estimate(each)), new, now.intersection(before, confidence)


def _is_missing(value: Any) -> bool:
    """Whether nothing was answered, because nothing had come: no extreme, no mean, no quantile."""
    return value is None or value == {} or (isinstance(value, float) and math.isnan(value))


def _by_step(answers: Answers) -> list[dict[tuple[Any, ...], Answer]]:
    """For each step the answers by their group."""
    rows = {start: dict[tuple[Any, ...], Answer]() for start, _ in answers.steps}
    for row in answers:
        rows[row.start][tuple(row.group.values())] = row
    return list(rows.values())


def _nothing(
    store: Store, asked: Mapping[str, Any], group: Mapping[str, Any], when: tuple[datetime, datetime]
) -> Answer:
    """The answer about a group of which nothing came."""
    sketches = {name: store.measures[name].empty.copy() for name in asked.get("measures") or store.measures}
    values = {name: store.measures[name].question(sketch) for name, sketch in sketches.items()}
    return Answer(group, *when, sketches, values)
