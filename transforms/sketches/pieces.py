"""Byte strings end to end, and found again."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from transforms.sketches.counts import pack_counts, unpack_counts

_HEADER = struct.Struct("<QQ")  # how many, bytes of their lengths


def join_pieces(pieces: Sequence[bytes]) -> bytes:
    """Pieces as one byte string, with 1 to 8 bytes for the length of each; most must not be empty.

    >>> split_pieces(join_pieces([b"to", b"", b"be"]))
    [b'to', b'', b'be']
    """
    lengths = pack_counts(np.array([len(piece) for piece in pieces], np.int64))
    return b"".join((_HEADER.pack(len(pieces), len(lengths)), lengths, *pieces))


def split_pieces(data: bytes) -> list[bytes]:
    """The pieces that were joined; raises ValueError or struct.error for any other bytes."""
    count, size = _HEADER.unpack_from(data)
    start = _HEADER.size + size
    if max(count, start) > len(data):
        raise ValueError(f"{count} pieces with {size} bytes of lengths must not take {len(data)} bytes")
    ends = list(accumulate(unpack_counts(data[_HEADER.size : start], count).tolist(), initial=start))
    if ends[-1] != len(data):
        raise ValueError(f"{count} pieces must end at byte {len(data)}, got {ends[-1]}")
    return [data[begin:end] for begin, end in pairwise(ends)]
