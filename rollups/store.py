"""A store of rollups: sketches of windows by key, written in any order and any number of times, never doubled.

A leaf is what one contribution (such as a set of input files) knows of one window and key. Writing a leaf again
replaces it if it counts at least as many records as before, so that a run can be repeated, resumed, or add late ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from rollups.databases import Database, connect, in_parts
from rollups.errors import DamagedError, StoreError
from rollups.leaves import Key, Leaf, Numbered, Numbers, StoredMeasure, Written, require_whole, write_leaves
from rollups.nodes import make_nodes, mark_stale, stale_spans
from rollups.query import EPOCH, Answers, query
from rollups.retention import Ages, Dropped, drop
from rollups.schema import (
    KEY_TYPES,
    VERSION,
    create_tables,
    quoted,
    read_floors,
    read_number,
    read_passport,
    write_passport,
)
from rollups.spans import StoredSpans
from rollups.tree import Span, above, height
from transforms.sketches import Question, load

_KEY_TEXT = json.JSONEncoder(ensure_ascii=False)


class Store:
    """An open store: `Store("rollups.db")`, or `Store("postgresql://user@host/name")`.

    Usable as a context, which closes it. Raises FileNotFoundError or StoreError where there is none: `Store.create`
    makes one.
    """

    def __init__(self, uri: str) -> None:
        self.database: Database = connect(uri)
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        passport = read_passport(self.database)
        self.window: int = passport["window"]  # microseconds
        self.by: dict[str, str] = passport["by"]
        self.measures: dict[str, StoredMeasure] = {}
        self._numbers: dict[str, int] = {}
        for number, name, question, empty in self.database.execute(
            "SELECT measure, name, question, empty FROM measures ORDER BY measure"
        ):
            try:
                asked, arguments = json.loads(question)
                self.measures[name] = StoredMeasure(load(bytes(empty)), Question(asked, tuple(arguments)))
            except ValueError as problem:
                raise DamagedError(
                    f"the row measures, measure {number} cannot be read: {problem}: restore the store from a copy"
                ) from problem
            self._numbers[name] = number

    @classmethod
    def create(cls, uri: str, *, window: int, by: Mapping[str, str], measures: Mapping[str, StoredMeasure]) -> Store:
        """Makes a store, or opens the one that is there if it is alike: a run may be repeated or resumed.

        `window` is the size of windows in microseconds, `by` the names of the key columns with their types (text,
        integer, real or boolean). Raises StoreError where another store is there, naming what differs.
        """
        if window <= 0:
            raise ValueError(f"windows must be longer than 0 microseconds, got {window}")
        if unknown := {kind for kind in by.values() if kind not in KEY_TYPES}:
            raise ValueError(f"keys must be of {', '.join(KEY_TYPES)}, got {', '.join(sorted(unknown))}")
        if reserved := {"key_number", "key_text", "from", "to"} & {name.lower() for name in by}:
            raise ValueError(
                f"a key column must not be named {reserved.pop()}, which is a name of the store's own: rename it"
            )
        with closing(connect(uri, create=True)) as database, database.writing():
            if not database.columns("passport"):
                create_tables(database, window, by)
                write_passport(database, {"version": VERSION, "window": window, "by": dict(by), "top": 0})
                database.execute_many(
                    "INSERT INTO measures (measure, name, question, empty) VALUES (?, ?, ?, ?)",
                    [
                        (number, name, json.dumps([asked.name, asked.arguments]), empty.to_bytes())
                        for number, (name, (empty, asked)) in enumerate(measures.items(), start=1)
                    ],
                )
        store = cls(uri)
        try:
            store._require(window, by, measures)
        except StoreError:
            store.close()
            raise
        return store

    def write(self, contribution: str, leaves: Iterable[Leaf], *, rebuild: bool = False) -> Written:
        """Keeps leaves of a contribution, all of them or none; what counts fewer records than before is refused.

        With `rebuild` it replaces whatever is there. Leaves of windows that are not kept any more (see `keep`) are
        left out, and counted.
        """
        rows = list(leaves)
        require_whole(self.measures, rows)
        places = [self._place(leaf) for leaf in rows]
        with self.database.writing():
            floor = read_floors(self.database).get(0)
            placed = [
                (place, leaf) for place, leaf in zip(places, rows, strict=True) if floor is None or place >= floor
            ]
            numbers = Numbers(self._numbers, self._number_of_contribution(contribution))
            keys = self._keys({leaf.key for _, leaf in placed})
            numbered = [Numbered(place, keys[leaf.key], leaf) for place, leaf in placed]
            written, changed = write_leaves(self.database, self.measures, numbers, numbered, rebuild=rebuild)
            self._grow()
            mark_stale(self.database, above(changed, self.top))
        return replace(written, expired=len(rows) - len(placed))

    def _place(self, leaf: Leaf) -> int:
        place, odd = divmod(leaf.start, self.window)
        if odd:
            raise ValueError(f"windows begin at multiples of {self.window} microseconds, got {leaf.start}")
        return place

    def settle(self) -> int:
        """Makes the merged spans that writing has left stale again, from what lies below them; how many it made.

        Answers are the same before and after, with fewer reads.
        """
        return make_nodes(self.database, list(self._numbers.values()), self.top)

    def keep(
        self,
        leaves: timedelta,
        spans: Mapping[timedelta, timedelta] | None = None,
        *,
        now: datetime | None = None,
    ) -> Dropped:
        """Deletes what is older: windows than `leaves`, longer spans than the age beside the length they fall short of.

        `keep(timedelta(days=7), {timedelta(hours=1): timedelta(days=90)})` keeps windows for a week, spans shorter than
        an hour for 90 days, longer ones for ever. Answers whose bounds are those of what is kept stay the same; others
        are refused, and so are leaves that come later than this. Ages count from the end of the latest window, but not
        from later than `now` (by default, the clock). From a window on that is open, or that cannot be read, windows
        are kept: what lies above them is yet to be made.
        """
        ages = Ages(leaves, spans or {})
        self.settle()
        with self.database.writing():
            bounds = self.bounds()
            if bounds is None:
                return Dropped()
            latest = min(self.moment(bounds[1]), now or datetime.now(UTC))
            write_passport(self.database, {"first": bounds[0]})
            numbers = list(self._numbers.values())
            dropped = drop(self.database, numbers, self.window, self.top, latest, ages)
        if dropped.leaves or dropped.nodes:
            self.database.shrink()
        return dropped

    @property
    def top(self) -> int:
        """The level of the longest spans that are kept: two of them hold all windows."""
        return read_number(self.database, "top") or 0

    def query(self, **asked: Any) -> Answers:
        """Answers about any range of time: see `rollups.query.query`, which takes the same."""
        with self.database.reading():
            return query(self, **asked)

    def bounds(self) -> tuple[int, int] | None:
        """The numbers of the first window and of the one after the last; None while there is none."""
        number = next(iter(self._numbers.values()))
        ((first, last),) = self.database.execute(  # each from its end of the index: together they would read all of it
            "SELECT (SELECT MIN(place) FROM leaves WHERE measure = ?), "
            "(SELECT MAX(place) FROM leaves WHERE measure = ?)",
            [number, number],
        )
        if first is None:
            return None
        ever = read_number(self.database, "first")  # since some were deleted; the latest never is
        return (first if ever is None else min(first, ever)), last + 1

    def spans(self) -> StoredSpans | None:
        """Which spans are there; None while there is none."""
        bounds = self.bounds()
        if bounds is None:
            return None
        return StoredSpans(self.window, self.top, *bounds, stale_spans(self.database), read_floors(self.database))

    def moment(self, place: int) -> datetime:
        """When a window of this number begins."""
        return EPOCH + timedelta(microseconds=place * self.window)

    def number_of(self, measure: str) -> int:
        """The number that a measure has in the tables."""
        return self._numbers[measure]

    def key_count(self) -> int:
        """How many different keys there are."""
        ((count,),) = self.database.execute("SELECT COUNT(*) FROM keys")
        return int(count)

    def close(self) -> None:
        """Lets go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _grow(self) -> None:
        """Where windows are farther apart than before, longer spans are to be made, from all windows there are."""
        bounds = self.bounds()
        before, top = self.top, height(*bounds) if bounds else 0
        if top > before:
            number = next(iter(self._numbers.values()))
            leaves = self.database.execute("SELECT DISTINCT place FROM leaves WHERE measure = ?", [number])
            nodes = self.database.execute(
                "SELECT DISTINCT place FROM nodes WHERE measure = ? AND level = ?", [number, before]
            )  # windows that are gone lie below these
            places = [*(place for (place,) in leaves), *(Span(before, place).first for (place,) in nodes)]
            higher = [span for span in above(places, top) if span.level > before]
            mark_stale(self.database, higher)
            write_passport(self.database, {"top": top})

    def _number_of_contribution(self, name: str) -> int:
        rows = self.database.execute("SELECT contribution FROM contributions WHERE name = ?", [name])
        if rows:
            return int(rows[0][0])
        ((number,),) = self.database.execute("SELECT COALESCE(MAX(contribution), 0) + 1 FROM contributions")
        self.database.execute("INSERT INTO contributions (contribution, name) VALUES (?, ?)", [number, name])
        return int(number)

    def _keys(self, keys: set[Key]) -> dict[Key, int]:
        """The number of each key, new ones included."""
        texts: dict[str, Key] = {}
        for key in keys:
            if len(key) != len(self.by):
                raise ValueError(f"keys must have a value for each of {', '.join(self.by) or 'no column'}, got {key!r}")
            texts[_KEY_TEXT.encode(key)] = key
        numbers: dict[str, int] = {}
        for named in in_parts(sorted(texts)):
            places = ", ".join("?" * len(named))
            known = f"SELECT key_text, key_number FROM keys WHERE key_text IN ({places})"  # noqa: S608  no values
            numbers |= dict(self.database.execute(known, named))
        ((highest,),) = self.database.execute("SELECT COALESCE(MAX(key_number), 0) FROM keys")
        new = {text: number for number, text in enumerate(sorted(texts.keys() - numbers.keys()), highest + 1)}
        columns = "".join(f", {quoted(name)}" for name in self.by)
        self.database.execute_many(
            f"INSERT INTO keys (key_number, key_text{columns}) VALUES (?, ?{', ?' * len(self.by)})",  # noqa: S608  quoted
            [(number, text, *texts[text]) for text, number in new.items()],
        )
        numbers |= new
        return {key: numbers[text] for text, key in texts.items()}

    def _require(self, window: int, by: Mapping[str, str], measures: Mapping[str, StoredMeasure]) -> None:
        """Refuses to go on with a store of other windows, keys or measures."""
        for what, ours, theirs in (
            ("windows, in microseconds,", self.window, window),
            ("keys", self.by, dict(by)),
            ("measures", _identities(self.measures), _identities(measures)),
        ):
            if ours != theirs:
                raise StoreError(f"the store has the {what} {ours}, got {theirs}: use the same, or another store")


def _identities(measures: Mapping[str, StoredMeasure]) -> dict[str, str]:
    return {name: f"{measure.question} of {measure.empty.to_bytes().hex()}" for name, measure in measures.items()}
