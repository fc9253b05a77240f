"""What a page shows, as data from a store: series over time, their values in all, and the same for each key.

Every number here is an answer of `Store.query`: as an Estimate, so that numbers that are exact are a special case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from reports.steps import Steps
from rollups.query import Answer, Answers
from transforms.sketches import Estimate

if TYPE_CHECKING:
    from rollups import Store

GROUPS = 12  # groups of a key that are shown, at most
_TITLES = {
    "count": "Records",
    "sum": "Sum of {}",
    "mean": "Mean {}",
    "min": "Smallest {}",
    "max": "Largest {}",
    "distinct": "Distinct {}",
    "top": "Most frequent {}",
    "quantiles": "Quantiles of {}",
    "loghist": "Quantiles of {}",
}
_FROM_ZERO = ("count", "estimate", "sum")  # questions whose answers are amounts: their charts begin at 0

Where: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One number over time: `at` is "" for a plain one, the rank for a quantile."""

    at: str
    points: list[Estimate | None]  # for each piece; None where there is no value
    whole: Estimate | None  # of the whole range

    @property
    def peak(self) -> int | None:
        """The number of the piece with the largest value, the first of them."""
        known = [(point.value, -n) for n, point in enumerate(self.points) if point]
        return -max(known)[1] if known else None

    @property
    def name(self) -> str:
        """As a legend has it: a quantile by its percent."""
        return f"p{float(self.at) * 100:g}" if self.at else ""


@dataclass(frozen=True)
class Panel:
    """One measure over time."""

    measure: str
    title: str
    lines: list[Line]
    from_zero: bool

    @property
    def confidence(self) -> float | None:
        """Of the bands, the least there is; None where all is exact."""
        return _confidence(point for line in self.lines for point in line.points)

    @property
    def whole_confidence(self) -> float | None:
        """Of the bounds in all."""
        return _confidence(line.whole for line in self.lines)


@dataclass(frozen=True)
class Group:
    """One value of a key: its size over time, what else is measured of it, and what is frequent in it."""

    value: Any
    where: Where
    panel: Panel | None
    others: list[Panel]
    tops: dict[str, list[tuple[Any, Estimate]]]


@dataclass(frozen=True)
class Groups:
    """The largest groups of a key, by the measure `by`."""

    key: str
    by: str | None
    shown: list[Group]
    count: int  # of all groups
    total: float | None  # of the measure in all groups, where it adds up
    rest: float | None  # in those that are not shown


@dataclass(frozen=True)
class Reader:
    """Asks a store about a range, and keeps what could not be read."""

    store: Store
    steps: Steps
    damaged: list[str] = field(default_factory=list)

    def whole(self, measures: Sequence[str], *, by: Sequence[str] = (), where: Where | None = None) -> list[Answer]:
        """Answers about the range as a whole, for each group."""
        return self._told(
            self.store.query(measures=measures, start=self.steps.first, end=self.steps.end, by=by, where=where)
        )

    def pieces(self, measures: Sequence[str], *, where: Where | None = None) -> list[Answer | None]:
        """An answer about each piece; None for one that cannot be read."""
        told = self._told(
            self.store.query(
                measures=measures, start=self.steps.first, end=self.steps.end, where=where, step=self.steps.step
            )
        )
        known = {answer.start: answer for answer in told}
        return [known.get(begin) for begin, _ in self.steps.bounds]

    def _told(self, answers: Answers) -> list[Answer]:
        self.damaged.extend(problem for problem in answers.damaged if problem not in self.damaged)
        return answers.rows


def title_of(measure: str) -> str:
    """What a measure is called: by its kind and column, or by its own name.

    >>> title_of("distinct:user"), title_of("count"), title_of("my own")
    ('Distinct user', 'Records', 'my own')
    """
    kind, _, column = measure.partition(":")
    needs_column = "{}" in _TITLES.get(kind, "")
    return _TITLES[kind].format(column) if kind in _TITLES and needs_column == bool(column) else measure


def short_of(measure: str) -> str:
    """What a measure is called where there is little room.

    >>> short_of("distinct:user"), short_of("top:hashtags"), short_of("quantiles:length")
    ('distinct user', 'hashtags', 'length')
    """
    kind, _, column = measure.partition(":")
    if column and kind in {"top", "quantiles", "loghist"}:
        return column
    title = title_of(measure)
    return title if title == measure else title[0].lower() + title[1:]


