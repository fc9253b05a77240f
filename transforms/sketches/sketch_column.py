"""Many sketches of one kind side by side, at the speed and the size of one."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.answers import answer_array
from transforms.sketches.pieces import join_pieces, split_pieces
from transforms.sketches.question import Question
from transforms.sketches.sealing import Sealed, SealError, seal
from transforms.sketches.sketch import Sketch

Groups = NDArray[np.intp]


class SketchColumn(ABC):
    """Sketches that are alike, numbered from 0: what they hold lies in a few arrays, and is handled all at once.

    They are the sketches that `add_many` makes of the values of each group, and merges of these: with equal bytes
    where the kind is bit-stable, within its bound otherwise. A column never changes.
    """

    KIND: ClassVar[str]  # in sealed bytes, for ever

    def __init__(self, empty: Sketch, size: int) -> None:
        self.empty = empty  # a sketch of those parameters to which nothing was added
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return map(self.sketch, range(self._size))

    @classmethod
    @abstractmethod
    def of(cls, empty: Sketch, values: Any, groups: Groups, size: int) -> Self:
        """A sketch of the values of each group from 0 to `size` - 1."""

    @classmethod
    @abstractmethod
    def _united(cls, empty: Sketch, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        """See `unite`."""

    @abstractmethod
    def sketch(self, place: int) -> Any:
        """The sketch at a place, which shares nothing with the column."""

    @abstractmethod
    def memory(self) -> int:
        """Bytes of content held now, without Python's own overhead."""

    @abstractmethod
    def _pieces(self) -> list[bytes]:
        """The content as byte strings: equal contents, equal bytes."""

    @classmethod
    @abstractmethod
    def _restore(cls, empty: Sketch, size: int, pieces: list[bytes]) -> Self:
        """The column that gave these; raises ValueError, KeyError, TypeError or struct.error for any others.

        Must check the lengths of the pieces against the size before it allocates by that.
        """

    def answers(self, question: Any) -> pa.Array:
        """What each sketch answers, as an Arrow array.

        A question is a function of a sketch; a Question that the column knows is asked once for all. An Estimate is a
        struct of value, low, high and confidence; quantiles are a list of such with their `q`, frequent items one with
        the `item`; a sketch is its sealed bytes.
        """
        if isinstance(question, Question) and hasattr(self, question.name):
            return question(self)
        return answer_array([question(sketch) for sketch in self])

    def to_bytes(self) -> bytes:
        """All sketches in one seal, their parameters once."""
        return seal(self.KIND, {"size": self._size}, join_pieces([self.empty.to_bytes(), *self._pieces()]))

    @classmethod
    def from_sealed(cls, sealed: Sealed, empty: Sketch, pieces: list[bytes]) -> Self:
        """The column in an opened seal; raises SealError where it makes no sense."""
        try:
            return cls._restore(empty, int(sealed.parameters["size"]), pieces)
        except (ValueError, KeyError, TypeError, OverflowError, IndexError, struct.error) as error:
            raise SealError(f"a sealed {cls.KIND} must hold what {cls.__name__} wrote: {error}") from error


def open_column(sealed: Sealed) -> list[bytes]:
    """The pieces of a sealed column, the empty sketch first; raises SealError where there are none."""
    try:
        pieces = split_pieces(sealed.payload)
    except (ValueError, OverflowError, struct.error) as error:
        raise SealError(f"a sealed column must be made of whole pieces: {error}") from error
    if not pieces:
        raise SealError("a sealed column must begin with an empty sketch, got nothing")
    return pieces


def unite(parts: Sequence[tuple[SketchColumn, Any]], size: int) -> Any:
    """One column of `size` from several: sketch i of a part is merged into the sketch at its i-th place.

    The places of a part must differ. Raises ValueError where the sketches are unlike, or places are not below size.
    """
    if not parts:
        raise ValueError("columns must be united from one at least, got none: make an empty one of the sketch")
    placed = [(column, np.asarray(places, np.intp)) for column, places in parts]
    first = parts[0][0]
    for column, places in placed:
        first.empty._require_alike(column.empty)  # noqa: SLF001 - sketches side by side are sketches
        if type(column) is not type(first):
            raise ValueError(f"cannot unite {type(first).__name__} with {type(column).__name__}: build both alike")
        if places.shape != (len(column),) or places.min(initial=0) < 0 or places.max(initial=-1) >= size:
            raise ValueError(f"{len(column)} sketches must each have a place from 0 to below {size}")
        if np.bincount(places, minlength=1).max() > 1:
            raise ValueError("the sketches of a column must go to different places: unite two columns instead")
    return first._united(first.empty, placed, size)  # noqa: SLF001 - this is what it is for
