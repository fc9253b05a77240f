"""A column of distinct counts: small sets end to end in one array, large ones as rows of registers."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.answers import estimate_array
from transforms.sketches.derived import Hashes
from transforms.sketches.hyperloglog import _LARGEST, _LOW, HyperLogLog, raise_registers
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.sketch_column import Groups, SketchColumn
from transforms.sketches.sorting import sorted_pairs


class HyperLogLogColumn(SketchColumn):
    """Distinct counts of many groups: 8 bytes a different item of a small one, 2^precision of a large one."""

    KIND: ClassVar[str] = "hyperloglog_column"
    empty: HyperLogLog

    def __init__(
        self, empty: Any, sizes: NDArray[np.int64], hashes: Hashes, dense: Groups, registers: NDArray[np.uint8]
    ) -> None:
        super().__init__(empty, sizes.size)
        self._sizes = sizes  # hashes of each small set, 0 for a large one
        self._ends = sizes.cumsum()
        self._hashes = hashes  # sorted within each, each once
        self._dense = dense  # the places of large sets, in order
        self._registers = registers  # a row for each of them

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        hashes = empty._hasher.hash_many(values)
        return cls._settled(empty, size, groups, hashes, np.empty(0, np.intp), np.empty((0, empty._size), np.uint8))

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        groups = np.concatenate([np.repeat(places, column._sizes) for column, places in parts])
        hashes = np.concatenate([column._hashes for column, _ in parts])
        dense = np.unique(np.concatenate([places[column._dense] for column, places in parts]))
        registers = np.zeros((dense.size, empty._size), np.uint8)
        for column, places in parts:
            rows = np.searchsorted(dense, places[column._dense])
            registers[rows] = np.maximum(registers[rows], column._registers)
        return cls._settled(empty, size, groups, hashes, dense, registers)

    @classmethod
    def _settled(
        cls, empty: Any, size: int, groups: Groups, hashes: Hashes, dense: Groups, registers: NDArray[np.uint8]
    ) -> Self:
        """The column of hashes in any order, any number of times, and of registers, to which hashes may belong."""
        most = empty._size // 8  # different hashes of a small set, as in the sketch
        large = np.bincount(groups, minlength=size) > most
        large[dense] = True
        if large.any():
            places = np.flatnonzero(large)
            row = np.full(size, -1)
            row[places] = np.arange(places.size)
            raised = np.zeros((places.size, empty._size), np.uint8)
            raised[row[dense]] = registers
            into = large[groups]
            _raise_rows(raised, row[groups[into]], hashes[into])
            # More registers than a small set has hashes prove a large one; where there are fewer, hashes may repeat.
            surely = np.count_nonzero(raised, axis=1) > most
            surely[row[dense]] = True
            dense, registers = places[surely], raised[surely]
            large[places[~surely]] = False
            small = ~large[groups]
            groups, hashes = groups[small], hashes[small]
        groups, hashes = sorted_pairs(groups, hashes, size)
        sizes = np.bincount(groups, minlength=size)
        if (sizes > most).any():  # different hashes that share registers
            beyond = np.flatnonzero(sizes > most)
            order = np.argsort(np.concatenate([dense, beyond]))
            registers = np.concatenate([registers, np.zeros((beyond.size, empty._size), np.uint8)])[order]
            return cls._settled(empty, size, groups, hashes, np.concatenate([dense, beyond])[order], registers)
        return cls(empty, sizes, hashes, dense, registers)

    def estimate(self, confidence: float = 0.95) -> pa.StructArray:
        """How many different items each has, as HyperLogLog.estimate."""
        sizes = self._sizes.astype(np.float64)
        parts = [sizes, sizes.copy(), sizes.copy(), np.ones(len(self))]
        for place in self._dense.tolist():
            answer = self.sketch(place).estimate(confidence)
            for part, name in zip(parts, ("value", "low", "high", "confidence"), strict=True):
                part[place] = getattr(answer, name)
        return estimate_array(*parts)

    def sketch(self, place: int) -> HyperLogLog:
        sketch = self.empty.copy()
        row = int(np.searchsorted(self._dense, place))
        if row < self._dense.size and self._dense[row] == place:
            sketch._registers = self._registers[row].copy()
        else:
            end = int(self._ends[place])
            sketch._hashes = self._hashes[end - int(self._sizes[place]) : end].copy()
        return sketch

    def memory(self) -> int:
        return self._sizes.nbytes + self._hashes.nbytes + self._dense.nbytes + self._registers.nbytes

    def _pieces(self) -> list[bytes]:
        sizes = self._sizes.copy()
        sizes[self._dense] = self.empty._size // 8 + 1  # which no small set has
        return [pack_narrow(sizes), self._hashes.astype("<u8").tobytes(), self._registers.tobytes()]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        packed, hashed, registered = pieces
        most, sizes = empty._size // 8, unpack_narrow(packed, size)
        if size and sizes.max() > most + 1:
            raise ValueError(f"a small set must have at most {most} hashes, got {sizes.max()}")
        dense = np.flatnonzero(sizes == most + 1)
        sizes[dense] = 0
        if len(hashed) != 8 * int(sizes.sum()) or len(registered) != dense.size * empty._size:
            raise ValueError(f"{sizes.sum()} hashes and {dense.size} rows of registers must not be cut or extended")
        hashes = np.frombuffer(hashed, "<u8").astype(np.uint64)
        registers = np.frombuffer(registered, np.uint8).reshape(dense.size, empty._size)
        if registers.max(initial=0) > _LARGEST:
            raise ValueError(f"registers must be at most {_LARGEST}, got {registers.max()}")
        groups = np.repeat(np.arange(size), sizes)
        if ((groups[1:] == groups[:-1]) & (hashes[1:] <= hashes[:-1])).any():
            raise ValueError("hashes of a set must be sorted, each once")
        return cls(empty, sizes, hashes, dense, registers)


def _raise_rows(registers: NDArray[np.uint8], rows: Groups, hashes: Hashes) -> None:
    """Raises registers of many sketches as of one: the low bits, of which few choose a register, choose the row too."""
    size = registers.shape[1]
    together = (1 << _LOW) // size  # rows that the low bits can choose
    for begin in range(0, len(registers), together):
        block = registers[begin : begin + together]
        here = slice(None) if len(registers) <= together else (rows >= begin) & (rows < begin + together)
        low = (rows[here] - begin).astype(np.uint64) * np.uint64(size) | hashes[here] & np.uint64(size - 1)
        padded = np.zeros(1 << (block.size - 1).bit_length(), np.uint8)
        padded[: block.size] = block.ravel()
        raise_registers(padded, hashes[here] >> np.uint64(_LOW) << np.uint64(_LOW) | low)
        block[:] = padded[: block.size].reshape(block.shape)
