"""KLL levels as Apache DataSketches stores them, and as Spark's kll_sketch functions therefore do.

Format: Apache DataSketches, KLL preamble, serial version 1 (2 for a single value), family 15. Read here rather than by
a library, because no length in a foreign image may be believed before it is checked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FAMILY = 15
_EMPTY, _SORTED, _SINGLE = 1, 2, 4
_LEAST = 8  # values that a level holds: the m of the format
_MOST_LEVELS = 60
_MOST_VALUES = 2**62  # fewer: the 60th level then never overflows into another
_START = struct.Struct("<4BHBx")  # integers of the preamble, version, family, flags, k, m
_REST = struct.Struct("<QHBx")  # values seen, the smallest k that was merged in, levels
_ITEMS = {"doubles": "<f8", "floats": "<f4", "longs": "<i8", "ints": "<i4"}  # an image does not say which it holds


@dataclass(frozen=True, slots=True)
class KllImage:
    """What an image tells; a value in level h stands for 2^h, and levels above the lowest are sorted."""

    k: int  # that the error follows from
    least: float
    greatest: float
    levels: list[NDArray[np.float64]]


def to_datasketches(image: KllImage) -> bytes:
    """Levels as an image of doubles; raises ValueError where they do not fit the format."""
    levels = [*map(np.sort, image.levels)]
    held, count = sum(level.size for level in levels), sum(level.size << height for height, level in enumerate(levels))
    if count <= 1:
        start = _START.pack(2, 1 + count, _FAMILY, _SINGLE if count else _EMPTY, image.k, _LEAST)
        return start + np.concatenate(levels).astype("<f8").tobytes()
    # Their levels hold up to one value less than ours, which round up: an empty level on top makes room.
    while _capacity(image.k, len(levels)) < held and len(levels) <= _MOST_LEVELS:
        levels.append(np.zeros(0))
    if len(levels) > _MOST_LEVELS:
        raise ValueError(
            f"a KLL image of k = {image.k} must hold at most {_capacity(image.k, _MOST_LEVELS)} values in "
            f"{_MOST_LEVELS} levels, got {held} in {len(image.levels)}: merge the sketch into an empty one first"
        )
    sizes = np.array([level.size for level in levels])
    starts = _capacity(image.k, len(levels)) - held + np.append(0, sizes.cumsum()[:-1])
    return b"".join((
        _START.pack(5, 1, _FAMILY, _SORTED, image.k, _LEAST),
        _REST.pack(count, image.k, len(levels)),
        starts.astype("<u4").tobytes(),
        np.concatenate([[image.least, image.greatest], *levels]).astype("<f8").tobytes(),
    ))  # fmt: skip


def from_datasketches(data: bytes, items: str = "doubles") -> KllImage:
    """The levels of an image of doubles, floats, longs or ints; raises ValueError for anything else."""
    if items not in _ITEMS:
        raise ValueError(f"items must be one of {', '.join(_ITEMS)}, got {items!r}: what the sketch was built of")
    if len(data) < _START.size:
        raise ValueError(f"a KLL image must have at least {_START.size} bytes, got {len(data)}: it was cut")
    integers, version, family, flags, k, least_size = _START.unpack_from(data)
    if family != _FAMILY or (integers, version) not in {(2, 1), (2, 2), (5, 1)}:
        raise ValueError(
            f"a KLL image must be of family 15 and version 1 or 2, got {family} and {version} "
            f"with {integers} integers: serialize the sketch in its compact form"
        )
    if k < _LEAST or least_size != _LEAST:
        raise ValueError(f"k of a KLL image must be at least 8 and m just 8, got {k} and {least_size}")
    kind = (integers, version, flags & (_EMPTY | _SINGLE))
    if kind == (2, 1, _EMPTY):
        _values(data, _START.size, 0, items)
        return KllImage(k, np.inf, -np.inf, [np.zeros(0)])
    if kind == (2, 2, _SINGLE):
        value = _values(data, _START.size, 1, items)
        return KllImage(k, float(value[0]), float(value[0]), [value])
    if kind != (5, 1, 0):
        raise ValueError(f"a KLL image must be empty, of one value or of levels, got flags {flags}: it was changed")
    return _with_levels(data, k, items)


def _with_levels(data: bytes, k: int, items: str) -> KllImage:
    at = _START.size + _REST.size
    if len(data) < at:
        raise ValueError(f"a KLL image with levels must have at least {at} bytes, got {len(data)}: it was cut")
    count, least_k, height = _REST.unpack_from(data, _START.size)
    if not (1 <= height <= _MOST_LEVELS and _LEAST <= least_k <= k and 1 <= count < _MOST_VALUES):
        raise ValueError(
            f"a KLL image must have 1 to {_MOST_LEVELS} levels, a smallest k from 8 to {k} and 1 to 2^62 values, "
            f"got {height}, {least_k} and {count}: the image was changed"
        )
    if len(data) < at + 4 * height:
        raise ValueError(f"{height} levels must have {4 * height} bytes of places, got {len(data) - at}: it was cut")
    bounds = np.append(np.frombuffer(data, "<u4", height, at).astype(np.int64), _capacity(k, height))
    sizes = np.diff(bounds)
    weight = sum(int(size) << level for level, size in enumerate(sizes))
    if (sizes < 0).any() or weight != count:
        raise ValueError(f"the values of a KLL image must stand for the {count} it states: the image was changed")
    values = _values(data, at + 4 * height, 2 + int(sizes.sum()), items)
    least, greatest, held = float(values[0]), float(values[1]), values[2:]
    levels = np.split(held, sizes.cumsum()[:-1])
    if not (least <= held.min() and held.max() <= greatest):
        raise ValueError(f"values must lie between their extremes, {least} and {greatest}: the image was changed")
    if any((level[1:] < level[:-1]).any() for level in levels[1:]):
        raise ValueError("levels above the lowest must be sorted: the image was changed")
    return KllImage(least_k, least, greatest, levels)


def _values(data: bytes, at: int, count: int, items: str) -> NDArray[np.float64]:
    kind = np.dtype(_ITEMS[items])
    if len(data) != at + count * kind.itemsize:
        raise ValueError(
            f"a KLL image of {count} {items} must have {at + count * kind.itemsize} bytes, got {len(data)}: "
            "it was cut, or holds other items"
        )
    values = np.frombuffer(data, kind, count, at)
    if np.isnan(values).any():
        raise ValueError("the values of a KLL image must be numbers, got NaN: the image was changed")
    return values.astype(np.float64) + 0.0  # -0.0 is 0.0 here


def _capacity(k: int, height: int) -> int:
    """How many values the levels hold together: k the highest, and 2/3 of it each one below, rounded half up."""
    return sum(max(_LEAST, _fallen(k, depth)) for depth in range(height))


def _fallen(k: int, depth: int) -> int:
    if depth > 30:  # in two steps, each rounded, as theirs
        return _fallen(_fallen(k, depth // 2), depth - depth // 2)
    power: int = 3**depth
    return ((k << depth + 1) // power + 1) // 2
