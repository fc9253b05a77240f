"""What a store of rollups will take, before there is one: sizes are those of sketches that are built to see.

Everything is counted as if each key had so many values in each window, all of them different: the most it can be.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from rollups.leaves import Leaf, StoredMeasure
from rollups.store import Store
from rollups.tree import height
from transforms.sketches import Count, CountMin, HeavyHitters, HyperLogLog, Kll, LogHistogram, Sketch, sketch_column

_DAY = timedelta(days=1)
_KEYS = 1000  # that a column of sketches is made for, to see what it takes
_MANY = 2**20  # values in a sketch, above which it is taken to grow no more
_WRITTEN = 2**19  # bytes of sketches that are written to see what a row takes, of each level

# CPU seconds for a million events, a tenth of the times for ten million of `docs/performance.md`: with few keys, and
# with 10,000 of them where that was measured. They hold for reading Parquet, grouping by window and key, and measuring.
_CPU: dict[type[Sketch], tuple[str, float, float | None]] = {
    Count: ("J1", 0.195, None),
    HyperLogLog: ("J2a, J2b", 0.153, 0.310),
    LogHistogram: ("J3", 0.119, None),
    Kll: ("J3", 0.182, None),
    HeavyHitters: ("J4", 0.175, None),
}
_MANY_KEYS = 1000  # from which on the figure for many keys is the nearer one


@dataclass(frozen=True)
class PlannedMeasure:
    """What a measure takes."""

    sketch: Sketch  # an empty one, whose parameters give the error that is asked for
    leaf_bytes: int  # of the sketch of one window and key, sealed
    bytes_a_day: float  # in the store, leaves and the tree above them
    cpu: float | None  # seconds for measuring a million events; None where that has not been measured
    source: str  # of that figure
    writing: float  # CPU seconds for the row of a window and key, measured on this machine


@dataclass(frozen=True)
class Plan:
    """What a store takes, and what a query reads of it."""

    measures: Mapping[str, PlannedMeasure]
    windows: int  # that are kept
    reads: int  # sketches of one measure, key and contribution that the worst range needs; one merge less
    keep: timedelta

    @property
    def bytes_a_day(self) -> float:
        """Of all measures together."""
        return sum(measure.bytes_a_day for measure in self.measures.values())

    @property
    def bytes_in_all(self) -> float:
        """Once the store holds the time that is kept."""
        return self.bytes_a_day * (self.keep / _DAY)


def plan(measures: Mapping[str, StoredMeasure], *, keys: int, window: timedelta, keep: timedelta, values: int) -> Plan:
    """What a store takes that keeps these measures of `keys` keys, with so many values in each window and key.

    Raises ValueError where there is no key, no value, or not one window in the time that is kept.
    """
    if keys < 1 or values < 1:
        raise ValueError(f"there must be at least 1 key and 1 value in a window, got {keys} and {values}")
    if not timedelta(0) < window <= keep:
        raise ValueError(f"the time that is kept must hold windows longer than 0, got {keep} and windows of {window}")
    windows = math.ceil(keep / window)
    top, planned = height(0, windows), {}
    for name, measure in measures.items():
        sketches = list(_sketches(measure.empty, values, top))
        (leaf, writing), *nodes = _rows(name, measure, sketches)
        row = leaf + sum(node / 2**level for level, (node, _) in enumerate(nodes, start=1))
        source, few, many = _CPU.get(type(measure.empty), ("not measured", None, None))
        cpu = many if many is not None and keys >= _MANY_KEYS else few
        planned[name] = PlannedMeasure(
            measure.empty, len(sketches[0].to_bytes()), row * keys * (_DAY / window), cpu, source, writing
        )
    return Plan(planned, windows, most_reads(windows), keep)


def most_reads(windows: int) -> int:
    """How many spans at most a range of that many windows, or fewer, is covered by, wherever it begins.

    The worst ranges have two spans of each level, the halves of neighbours, and perhaps one more in the middle.

    >>> most_reads(10_000)
    24
    """
    levels = ((windows + 2) // 2).bit_length() - 1
    return 2 * levels + (windows >= (3 << levels) - 2)


def partial_bytes(empty: Sketch, values: int) -> float:
    """What a key takes, of so many values, in what a bundle knows of many keys: a thousand are sketched to see.

    >>> partial_bytes(Count(), 1) < partial_bytes(HyperLogLog(12), 10)
    True
    """
    each = min(values, 1000)
    rows = np.repeat(np.arange(_KEYS), each)
    prepared = empty.prepare(pa.array(_values(empty, np.random.default_rng(1), rows.size)))
    return len(sketch_column(empty, prepared, rows, _KEYS).to_bytes()) / _KEYS


def _sketches(empty: Sketch, values: int, top: int) -> Iterator[Sketch]:
    """The sketch of a window, and of spans of 2, 4, … of them up to level `top`."""
    sketch, chance, held = empty.copy(), np.random.default_rng(1), 0
    for level in range(top + 1):
        more = min(values << level, max(_MANY, values)) - held
        sketch.add_many(_values(sketch, chance, more))
        held += more
        yield sketch.copy()


def _rows(name: str, measure: StoredMeasure, sketches: Sequence[Sketch]) -> Iterator[tuple[float, float]]:
    """What a row of each level takes in SQLite: bytes, indexes and unused ends of pages included, and CPU seconds.

    Rows are written to see.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder, "plan.db"))
        with Store.create(place, window=1, by={"key": "text"}, measures={name: measure}) as store:
            for level, sketch in enumerate(sketches):
                image, before, began = sketch.to_bytes(), _size(store), time.process_time()
                number = min(max(_WRITTEN // len(image), 16), 2048)
                if level:
                    rows = [(1, level, span, 1, image) for span in range(number)]
                    store.database.execute_many(
                        "INSERT INTO nodes (measure, level, place, key_number, sketch) VALUES (?, ?, ?, ?, ?)", rows
                    )
                else:
                    store.write("plan", [Leaf(start, ("key",), 1, {name: sketch}) for start in range(number)])
                    store.database.execute("DELETE FROM stale")
                yield (_size(store) - before) / number, (time.process_time() - began) / number


def _size(store: Store) -> int:
    ((pages,),), ((size,),) = store.database.execute("PRAGMA page_count"), store.database.execute("PRAGMA page_size")
    return int(pages * size)


def _values(sketch: Sketch, chance: np.random.Generator, number: int) -> object:
    """Texts of 12 characters for what counts items, and numbers that spread over several powers of ten for the rest."""
    if isinstance(sketch, Count | HyperLogLog | HeavyHitters | CountMin):
        return [f"{value:012x}" for value in chance.integers(0, 2**48, number).tolist()]
    return chance.lognormal(3.0, 1.5, number)