def is_list(store: Store, measure: str) -> bool:
    """Whether answers are lists of items with their counts."""
    return isinstance(_of_nothing(store, measure), list)


def is_number(store: Store, measure: str) -> bool:
    """Whether answers are numbers, estimates, or several of these by rank."""
    answer = _of_nothing(store, measure)
    return answer is None or (isinstance(answer, int | float | Estimate | dict) and not isinstance(answer, bool))


def numbers_of(store: Store) -> list[str]:
    """The measures that are drawn over time."""
    return [name for name in store.measures if is_number(store, name)]


def lists_of(store: Store) -> list[str]:
    """The measures that are lists of the most frequent items."""
    return [name for name in store.measures if is_list(store, name)]


def size_of(store: Store) -> str | None:
    """The measure by which groups are large: the count of records, or else the first that is one number."""
    single = [name for name in numbers_of(store) if not isinstance(_of_nothing(store, name), dict)]
    counts = [name for name in single if store.measures[name].question.name == "count"]
    return next(iter([*(name for name in counts if name == "count"), *counts, *single]), None)


def _of_nothing(store: Store, measure: str) -> Any:
    empty, question = store.measures[measure]
    return question(empty)


def panels(reader: Reader, measures: Sequence[str], *, where: Where | None = None, pieces: bool = True) -> list[Panel]:
    """Measures over time, or only of the whole range."""
    if not measures:
        return []
    told = reader.pieces(measures, where=where) if pieces else []
    whole = next(iter(reader.whole(measures, where=where)), None)
    return [panel_of(reader.store, name, told, whole) for name in measures]


def panel_of(store: Store, measure: str, pieces: Sequence[Answer | None], whole: Answer | None) -> Panel:
    """One measure of some answers."""
    values = [None if answer is None else answer.values[measure] for answer in pieces]
    of_all = None if whole is None else whole.values[measure]
    ranks = sorted({rank for value in (*values, of_all) if isinstance(value, dict) for rank in value})
    question = store.measures[measure].question
    if ranks or isinstance(_of_nothing(store, measure), dict):
        lines = [
            Line(
                f"{rank:g}", [estimate((value or {}).get(rank)) for value in values], estimate((of_all or {}).get(rank))
            )
            for rank in ranks
        ]
    else:
        lines = [Line("", [estimate(value) for value in values], estimate(of_all))]
    return Panel(measure, title_of(measure), lines, question.name in _FROM_ZERO)


def estimate(value: Any) -> Estimate | None:
    """A number as an Estimate; None where there is none."""
    if isinstance(value, Estimate):
        return None if math.isnan(value.value) else value
    return None if value is None or math.isnan(value) else Estimate.exact(value)


def _confidence(points: Iterable[Estimate | None]) -> float | None:
    return min((point.confidence for point in points if point and point.low < point.high), default=None)


def groups_of(reader: Reader, key: str, limit: int = GROUPS) -> Groups:
    """The largest groups of a key."""
    store, by = reader.store, size_of(reader.store)
    told = reader.whole([by] if by else list(store.measures)[:1], by=[key])
    sizes = {row.group[key]: estimate(row.values[by]) if by else None for row in told}

    def amount(value: Any) -> float:
        size = sizes[value]
        return -math.inf if size is None else size.value

    ordered = sorted(sizes, key=amount, reverse=True)  # equal ones stay in order of their values
    if by and store.measures[by].question.name in _FROM_ZERO:
        ordered = [value for value in ordered if amount(value)]  # nothing of it in this range
    shown = [_group(reader, key, value, by) for value in ordered[:limit]]
    total, rest = (sum(map(amount, values)) if adds_up(store, by) else None for values in (ordered, ordered[limit:]))
    return Groups(key, by, shown, len(ordered), total, rest)


def adds_up(store: Store, measure: str | None) -> bool:
    """Whether a measure of groups together is the sum over them: whether it counts records."""
    return measure is not None and store.measures[measure].question.name == "count"


def _group(reader: Reader, key: str, value: Any, by: str | None) -> Group:
    store, where = reader.store, {key: value}
    others = [name for name in numbers_of(store) if name != by]
    lists = lists_of(store)
    whole = next(iter(reader.whole([*others, *lists], where=where)), None) if others or lists else None
    return Group(
        value,
        where,
        panels(reader, [by], where=where)[0] if by else None,
        [panel_of(store, name, [], whole) for name in others],
        {name: whole.values[name] for name in lists} if whole else {},
    )
