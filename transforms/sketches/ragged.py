"""Strings of any length, read as columns of 64-bit words: how a vector loop walks many short messages at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_PADDING = 24  # bytes: a word, and a pair of words, may be read from any start up to the end of the last message


@dataclass(frozen=True, slots=True)
class Ragged:
    """Messages in one buffer: message i is `length[i]` bytes from `start[i]` on."""

    words: NDArray[np.uint64]  # the word that begins at each byte: overlapping, unaligned, little-endian
    start: NDArray[np.int64]
    length: NDArray[np.int64]

    @classmethod
    def of(cls, data: bytes | memoryview, offsets: NDArray[np.int64]) -> Self:
        """Messages that lie end to end: message i is data[offsets[i]:offsets[i + 1]].

        Raises ValueError where offsets fall, or lead beyond the data: compiled code would read there.
        """
        first, last, length = int(offsets[0]), int(offsets[-1]), offsets[1:] - offsets[:-1]
        if first < 0 or last > len(data) or (length < 0).any():
            raise ValueError(f"offsets must rise from 0 to at most {len(data)}: this column's bytes were damaged")
        padded = np.empty(last - first + _PADDING, np.uint8)
        padded[: last - first] = np.frombuffer(data, np.uint8, last - first, first) if last > first else 0
        padded[last - first :] = 0
        words = np.ndarray((padded.size - 7,), "<u8", padded, strides=(1,))
        return cls(words, offsets[:-1] - first, length)

    def __iter__(self) -> Iterator[bytes]:
        for start, length in zip(self.start.tolist(), self.length.tolist(), strict=True):
            yield self.words[start : start + length : 8].tobytes()[:length]

    def where(self, rows: NDArray[np.bool_]) -> Ragged:
        """The messages of these rows."""
        return Ragged(self.words, self.start[rows], self.length[rows])

    def blocks(self, size: int) -> Iterator[tuple[NDArray[np.intp], Ragged]]:
        """Blocks of messages, the longest first, with their places: a block stays in the cache."""
        longest = int(self.length.max(initial=0))
        shortness = (longest - self.length).astype(np.uint16 if longest < 2**16 else np.int64)  # 16 bits sort by radix
        order = np.argsort(shortness, kind="stable")
        for begin in range(0, order.size, size):
            places = order[begin : begin + size]
            yield places, Ragged(self.words, self.start[places], self.length[places])

    def word(self, at: int, count: int) -> NDArray[np.uint64]:
        """The words at byte `at` of the first `count` messages; what lies beyond a message's end is not its own."""
        return self.words[self.start[:count] + at]


def keep_low_bytes(words: NDArray[np.uint64], count: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The lowest `count` bytes of each word, none below 0 and all from 8 on."""
    bits = (np.clip(count, 0, 8) * 8).astype(np.uint64)
    mask = np.left_shift(np.uint64(1), bits) - np.uint64(1)  # numpy shifts by 64 to 0, so that 8 bytes are all ones
    return words & mask
