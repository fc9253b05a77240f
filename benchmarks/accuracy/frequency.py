"""How often, and which most often: Count-Min and the heavy hitters, on a Zipf stream of a million words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from datasketches import count_min_sketch, frequent_strings_sketch

from benchmarks.accuracy.study import Column, Reading, Study, parts
from transforms.sketches import CountMin, HeavyHitters

_WORDS = 1_000_000
_EXPONENT = 1.1
_SHARES = np.cumsum(1.0 / np.arange(1, _WORDS + 1) ** _EXPONENT)
_SHARES /= _SHARES[-1]
_ASKED = 100
_TOP = 20
_BATCH, _SMALL_BATCH = 10_000, 100  # rows: as record batches have, and next to item by item
_LG_SIZE = 7  # of DataSketches' table, which holds 96 counters
_CAPACITY = 96


def _stream(chance: np.random.Generator, size: int) -> Column:
    """Words by their rank, the most frequent first."""
    return _SHARES.searchsorted(chance.random(size))


def _count_min(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for different words that came, each as likely as any other."""
    words = _stream(chance, sizes[-1])
    first = int(chance.integers(2**40)) * _WORDS  # other words in every trial, so that others collide
    ours, theirs = CountMin.for_error(0.001), count_min_sketch(5, 2719)
    truth = np.zeros(_WORDS, np.int64)
    for n, part in parts(words, sizes):
        ours.add_many(part + first)
        came, times = np.unique(part, return_counts=True)
        for word, count in zip((came + first).tolist(), times.tolist(), strict=True):
            theirs.update(word, count)
        truth[came] += times
        asked = chance.choice(np.flatnonzero(truth), _ASKED)
        keys = (asked + first).tolist()
        counts = np.array([ours.count(key).value for key in keys])
        estimates = np.array([theirs.get_estimate(key) for key in keys])
        yield (
            n,
            {
                "ours": Reading((counts - truth[asked]) / n, ours.memory(), len(ours.to_bytes())),
                "DataSketches": Reading((estimates - truth[asked]) / n, None, len(theirs.serialize())),
            },
        )


def _heavy_hitters(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for the words that are the most frequent so far."""
    words = _stream(chance, sizes[-1])
    ours, small, theirs = HeavyHitters(_CAPACITY), HeavyHitters(_CAPACITY), frequent_strings_sketch(_LG_SIZE)
    truth = np.zeros(_WORDS, np.int64)
    for n, part in parts(words, sizes):
        for batch in _batches(part, _SMALL_BATCH):
            small.add_many(batch.astype(str))
        for batch in _batches(part, _BATCH):
            came, times = np.unique(batch, return_counts=True)
            order = chance.permutation(came.size)  # a batch has no order, which the peer's sampling would notice
            ours.add_many(batch.astype(str))
            for word, count in zip(came[order].astype(str).tolist(), times[order].tolist(), strict=True):
                theirs.update(word, count)
            truth[came] += times
        top = np.argsort(-truth, kind="stable")[:_TOP]
        estimates = np.array([theirs.get_estimate(str(word)) for word in top])
        yield (
            n,
            {
                "ours": _largest(ours, top, truth),
                "ours, batches of 100": _largest(small, top, truth),
                "DataSketches": Reading((estimates - truth[top]) / n, None, len(theirs.serialize())),
            },
        )


def _batches(part: Column, rows: int) -> list[Column]:
    return np.array_split(part, -(-part.size // rows))


def _largest(sketch: HeavyHitters, top: Column, truth: Column) -> Reading:
    counts = np.array([sketch.count(str(word)).value for word in top])
    return Reading((counts - truth[top]) / sketch.total, sketch.memory(), len(sketch.to_bytes()))


STUDIES = [
    Study("CountMin", "2719 x 5 counters", "of a word's count, of all words", _count_min, 3 * 10**7, 300),
    Study(
        "HeavyHitters",
        f"{_CAPACITY} counters",
        f"of the {_TOP} largest counts, of all words",
        _heavy_hitters,
        10**7,
        300,
    ),
]
