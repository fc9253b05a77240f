"""Sketches of spans of windows: read from the tree, and made again from what lies below where it has changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from rollups.databases import Database, Rows
from rollups.errors import DamagedError
from rollups.schema import read_floors
from rollups.tree import Span
from transforms.sketches import Sketch, load

_TOGETHER = 64  # spans that are made in one transaction
_NAMED = 500  # keys that a statement names; among more of them, those asked for are picked

# A span has one row for each key, and a window one for each contribution to it. Nodes hold closed windows only, so that
# those that are open are read beside them where they are asked for.
_LEAVES = "SELECT key_number, sketch FROM leaves WHERE measure = ? AND place = ? AND closed"
_OPEN = "SELECT key_number, sketch FROM leaves WHERE measure = ? AND place = ? AND NOT closed"
_NODES = "SELECT key_number, sketch FROM nodes WHERE measure = ? AND level = ? AND place = ?"


@dataclass
class Reading:
    """What was read for an answer, and which rows could not be."""

    sketches: int = 0
    damaged: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))  # by key


def rows_of(
    database: Database, measure: int, span: Span, keys: Collection[int] | None = None, *, closed: bool = True
) -> Rows:
    """Keys and images of a span, as they are stored; of all keys, or of some. Of a window, what is closed or is not."""
    leaves = _LEAVES if closed else _OPEN
    statement, values = (_NODES, [measure, *span]) if span.level else (leaves, [measure, span.place])
    if keys is not None and len(keys) <= _NAMED:
        return database.execute(f"{statement} AND key_number IN ({', '.join('?' * len(keys))})", [*values, *keys])
    rows = database.execute(statement, values)
    return rows if keys is None else [row for row in rows if row[0] in keys]


def stale_spans(database: Database) -> set[Span]:
    """The spans whose nodes are not what lies below them."""
    return {Span(*row) for row in database.execute("SELECT level, place FROM stale")}


def mark_stale(database: Database, spans: Iterable[Span]) -> None:
    """Says that nodes are to be made again; belongs to the transaction that changes what lies below."""
    database.execute_many("INSERT INTO stale (level, place) VALUES (?, ?) ON CONFLICT DO NOTHING", list(spans))


def sketches_of(
    database: Database,
    measure: int,
    span: Span,
    keys: Collection[int] | None,
    reading: Reading,
    *,
    closed: bool = True,
) -> Iterable[tuple[int, Sketch]]:
    """Keys and sketches of a span. Where a node is damaged its halves are read; a damaged leaf is told in `reading`."""
    table = f"nodes, level {span.level}" if span.level else "leaves"
    place = f"{table}, measure {measure}, place {span.place}"
    try:
        rows = rows_of(database, measure, span, keys, closed=closed)
    except DamagedError as problem:
        if span.level and _has_halves(database, span):
            for half in span.children:
                yield from sketches_of(database, measure, half, keys, reading)
            return
        for key in _all_keys(database) if keys is None else keys:
            reading.damaged[key].append(f"the rows {place} cannot be read: {problem}")
        return
    for key, image in rows:
        reading.sketches += 1
        try:
            yield key, load(bytes(image))
        except ValueError as problem:
            if span.level and _has_halves(database, span):
                for half in span.children:
                    yield from sketches_of(database, measure, half, [key], reading)
            else:
                row = f"{place}, key number {key}"
                reading.damaged[key].append(f"the sketch in the row {row} cannot be read: {problem}")


def _all_keys(database: Database) -> list[int]:
    return [key for (key,) in database.execute("SELECT key_number FROM keys")]


def _has_halves(database: Database, span: Span) -> bool:
    """Whether what a span was made from is still kept; both halves are, or none."""
    floor = read_floors(database).get(span.level - 1)
    return floor is None or span.first >= floor


def make_nodes(database: Database, measures: Sequence[int], top: int) -> int:
    """Makes all stale nodes again, the lowest first; how many spans that were.

    A node above a damaged leaf is left out, for that key; its span stays stale, so that the leaf is missed by name.
    """
    made = 0
    for level in range(1, top + 1):
        places = database.execute("SELECT place FROM stale WHERE level = ? ORDER BY place", [level])
        for first in range(0, len(places), _TOGETHER):
            with database.writing():
                for (place,) in places[first : first + _TOGETHER]:
                    made += _make_node(database, measures, Span(level, place))
    return made


def _make_node(database: Database, measures: Sequence[int], span: Span) -> bool:
    if any(rows_of_stale(database, half) for half in span.children if half.level):
        return False  # what lies below it is damaged
    whole = True
    for measure in measures:
        images: dict[int, list[bytes]] = defaultdict(list)
        for half in span.children:
            for key, image in rows_of(database, measure, half):
                images[key].append(bytes(image))
        rows = []
        for key, of_key in images.items():
            try:
                rows.append((measure, *span, key, merged_images(of_key)))
            except ValueError:
                whole = False
        database.execute("DELETE FROM nodes WHERE measure = ? AND level = ? AND place = ?", [measure, *span])
        database.execute_many(
            "INSERT INTO nodes (measure, level, place, key_number, sketch) VALUES (?, ?, ?, ?, ?)", rows
        )
    if whole:
        database.execute("DELETE FROM stale WHERE level = ? AND place = ?", span)
    return whole


def rows_of_stale(database: Database, span: Span) -> Rows:
    """Whether a span is stale: a row, or none."""
    return database.execute("SELECT 1 FROM stale WHERE level = ? AND place = ?", span)


def merged_images(images: Sequence[bytes]) -> bytes:
    """The image of what sketches merge to; ValueError where one cannot be read."""
    if len(images) == 1:
        return images[0]
    total: Sketch = load(images[0])
    for image in images[1:]:
        total.merge(load(image))
    return total.to_bytes()
