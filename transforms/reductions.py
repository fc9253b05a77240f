"""Whatever reduces values, as totals that merge: a function and its inverse, a sketch, or any CombineFn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.coders import Coder

from transforms.combining import SketchCoder, SketchCombineFn
from transforms.two_stacks import Merging


class Reduction(Merging[Any], ABC):
    """How values become totals, totals merge, and a total answers.

    `add`, like `merge`, may change its first argument. What `start` and `add` give is settled before it is merged.
    """

    @abstractmethod
    def start(self, value: Any) -> Any:
        """A total of one value."""

    @abstractmethod
    def add(self, total: Any, value: Any) -> Any:
        """One more value."""

    def settle(self, total: Any) -> Any:
        """The total once all values were added."""
        return total

    @abstractmethod
    def answer(self, total: Any) -> Any:
        """What comes out; shares nothing with the total."""

    @abstractmethod
    def coder(self, value_type: Any) -> Coder:
        """How totals are stored."""


def reduction_of(reduce: Callable[..., Any] | beam.CombineFn, inverse: Callable[..., Any] | None) -> Reduction:
    """The Reduction that a user means; raises ValueError for an inverse that is not needed, and for what is none."""
    if isinstance(reduce, beam.CombineFn):
        if inverse is not None:
            raise ValueError(
                f"an inverse belongs to a function of two values, got one with {type(reduce).__name__}: leave it out; "
                "sketches that subtract do so"
            )
        return OfSketches(reduce) if isinstance(reduce, SketchCombineFn) else OfCombineFn(reduce)
    if not callable(reduce):
        raise ValueError(f"reduce must be a function of two values, or a CombineFn, got {reduce!r}")
    if not callable(inverse or reduce):
        raise ValueError(f"inverse must be a function of two values, got {inverse!r}")
    return OfFunctions(reduce, inverse)


class OfFunctions(Reduction):
    """Values that are totals themselves."""

    def __init__(self, reduce: Callable[..., Any], inverse: Callable[..., Any] | None) -> None:
        self._reduce = reduce
        self._inverse = inverse
        self.subtracts = inverse is not None

    def start(self, value: Any) -> Any:
        return value

    def add(self, total: Any, value: Any) -> Any:
        return self._reduce(total, value)

    def merge(self, total: Any, other: Any) -> Any:
        return self._reduce(total, other)

    def subtract(self, total: Any, other: Any) -> Any:
        assert self._inverse  # noqa: S101  asked for only if it subtracts
        return self._inverse(total, other)

    def copy(self, total: Any) -> Any:
        return total  # the functions leave their arguments as they are

    def answer(self, total: Any) -> Any:
        return total

    def coder(self, value_type: Any) -> Coder:
        return beam.coders.registry.get_coder(value_type)


class OfCombineFn(Reduction):
    """The accumulators of any CombineFn."""

    def __init__(self, combine_fn: beam.CombineFn) -> None:
        self._fn = combine_fn
        self._coder = combine_fn.get_accumulator_coder()

    def start(self, value: Any) -> Any:
        return self._fn.add_input(self._fn.create_accumulator(), value)

    def add(self, total: Any, value: Any) -> Any:
        return self._fn.add_input(total, value)

    def settle(self, total: Any) -> Any:
        return self._fn.compact(total)

    def merge(self, total: Any, other: Any) -> Any:
        return self._fn.merge_accumulators([total, other])

    def copy(self, total: Any) -> Any:
        return self._coder.decode(self._coder.encode(total))

    def answer(self, total: Any) -> Any:
        return self._fn.extract_output(self.copy(total))

    def coder(self, value_type: Any) -> Coder:
        del value_type
        return self._coder


class OfSketches(OfCombineFn):
    """Sketches, which are merged and subtracted in place."""

    def __init__(self, combine_fn: SketchCombineFn[Any, Any]) -> None:
        super().__init__(combine_fn)
        self._coder = SketchCoder()
        self.subtracts = combine_fn.make().SUBTRACTS

    def settle(self, total: Any) -> Any:
        return total.settle()

    def merge(self, total: Any, other: Any) -> Any:
        total.merge(other)
        return total

    def subtract(self, total: Any, other: Any) -> Any:
        total.subtract(other)
        return total

    def copy(self, total: Any) -> Any:
        return total.copy()

    def answer(self, total: Any) -> Any:
        return self._fn.answer_of(total if self._fn.answer else total.copy())
