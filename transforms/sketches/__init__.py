"""Sketches: answers about unbounded data in fixed memory, which add up in any order.

Every sketch is a commutative monoid. The empty sketch is its zero, `merge` is associative and commutative, and merging
the sketches of shards answers as one pass over all the data does: with equal bytes where the sketch is bit-stable,
within the stated bound otherwise. All of them have

- `add(item)`, `add_many(values)`: a numpy array, an Arrow array or a sequence. Missing values are refused with
  ValueError: drop them first, and count them if they matter;
- `merge(other)`: in place, never changes `other`; ValueError names both sides where class or parameters differ;
- `subtract(other)` where `SUBTRACTS` is true. The answers hold only if what is subtracted had been added;
- `parameters`: what makes two sketches alike, the identity of the hash included;
- `copy()`, `to_bytes()`, `from_bytes(data)`, `==` by content, and `memory()` in bytes. Bytes are sealed, versioned,
  and load for ever; `load(data)` opens any kind;
- questions with names. Approximate ones return an `Estimate(value, low, high, confidence)`, exact ones plain values.

Many sketches that are alike, one a key, are a `SketchColumn`: `sketch_column(empty, values, groups, size)` makes it,
`unite` merges columns, `load_column` opens one.

A constructor takes the parameters that the paper names; `for_error(error, confidence)` chooses them.

>>> users = HyperLogLog.for_error(0.02)
>>> users.add_many(["ana", "bo", "ana"])
>>> load(users.to_bytes()).estimate().value
2.0
"""

from __future__ import annotations

from transforms.sketches.bloom import Bloom
from transforms.sketches.column_kinds import load_column, sketch_column
from transforms.sketches.combinators import MapOf, Maybe, Product
from transforms.sketches.count import Count
from transforms.sketches.count_min import CountMin
from transforms.sketches.decayed import Decayed
from transforms.sketches.dyadic_quantiles import DyadicQuantiles
from transforms.sketches.estimate import Estimate
from transforms.sketches.hashing import DEFAULT, DataSketchesHasher, Hasher
from transforms.sketches.heavy_hitters import HeavyHitters
from transforms.sketches.hyperloglog import HyperLogLog
from transforms.sketches.kinds import load
from transforms.sketches.kll import Kll
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.minhash import MinHash
from transforms.sketches.moments import Moments
from transforms.sketches.question import Question
from transforms.sketches.sealing import SealError
from transforms.sketches.sketch import Sketch
from transforms.sketches.sketch_column import SketchColumn, unite
from transforms.sketches.skip_list import SkipList
from transforms.sketches.total import Total

__all__ = [
    "DEFAULT",
    "Bloom",
    "Count",
    "CountMin",
    "DataSketchesHasher",
    "Decayed",
    "DyadicQuantiles",
    "Estimate",
    "Hasher",
    "HeavyHitters",
    "HyperLogLog",
    "Kll",
    "LogHistogram",
    "MapOf",
    "Maybe",
    "MinHash",
    "Moments",
    "Product",
    "Question",
    "SealError",
    "Sketch",
    "SketchColumn",
    "SkipList",
    "Total",
    "load",
    "load_column",
    "sketch_column",
    "unite",
]
