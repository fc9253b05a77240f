"""A column that is hashed already, so that the sketches of its parts need not hash it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Hashed:
    """The hashes of a column under one Hasher; `hash_many` of that Hasher, and of no other, takes it for the column."""

    hashes: NDArray[np.uint64]
    identity: str

    def __len__(self) -> int:
        return len(self.hashes)

    def take(self, rows: Any) -> Hashed:
        """These rows, in this order, as an Arrow array's `take`."""
        return Hashed(self.hashes[np.asarray(rows)], self.identity)

    def slice(self, start: int, length: int) -> Hashed:
        """So many rows from a start, as an Arrow array's `slice`; nothing is copied."""
        return Hashed(self.hashes[start : start + length], self.identity)
