"""An array of counts as few bytes: only those that are not zero where that is shorter, each as wide as the largest."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<IIBB")  # counts, how many are stored, bytes of one, bytes of a gap (0: all are stored)
_WIDTHS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}


def pack_counts(counts: NDArray[np.int64]) -> bytes:
    """Counts as bytes, equal arrays as equal bytes.

    >>> len(pack_counts(np.array([0, 0, 7] + [0] * 997))), len(pack_counts(np.arange(1000)))
    (12, 2010)
    """
    (places,) = counts.nonzero()
    gaps = np.diff(places, prepend=-1) - 1
    used = counts[places]
    count_width, gap_width = _width(used), _width(gaps)
    if places.size * (count_width + gap_width) < counts.size * count_width:
        header = _HEADER.pack(counts.size, places.size, count_width, gap_width)
        return header + used.astype(_WIDTHS[count_width]).tobytes() + gaps.astype(_WIDTHS[gap_width]).tobytes()
    return _HEADER.pack(counts.size, counts.size, count_width, 0) + counts.astype(_WIDTHS[count_width]).tobytes()


def unpack_counts(data: bytes, size: int) -> NDArray[np.int64]:
    """The `size` counts that `pack_counts` wrote; raises ValueError or struct.error for any other bytes."""
    written, stored, count_width, gap_width = _HEADER.unpack_from(data)
    if written != size:
        raise ValueError(f"there must be {size} counts, got {written}")
    if count_width not in _WIDTHS or gap_width not in {0, *_WIDTHS} or (not gap_width and stored != size):
        raise ValueError(f"{size} counts cannot be {stored} of {count_width} bytes with gaps of {gap_width}")
    if len(data) != _HEADER.size + stored * (count_width + gap_width):
        raise ValueError(f"{stored} counts must take {stored * (count_width + gap_width)} bytes, got {len(data)}")
    used = np.frombuffer(data, _WIDTHS[count_width], stored, _HEADER.size)
    if used.size and used.max() >= 2**63:
        raise ValueError("counts must be below 2^63: these bytes were changed")
    if not gap_width:
        return used.astype(np.int64)
    gaps = np.frombuffer(data, _WIDTHS[gap_width], stored, _HEADER.size + stored * count_width)
    if gaps.size and (gaps.max() >= size or stored + int(gaps.sum(dtype=np.uint64)) > size):
        raise ValueError(f"{size} counts must lie within their array: these bytes were changed")
    counts = np.zeros(size, np.int64)
    counts[np.cumsum(gaps.astype(np.int64) + 1) - 1] = used
    return counts


def _width(numbers: NDArray[Any]) -> int:
    largest = int(numbers.max(initial=0))
    return next(width for width in _WIDTHS if largest < 256**width)
