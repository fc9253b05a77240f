"""What is kept of the past: windows for a while, short spans for longer, long ones for ever.

What has gone cannot be made again. Therefore windows go when all that lies above them is made, and two halves of a span
go together: whatever may still change has both halves, down to the windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rollups.databases import Database
from rollups.nodes import stale_spans
from rollups.query import EPOCH
from rollups.schema import read_floors

_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True)
class Ages:
    """How long what is kept: windows for `leaves`, spans that are shorter than a length for the age beside it.

    Spans that no length is longer than are kept for ever. Raises ValueError where what is longer would go earlier.

    >>> ages = Ages(timedelta(days=7), {timedelta(hours=1): timedelta(days=90)})
    >>> [ages.of(timedelta(minutes=minutes), level) for minutes, level in [(1, 0), (32, 5), (64, 6)]]
    [datetime.timedelta(days=7), datetime.timedelta(days=90), None]
    """

    leaves: timedelta
    spans: Mapping[timedelta, timedelta]

    def __post_init__(self) -> None:
        ages = [self.leaves, *(self.spans[length] for length in sorted(self.spans))]
        if ages[0] <= timedelta(0) or ages != sorted(ages):
            told = ", ".join(map(str, ages))
            raise ValueError(f"ages must be above 0, and longer spans must be kept for no less time, got {told}")

    def of(self, length: timedelta, level: int) -> timedelta | None:
        """How long spans of a length are kept; None is for ever."""
        if level == 0:
            return self.leaves
        return next((self.spans[longer] for longer in sorted(self.spans) if longer > length), None)


@dataclass(frozen=True)
class Dropped:
    """What has gone."""

    leaves: int = 0  # rows, of which there is one for each measure
    nodes: int = 0
    held: datetime | None = None  # from here on old windows were kept: one is open, or cannot be read


def drop(database: Database, measures: Sequence[int], window: int, top: int, latest: datetime, ages: Ages) -> Dropped:
    """Deletes what is older than its age at the time `latest`; belongs to a transaction, after nodes were made."""
    floors, stale = read_floors(database), stale_spans(database)
    open_windows = database.execute("SELECT place FROM leaves WHERE NOT closed AND measure = ?", [measures[0]])
    leaves = nodes = 0
    first, held = None, None
    for level, floor in _floors(window, top, latest, ages):
        # What is yet to be made needs the spans below it, and a window that is open may still change.
        needed = [span.first for span in stale if span.level == level + 1]
        needed += [place for (place,) in open_windows if level == 0]
        if level == 0 and min([floor, *needed]) < floor:
            held = EPOCH + min(needed) * window * _MICRO
        # A floor lies between spans of the next level, so that two halves stay or go together.
        first = min([floor, *needed] if first is None else [floor, *needed, first]) >> level + 1 << level + 1
        if first <= floors.get(level, first - 1):
            continue
        for measure in measures:
            if level:
                older = "nodes WHERE measure = ? AND level = ? AND place < ?"
                nodes += _delete(database, older, [measure, level, first >> level])
            else:
                leaves += _delete(database, "leaves WHERE measure = ? AND place < ?", [measure, first])
        database.execute_many(
            "INSERT INTO kept (level, first) VALUES (?, ?) ON CONFLICT (level) DO UPDATE SET first = excluded.first",
            [(level, first)],
        )
    return Dropped(leaves, nodes, held)


def _floors(window: int, top: int, latest: datetime, ages: Ages) -> Iterator[tuple[int, int]]:
    """The window that is as old as each level may be; of the longest spans nothing goes."""
    for level in range(top):
        age = ages.of((window << level) * _MICRO, level)
        if age is not None:
            yield level, (latest - age - EPOCH) // (window * _MICRO)


def _delete(database: Database, rows: str, values: Sequence[int]) -> int:
    ((count,),) = database.execute(f"SELECT COUNT(*) FROM {rows}", values)  # noqa: S608  ours
    database.execute(f"DELETE FROM {rows}", values)  # noqa: S608  ours
    return int(count)
