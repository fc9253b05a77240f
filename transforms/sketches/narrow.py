"""Whole numbers as few bytes: each as wide as the largest needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTHS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}


def pack_narrow(numbers: NDArray[Any]) -> bytes:
    """Numbers from 0 to 2^63 - 1 as bytes, the width of one first; equal arrays as equal bytes.

    >>> len(pack_narrow(np.arange(100))), unpack_narrow(pack_narrow(np.array([1, 300])), 2)
    (101, array([  1, 300]))
    """
    largest = int(numbers.max(initial=0))
    width = next(width for width in _WIDTHS if largest < 256**width)
    return bytes([width]) + numbers.astype(_WIDTHS[width]).tobytes()


def unpack_narrow(data: bytes, size: int) -> NDArray[np.int64]:
    """The `size` numbers that `pack_narrow` wrote; raises ValueError for any others, and allocates nothing then."""
    width = data[0] if data else 0
    if width not in _WIDTHS or len(data) != 1 + size * width:
        raise ValueError(f"{size} numbers must not take {len(data)} bytes, at {width} each: these bytes were changed")
    numbers = np.frombuffer(data, _WIDTHS[width], size, 1)
    if width == 8 and size and numbers.max() >= 2**63:
        raise ValueError("numbers must be below 2^63: these bytes were changed")
    return numbers.astype(np.int64)
