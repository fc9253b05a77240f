"""HyperLogLog registers as other engines store them: Apache DataSketches' HLL_8 image, and PostgreSQL's hll.

Formats: Apache DataSketches, HLL preamble, serial version 1, family 7; Aggregate Knowledge, HLL storage specification
1.0.0. Read here rather than by a library, because no length in a foreign image may be believed before it is checked.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

Registers = NDArray[np.uint8]

_LIST, _SET, _HLL = 0, 1, 2
_HLL_8 = 2
_EMPTY, _COMPACT, _OUT_OF_ORDER = 4, 8, 16
_START = struct.Struct("<8B")  # integers of the preamble, version, family, precision, size, flags, count, mode
_HEADER = struct.Struct("<8BdddII")  # then the HIP estimate, two sums of 2^-register, zeros, and exceptions
_ADDRESS = 26  # bits of a coupon; the others are the register's value


def to_datasketches(registers: Registers) -> bytes:
    """Registers as an HLL_8 image, marked out of order: its estimate is to come from the registers alone."""
    precision = registers.size.bit_length() - 1
    if not registers.any():
        return _START.pack(2, 1, 7, precision, 3, _EMPTY | _COMPACT, 0, _LIST | _HLL_8 << 2)
    counts = np.bincount(registers, minlength=64)
    powers = counts * 2.0 ** -np.arange(counts.size)
    sums = float(powers[:32].sum()), float(powers[32:].sum())
    flags = _COMPACT | _OUT_OF_ORDER
    start = (10, 1, 7, precision, 0, flags, 0, _HLL | _HLL_8 << 2)
    return _HEADER.pack(*start, 0.0, *sums, int(counts[0]), 0) + registers.tobytes()


def from_datasketches(data: bytes) -> Registers:
    """The registers of an image in any state of growth; raises ValueError for all else, and for HLL_4 and HLL_6."""
    if len(data) < _START.size:
        raise ValueError(f"an HLL image must have at least 8 bytes, got {len(data)}: it was cut")
    integers, version, family, precision, _, _, minimum, modes = _START.unpack_from(data)
    if (version, family) != (1, 7):
        raise ValueError(f"an HLL image must be of version 1 and family 7, got {version} and {family}")
    if not 4 <= precision <= 21:
        raise ValueError(f"lg_k of an HLL image must be from 4 to 21, got {precision}: the image was changed")
    mode, kind = modes & 3, modes >> 2 & 3
    if mode in {_LIST, _SET} and integers == 2 + mode:
        return _from_coupons(_coupons(data, mode), precision)
    if mode != _HLL or integers != 10:
        raise ValueError(f"an HLL image must be a list, a set or registers, got {integers} integers in mode {mode}")
    if kind != _HLL_8:
        raise ValueError("registers must be stored as HLL_8, got HLL_4 or HLL_6: convert the sketch to HLL_8 first")
    if len(data) != _HEADER.size + 2**precision:
        raise ValueError(f"an HLL_8 image must have {_HEADER.size + 2**precision} bytes, got {len(data)}: it was cut")
    registers = np.frombuffer(data, np.uint8, offset=_HEADER.size).copy()
    if registers.max() > 63 or registers.min() < minimum:  # Java tells the least register, C++ says 0
        raise ValueError(
            f"registers must be from the {minimum} stated to 63, got {registers.min()} to {registers.max()}: "
            "the image was changed"
        )
    return registers


def to_postgres(registers: Registers, regwidth: int) -> bytes:
    """Registers as hll stores a FULL multiset, `regwidth` bits each; larger values stand as the largest that fits."""
    precision = registers.size.bit_length() - 1
    full, thresholds = 0x14, 0x7F  # version 1, type 4; sparse allowed, explicit as hll chooses
    bits = np.unpackbits(np.minimum(registers, 2**regwidth - 1)[:, np.newaxis], axis=1)[:, 8 - regwidth :]
    return bytes((full, (regwidth - 1) << 5 | precision, thresholds)) + np.packbits(bits).tobytes()


def _coupons(data: bytes, mode: int) -> NDArray[np.uint32]:
    at = 8 if mode == _LIST else 12
    if len(data) < at:
        raise ValueError(f"a set image must have at least {at} bytes, got {len(data)}: it was cut")
    count = data[6] if mode == _LIST else int.from_bytes(data[8:12], "little")
    size, compact = data[4], data[5] & _COMPACT
    if size > _ADDRESS:
        raise ValueError(f"a set image must have at most 2^{_ADDRESS} places, got 2^{size}: the image was changed")
    places = count if compact else 2**size
    if len(data) != at + 4 * places:
        raise ValueError(f"{places} coupons must have {at + 4 * places} bytes, got {len(data)}: the image was cut")
    coupons = np.frombuffer(data, "<u4", places, at).astype(np.uint32)
    filled: NDArray[np.uint32] = coupons[coupons != 0]
    if filled.size != count:
        raise ValueError(f"an HLL image must have the {count} coupons it states, got {filled.size}: it was changed")
    return filled


def _from_coupons(coupons: NDArray[np.uint32], precision: int) -> Registers:
    registers = np.zeros(2**precision, np.uint8)
    places = coupons & np.uint32(2**precision - 1)
    np.maximum.at(registers, places, (coupons >> np.uint32(_ADDRESS)).astype(np.uint8))
    return registers
