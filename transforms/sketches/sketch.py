"""What every sketch has: a commutative monoid whose values are sealed bytes."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

from transforms.sketches.sealing import Parameters, Sealed, SealError, seal, unseal


class Sketch(ABC):
    """Something that adds, merges, and answers; the package docstring tells the contract.

    A sketch of yours gives KIND, `add_many`, `merge`, `memory`, `parameters` if it has any, and two hooks, `_payload`
    and `_restore`. `merge` begins with `self._require_alike(other)`. `_restore` must check the payload's length against
    the parameters before it allocates by them: a digest proves that bytes are undamaged, not that they are meant well.
    """

    KIND: ClassVar[str]  # in sealed bytes, for ever
    SUBTRACTS: ClassVar[bool] = False  # whether it is a group, with `subtract(other)`
    __hash__ = None  # type: ignore[assignment]  # a sketch changes

    @property
    def parameters(self) -> Parameters:
        """What makes two sketches alike, nothing unless there is a choice; the hash's identity is under "hash"."""
        return {}

    @abstractmethod
    def add_many(self, values: Any) -> None:
        """Adds a numpy array, an Arrow array or a sequence."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Adds all that other has seen; other stays as it is."""

    @abstractmethod
    def memory(self) -> int:
        """Bytes of content held now, without Python's own overhead."""

    @abstractmethod
    def _payload(self) -> bytes:
        """The content as bytes: equal contents, equal bytes."""

    @classmethod
    @abstractmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        """The sketch that gave these; raises ValueError, KeyError, TypeError or struct.error for any other bytes."""

    def add(self, item: Any) -> None:
        """Adds one item."""
        self.add_many([item])

    @property
    def prepare(self) -> Callable[[Any], Any]:
        """Puts a column in the form whose `take` and `slice` this sketch adds most quickly; equal ones do the same."""
        return _as_it_is

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def copy(self) -> Self:
        """An equal sketch that shares nothing with this one."""
        return self._restore(self.parameters, self._payload())

    def to_bytes(self) -> bytes:
        """The sealed sketch: kind, parameters and content."""
        return seal(self.KIND, self.parameters, self._payload())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote; raises SealError for damaged bytes and for other kinds."""
        return cls.from_sealed(unseal(data))

    @classmethod
    def from_sealed(cls, sealed: Sealed) -> Self:
        """The sketch in an opened seal; raises SealError where it is of another kind or makes no sense."""
        if sealed.kind != cls.KIND:
            raise SealError(f"{cls.__name__} must be sealed as {cls.KIND!r}, got {sealed.kind!r}: use load(data)")
        try:
            return cls._restore(sealed.parameters, sealed.payload)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError, struct.error) as error:
            raise SealError(f"a sealed {cls.KIND} must hold what {cls.__name__} wrote: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)) or not isinstance(self, type(other)):
            return NotImplemented
        return self.parameters == other.parameters and self._payload() == other._payload()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"

    def _require_alike(self, other: object, verb: str = "merge") -> None:
        if type(other) is not type(self):
            raise ValueError(
                f"cannot {verb} {type(self).__name__} with {type(other).__name__}: build both sketches alike"
            )
        if self.parameters != other.parameters:
            raise ValueError(f"cannot {verb} {self!r} with {other!r}: build both sketches alike")


def _as_it_is(values: Any) -> Any:
    return values
