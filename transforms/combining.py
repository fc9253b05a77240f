"""The only bridge from a sketch to Beam: a CombineFn with its own coder, and partial sketches for each bundle.

Runners that stream do not combine before they shuffle: `CombinePerKey` would keep every element in state until its
window fires. So elements are gathered into one sketch for each key and window of a bundle first, and only sketches are
shuffled and stored. The answer is the same, by the laws of sketches; state is as large as the sketches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.schemas import register
from transforms.sketches import Estimate, Sketch, load
from transforms.windowing import counts_records

S = TypeVar("S", bound=Sketch)
A = TypeVar("A")
P = ParamSpec("P")
Output: TypeAlias = Literal["answer", "sketch"]

_BUFFER = 1000  # items that wait for one vectorised addition
_SLOTS = 10_000  # sketches of a bundle that are held before they are handed on

register(Estimate)


class SketchCoder(beam.coders.Coder):
    """Any sketch between workers and in saved state: its sealed bytes, never a pickle."""

    def encode(self, value: Sketch) -> bytes:
        return value.to_bytes()

    def decode(self, encoded: bytes) -> Any:
        return load(encoded)

    def is_deterministic(self) -> bool:
        return True

    @classmethod
    def from_type_hint(cls, typehint: Any, registry: object) -> SketchCoder:
        del typehint, registry
        return cls()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)  # Beam keeps one of equal coders

    def __hash__(self) -> int:
        return hash(type(self))


beam.coders.registry.register_coder(Sketch, SketchCoder)


@dataclass(slots=True)
class Gathering(Generic[S]):
    """A sketch, and items that wait to be added to it together: a vector costs little more than one item."""

    sketch: S
    waiting: list[Any]

    def add(self, item: Any) -> None:
        self.waiting.append(item)
        if len(self.waiting) >= _BUFFER:
            self.settle()

    def settle(self) -> S:
        """The sketch with nothing waiting."""
        if self.waiting:
            self.sketch.add_many(self.waiting)
            self.waiting = []
        return self.sketch


class _GatheringCoder(SketchCoder):
    def encode(self, value: Any) -> bytes:
        return super().encode(value.settle())

    def decode(self, encoded: bytes) -> Any:
        return Gathering(super().decode(encoded), [])


class SketchCombineFn(beam.CombineFn, Generic[S, A]):
    """Items to a sketch, and the sketch to an answer, for CombinePerKey, CombineGlobally and TupleCombineFn.

    `make` gives an empty sketch; `answer` asks it in the end, and without one the sketch itself comes out. Both must be
    picklable: a class, a bound classmethod, functools.partial, or a function of a module. An item that the sketch
    refuses (a missing value, NaN where there is an order) fails the step: drop or reject it before.
    """

    def __init__(self, make: Callable[[], S], answer: Callable[[S], A] | None = None) -> None:
        super().__init__()
        self.make = make
        self.answer = answer

    def create_accumulator(self) -> Gathering[S]:
        return Gathering(self.make(), [])

    def add_input(self, accumulator: Gathering[S], item: Any) -> Gathering[S]:
        accumulator.add(item)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Gathering[S]]) -> Gathering[S]:
        total = self.make()
        for accumulator in accumulators:
            total.merge(accumulator.settle())
        return Gathering(total, [])

    def compact(self, accumulator: Gathering[S]) -> Gathering[S]:
        accumulator.settle()
        return accumulator

    def extract_output(self, accumulator: Gathering[S]) -> A | S:
        return self.answer_of(accumulator.settle())

    def answer_of(self, sketch: S) -> A | S:
        """What comes out for a sketch: its answer, or the sketch itself."""
        return self.answer(sketch) if self.answer else sketch

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return _GatheringCoder()


class MergeCombineFn(SketchCombineFn[S, A]):
    """Sketches to one sketch, and to an answer: what `SketchCombineFn` does, for items that are sketches already."""

    def add_input(self, accumulator: Gathering[S], item: S) -> Gathering[S]:
        accumulator.sketch.merge(item)
        return accumulator


class CombineSketchPerKey(beam.PTransform):
    """One answer a key and window, sketched before anything is shuffled: [tuple[K, V]] -> [tuple[K, A]].

    Give it a SketchCombineFn. On every runner, state and shuffle hold one sketch a bundle, key and window; but where
    windows answer after a number of records, they hold the records.
    """

    def __init__(self, combine_fn: SketchCombineFn[Any, Any]) -> None:
        super().__init__()
        self._fn = combine_fn

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        # Keys travel as bytes: to Beam's combining tables, which are dicts, 1 and 1.0 and True would be one key.
        key_type: Any = getattr(pairs.element_type, "tuple_types", (Any, Any))[0]
        key_coder = beam.coders.registry.get_coder(key_type).as_deterministic_coder(self.label)
        if counts_records(pairs.windowing):
            encoded = pairs | "Sketch" >> beam.Map(_with_encoded_key, key_coder).with_output_types(tuple[bytes, Any])
            combined = encoded | "Merge" >> beam.CombinePerKey(self._fn)
        else:
            partials = pairs | "Sketch" >> beam.ParDo(_SketchBundle(self._fn.make, key_coder))
            combined = partials | "Merge" >> beam.CombinePerKey(MergeCombineFn(self._fn.make, self._fn.answer))
        return combined | "Key" >> beam.Map(_with_key, key_coder).with_output_types(beam.typehints.Tuple[key_type, Any])


class CombineSketchGlobally(beam.PTransform):
    """One answer a window, sketched before anything is shuffled: [V] -> [A].

    Give it a SketchCombineFn. As with Beam's CombineGlobally, no input gives the empty sketch's answer, and in windows
    other than the global one no answer.
    """

    def __init__(self, combine_fn: SketchCombineFn[Any, Any]) -> None:
        super().__init__()
        self._fn = combine_fn

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        counted = counts_records(items.windowing)
        merge = beam.CombineGlobally(self._fn if counted else MergeCombineFn(self._fn.make, self._fn.answer))
        if not items.windowing.is_default():
            merge = merge.without_defaults()
        if counted:
            return items | "Merge" >> merge
        return (
            items
            | "Unkeyed" >> beam.Map(_unkeyed)
            | "Sketch" >> beam.ParDo(_SketchBundle(self._fn.make, beam.coders.FastPrimitivesCoder()))
            | "Values" >> beam.Values()
            | "Merge" >> merge
        )


def per_key(factory: Callable[P, SketchCombineFn[Any, Any]]) -> Callable[P, CombineSketchPerKey]:
    """The `PerKey` of a question: takes what its factory takes."""

    def build(*arguments: P.args, **named: P.kwargs) -> CombineSketchPerKey:
        return CombineSketchPerKey(factory(*arguments, **named))

    build.__doc__ = f"For each key and window: tuple[K, V] -> tuple[K, answer].\n\n{factory.__doc__}"
    return build


def globally(factory: Callable[P, SketchCombineFn[Any, Any]]) -> Callable[P, CombineSketchGlobally]:
    """The `Globally` of a question: takes what its factory takes."""

    def build(*arguments: P.args, **named: P.kwargs) -> CombineSketchGlobally:
        return CombineSketchGlobally(factory(*arguments, **named))

    build.__doc__ = f"For each window: V -> answer.\n\n{factory.__doc__}"
    return build


def sketching(make: Callable[[], S], answer: Callable[[S], A], output: Output) -> SketchCombineFn[S, A]:
    """The CombineFn of a factory: raises ValueError now, not while running, where the sketch cannot be made."""
    make()
    if output not in get_args(Output):
        raise ValueError(f"output must be one of {', '.join(get_args(Output))}, got {output!r}")
    return SketchCombineFn(make, answer if output == "answer" else None)


def _unkeyed(item: Any) -> tuple[None, Any]:
    return None, item


def _with_encoded_key(pair: tuple[Any, Any], key_coder: beam.coders.Coder) -> tuple[bytes, Any]:
    return key_coder.encode(pair[0]), pair[1]


def _with_key(answered: tuple[bytes, Any], key_coder: beam.coders.Coder) -> tuple[Any, Any]:
    return key_coder.decode(answered[0]), answered[1]


@beam.typehints.with_output_types(tuple[bytes, Sketch])
class _SketchBundle(beam.DoFn):
    """Gathers the items of each key and window of a bundle into one sketch."""

    def __init__(self, make: Callable[[], Sketch], key_coder: beam.coders.Coder) -> None:
        self._make = make
        self._key_coder = key_coder

    def start_bundle(self) -> None:
        self._slots: dict[tuple[bytes, Any], Gathering[Sketch]] = {}

    def process(self, pair: tuple[Any, Any], window: Any = beam.DoFn.WindowParam) -> Iterator[WindowedValue]:
        slot = self._key_coder.encode(pair[0]), window
        if slot not in self._slots:
            if len(self._slots) >= _SLOTS:
                yield from self.finish_bundle()
                self._slots = {}
            self._slots[slot] = Gathering(self._make(), [])
        self._slots[slot].add(pair[1])

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for (key, window), gathering in self._slots.items():
            # At the window's last moment, so that a partial never precedes what it holds.
            yield WindowedValue((key, gathering.settle()), window.max_timestamp(), [window])
