"""Narrow numbers: as many bytes as the largest needs, and no others are read."""

from __future__ import annotations

import numpy as np
import pytest

from transforms.sketches.narrow import pack_narrow, unpack_narrow


@pytest.mark.parametrize(
    ("largest", "width"), [(0, 1), (255, 1), (256, 2), (2**16, 4), (2**32 - 1, 4), (2**32, 8), (2**63 - 1, 8)]
)
def test_numbers_are_as_wide_as_the_largest(largest: int, width: int) -> None:
    numbers = np.array([0, largest, 1])
    packed = pack_narrow(numbers)
    assert len(packed) == 1 + 3 * width
    assert unpack_narrow(packed, 3).tolist() == [0, largest, 1]


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 0),
        (b"\x03abc", 1),
        (b"\x00", 5),
        (b"\x01ab", 1),
        (b"\x01ab", 2**60),
        (b"\x01a", -1),
        (b"\x08" + b"\xff" * 8, 1),
    ],
)
def test_other_bytes_are_refused(data: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="these bytes were changed"):
        unpack_narrow(data, size)
