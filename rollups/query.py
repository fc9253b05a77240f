"""Any range of time, by any of the keys: answers merged from a few stored sketches, with their errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rollups.errors import StoreError
from rollups.nodes import Reading, sketches_of
from rollups.schema import quoted
from rollups.tree import Span
from rollups.written import as_json
from transforms.sketches import Sketch

if TYPE_CHECKING:
    from rollups.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True)
class Answer:
    """What is known about one group of keys from `start` to before `end`."""

    group: Mapping[str, Any]
    start: datetime
    end: datetime
    sketches: Mapping[str, Sketch]  # by measure; merge them with others, ask them something else
    values: Mapping[str, Any]  # what the question of each measure answers: a number, an Estimate, a list, …

    def as_json(self) -> dict[str, Any]:
        """One flat object: the group's keys, from, to, and a member for each measure."""
        bounds = {"from": rfc3339(self.start), "to": rfc3339(self.end)}
        return {**self.group, **bounds, **{name: as_json(value) for name, value in self.values.items()}}


@dataclass(frozen=True)
class Answers:
    """The answers to a query, in order of time and group."""

    rows: list[Answer]
    reads: int  # how many stored sketches were read
    damaged: list[str] = field(default_factory=list)  # rows that cannot be read; groups that need them are left out
    steps: list[tuple[datetime, datetime]] = field(default_factory=list)  # those of which nothing came included
    open_windows: int = 0  # windows of the range that are not over yet: left out unless they were asked for

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_arrow(self) -> pa.Table:
        """A table: a column for each key, `from`, `to`, and one for each measure as `Answer.as_json` has it."""
        return as_table({**answer.as_json(), "from": answer.start, "to": answer.end} for answer in self.rows)


def query(
    store: Store,
    *,
    measures: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    by: Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    step: timedelta | None = None,
    open: bool = False,  # noqa: A002  as the flag is called
) -> Answers:
    """Answers for each group of the key columns `by`, over [start, end) or for each `step` of it.

    All measures unless some are named; all time that is stored unless `start` or `end` are given. `where` keeps the
    keys that have these values. Groups of which nothing came are left out; without `by` there is one group, always.
    Windows that are not over yet are left out, unless `open` ones are asked for: then they answer what is known by now.
    A range of n windows takes at most some 2 log2(n) sketches for each key and contribution.

    Raises StoreError for measures or keys that are not stored, ValueError for bounds that are not those of windows, or
    of what is still kept.
    """
    names = list(store.measures if measures is None else measures)
    _require_known("measures", names, store.measures)
    _require_known("keys", [*by, *(where or {})], store.by)
    groups = _groups(store, by, where or {})
    selected = None if len(groups) == store.key_count() else groups.keys()
    stored = store.spans()
    if stored is None:
        return Answers([], 0)
    first = stored.first if start is None else _place(start, store.window)
    last = stored.end if end is None else _place(end, store.window)
    stride = max(last - first, 1) if step is None else _stride(step, store.window)
    rows, reads, damaged = list[Answer](), 0, list[str]()
    opened, steps = _open_windows(store, first, last), list[tuple[datetime, datetime]]()
    for begin in range(first, last, stride):
        stop = min(begin + stride, last)
        steps.append((EPOCH + begin * store.window * _MICRO, EPOCH + stop * store.window * _MICRO))
        reading, merged = Reading(), defaultdict[tuple[Any, ...], dict[str, Sketch]](dict)
        spans = [(span, True) for span in stored.answering(begin, stop)]
        if open:
            spans += [(Span(0, place), False) for place in opened if begin <= place < stop]
        for span, closed in spans:
            for name in names:
                number = store.number_of(name)
                for key, sketch in sketches_of(store.database, number, span, selected, reading, closed=closed):
                    of_group = merged[groups[key]]
                    if name in of_group:
                        of_group[name].merge(sketch)
                    else:
                        of_group[name] = sketch
        if not by:
            merged[()]  # one group, always
        for group in sorted(merged, key=_order):
            if any(groups[key] == group for key in reading.damaged):
                continue
            sketches = {name: merged[group].get(name) or store.measures[name].empty.copy() for name in names}
            values = {name: store.measures[name].question(sketch) for name, sketch in sketches.items()}
            rows.append(Answer(dict(zip(by, group, strict=True)), *steps[-1], sketches, values))
        reads += reading.sketches
        damaged += dict.fromkeys(problem for of_key in reading.damaged.values() for problem in of_key)
    return Answers(rows, reads, damaged, steps, len(opened))


def _open_windows(store: Store, first: int, last: int) -> list[int]:
    """The windows from `first` to before `last` of which some contribution says that they are not over yet."""
    number = store.number_of(next(iter(store.measures)))
    rows = store.database.execute(
        "SELECT DISTINCT place FROM leaves WHERE measure = ? AND place BETWEEN ? AND ? AND NOT closed ORDER BY place",
        [number, first, last - 1],
    )
    return [place for (place,) in rows]


def _groups(store: Store, by: Sequence[str], where: Mapping[str, Any]) -> dict[int, tuple[Any, ...]]:
    """The numbers of the keys that are asked for, and the group of each."""
    columns = "".join(f", {quoted(name)}" for name in by)
    tests = " AND ".join(f"{quoted(name)} {'IS NULL' if value is None else '= ?'}" for name, value in where.items())
    values = [value for value in where.values() if value is not None]
    statement = f"SELECT key_number{columns} FROM keys{' WHERE ' + tests if tests else ''}"  # noqa: S608  names are quoted
    rows = store.database.execute(statement, values)
    return {key: tuple(group) for key, *group in rows}


def _order(group: tuple[Any, ...]) -> tuple[tuple[bool, str, Any], ...]:
    """Nulls first, then each type by itself."""
    return tuple((value is not None, type(value).__name__, value if value is not None else 0) for value in group)


def _require_known(what: str, names: Sequence[str], known: Collection[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise StoreError(f"the store has the {what} {', '.join(known) or 'none'}, got {', '.join(unknown)}")


def _place(moment: datetime, window: int) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"a moment must have a zone, got {moment.isoformat()}: for example datetime(…, tzinfo=UTC)")
    place, odd = divmod((moment - EPOCH) // _MICRO, window)
    if odd:
        near = (rfc3339(EPOCH + n * window * _MICRO) for n in (place, place + 1))
        raise ValueError(f"a range must begin and end with windows, got {rfc3339(moment)}: use {' or '.join(near)}")
    return place


def _stride(step: timedelta, window: int) -> int:
    stride, odd = divmod(step // _MICRO, window)
    if odd or stride < 1:
        raise ValueError(f"a step must be a multiple of windows of {window * _MICRO}, got {step}")
    return stride


def as_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows as Arrow has them, where an object without members, which Parquet does not know, is null.

    >>> as_table([{"count": 0, "quantiles": {}}]).to_pylist()
    [{'count': 0, 'quantiles': None}]
    """
    return pa.Table.from_pylist([{name: _or_null(value) for name, value in row.items()} for row in rows])


def _or_null(value: Any) -> Any:
    return {name: _or_null(of) for name, of in value.items()} or None if isinstance(value, dict) else value


def rfc3339(moment: datetime) -> str:
    """A moment in UTC as JSON has it.

    >>> rfc3339(datetime(2026, 3, 1, 12, tzinfo=UTC))
    '2026-03-01T12:00:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
