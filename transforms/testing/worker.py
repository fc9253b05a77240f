"""What Beam's workers do with a CombineFn, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam

Items: TypeAlias = list[Any]
Parts: TypeAlias = list[Items]


@dataclass(frozen=True, slots=True)
class Worker:
    """A CombineFn at work, between its setup and its teardown."""

    fn: beam.CombineFn

    def new(self, items: Items) -> Any:
        """A new accumulator of the inputs, added one after another."""
        return self.add(self.fn.create_accumulator(), items)

    def add(self, accumulator: Any, items: Items) -> Any:
        for item in items:
            accumulator = self.fn.add_input(accumulator, item)
        return accumulator

    def each(self, parts: Parts) -> list[Any]:
        return [self.new(part) for part in parts]

    def merge(self, *accumulators: Any) -> Any:
        return self.fn.merge_accumulators(list(accumulators))

    def ask(self, accumulator: Any) -> Any:
        return self.fn.extract_output(accumulator)

    def one_pass(self, items: Items) -> Any:
        return self.ask(self.new(items))

    def merged(self, parts: Parts) -> Any:
        return self.ask(self.merge(*self.each(parts)))

    @property
    def coder(self) -> beam.coders.Coder:
        """The accumulators' own coder, or the one that Beam takes where there is none."""
        own = getattr(self.fn, "get_accumulator_coder", None)
        return (own() if own else None) or beam.coders.registry.get_coder(object)

    def travel(self, accumulator: Any) -> Any:
        return self.coder.decode(self.coder.encode(accumulator))


def named(combine_fn: Any) -> tuple[beam.CombineFn, str]:
    """The CombineFn that Beam makes of one, or of a function; and its name."""
    fn = beam.CombineFn.maybe_from_callable(combine_fn, has_side_inputs=False)
    return fn, type(fn).__name__ if fn is combine_fn else getattr(combine_fn, "__name__", str(combine_fn))


@contextmanager
def at_work(fn: beam.CombineFn) -> Iterator[Worker]:
    """Sets the CombineFn up, and tears it down in the end."""
    fn.setup()
    try:
        yield Worker(fn)
    finally:
        fn.teardown()


class Streamed:
    """Only iterable, and more than once: as Beam hands over what may not fit into memory."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = list(values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)


def together(parts: Parts) -> Items:
    """All inputs in order."""
    return [item for part in parts for item in part]
