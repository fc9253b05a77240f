"""Leaves: what a contribution knows of a window and key, replaced only by what counts at least as many records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from rollups.databases import Database, in_parts
from rollups.written import answer_columns
from transforms.sketches import Question, Sketch

Key: TypeAlias = tuple[Any, ...]
_Place: TypeAlias = tuple[int, int]  # the numbers of window and key


class StoredMeasure(NamedTuple):
    """What is kept of a measure: a sketch of its kind to which nothing was added, and the question asked of it."""

    empty: Sketch
    question: Question


class Leaf(NamedTuple):
    """What a contribution knows of a window and key."""

    start: int  # of the window, microseconds since 1970
    key: Key  # the values of the key columns
    records: int
    sketches: Mapping[str, Sketch]  # by measure
    closed: bool = True  # whether the window is over, though late records may still correct it


@dataclass(frozen=True)
class Written:
    """What a write has changed."""

    leaves: int = 0  # new, or replaced by others
    unchanged: int = 0  # were there already, with the same bytes
    refused: int = 0  # count fewer records than what is there
    expired: int = 0  # of windows that are not kept any more


class _Content(NamedTuple):
    records: int
    closed: bool
    images: list[bytes]  # a sealed sketch for each measure


class Numbered(NamedTuple):
    """A leaf beside the numbers that its window and its key have in the tables."""

    place: int
    key: int
    leaf: Leaf


class Numbers(NamedTuple):
    """The numbers that a measure and a contribution have."""

    measures: Mapping[str, int]
    contribution: int


def write_leaves(
    database: Database,
    measures: Mapping[str, StoredMeasure],
    numbers: Numbers,
    leaves: Sequence[Numbered],
    *,
    rebuild: bool,
) -> tuple[Written, set[int]]:
    """Keeps leaves of a contribution, within a transaction; what that came to, and the windows that it has changed.

    What is there is read first, so that only what differs is asked its questions and written: in the order of the
    table, by one statement.
    """
    before = _stored(database, numbers, leaves)
    sketches: dict[_Place, Mapping[str, Sketch]] = {}  # that are to be written
    counts = {"leaves": 0, "unchanged": 0, "refused": 0}
    for place, key, leaf in leaves:
        old = before.get((place, key))
        new = _Content(leaf.records, leaf.closed, [leaf.sketches[name].to_bytes() for name in measures])
        if old and old.records > new.records and not rebuild:
            counts["refused"] += 1
        elif old == new:
            counts["unchanged"] += 1
        else:
            counts["leaves"] += 1
            before[place, key], sketches[place, key] = new, leaf.sketches
    places = sorted(sketches)

    def rows() -> Iterator[tuple[Any, ...]]:
        for column, (name, (_, question)) in enumerate(measures.items()):
            for place, key in places:
                records, closed, images = before[place, key]
                row = numbers.measures[name], place, key, numbers.contribution
                yield *row, records, closed, *answer_columns(question(sketches[place, key][name])), images[column]

    database.execute_many(
        "INSERT INTO leaves (measure, place, key_number, contribution, records, closed, value, low, high, answer, "
        "sketch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (measure, place, key_number, contribution) DO UPDATE SET "
        "closed = excluded.closed, records = excluded.records, value = excluded.value, low = excluded.low, "
        "high = excluded.high, answer = excluded.answer, sketch = excluded.sketch",
        rows(),
    )
    return Written(**counts), {place for place, _ in places}


def require_whole(measures: Mapping[str, StoredMeasure], leaves: Iterable[Leaf]) -> None:
    """Refuses leaves that lack a measure, or whose sketches would not merge with those of others."""
    for leaf in leaves:
        if missing := measures.keys() - leaf.sketches.keys():
            raise ValueError(f"a leaf must have a sketch of each measure, got none of {', '.join(sorted(missing))}")
        for name, (empty, _) in measures.items():
            empty._require_alike(leaf.sketches[name])  # noqa: SLF001  what merge would say, before it is too late


def _stored(database: Database, numbers: Numbers, leaves: Sequence[Numbered]) -> dict[_Place, _Content]:
    """What is there in the place of each leaf."""
    stored: dict[_Place, _Content] = {}
    measures = ", ".join(map(str, numbers.measures.values()))
    asked = sorted({(leaf.place, leaf.key) for leaf in leaves})
    for place, of_place in groupby(asked, key=itemgetter(0)):
        keys = [key for _, key in of_place]
        for named in in_parts(keys):
            for key, records, closed, image in database.execute(
                "SELECT key_number, records, closed, sketch FROM leaves "  # noqa: S608  numbers
                f"WHERE measure IN ({measures}) AND place = ? AND key_number IN ({', '.join('?' * len(named))}) "
                "AND contribution = ? ORDER BY measure",
                [place, *named, numbers.contribution],
            ):
                content = stored.setdefault((place, key), _Content(records, bool(closed), []))
                content.images.append(bytes(image))
    return stored
