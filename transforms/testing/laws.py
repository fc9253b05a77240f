"""What Beam expects of a CombineFn without checking it: one function a law.

A law turns inputs, cut into parts, into ways to an answer. Every way must end at the answer that the inputs give when
they are added one after another to one accumulator. Accumulators are made anew for each way, and only their answers
are compared: how an accumulator looks inside is its own affair.
"""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from apache_beam.internal import pickler

from transforms.testing.closeness import exactly
from transforms.testing.worker import Items, Parts, Streamed, Worker, together

Grouping: TypeAlias = Any  # the index of a part, or a pair of groupings


class LawBroken(AssertionError):  # noqa: N818  it says what happened, as a test report should
    """A law that a CombineFn breaks, and the smallest inputs found that show it, cut into the parts that do."""

    def __init__(self, message: str, law: str, parts: Parts) -> None:
        super().__init__(message)
        self.law = law
        self.parts = parts


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an answer. In `text`, each {} stands for an accumulator of the inputs in `shown`."""

    text: str
    shown: Sequence[Items]
    answer: Callable[[], Any]
    items: Items  # whose one pass must give the same answer
    expected: Callable[[], Any] | None = None  # or what else must be the same
    is_answer: bool = True  # compared as answers are; if not, the two must be one object


class _Fine:
    def __repr__(self) -> str:
        return "an answer"


FINE = _Fine()  # where any answer will do, but no error

Ways: TypeAlias = Callable[..., Iterator[Way]]  # of workers (one, as a rule), parts, and chance


@dataclass(frozen=True, slots=True)
class Law:
    """A rule in one sentence, what a pipeline suffers without it, and the ways that test it."""

    name: str
    rule: str
    harm: str
    ways: Ways


def law(name: str, harm: str) -> Callable[[Ways], Law]:
    """Makes a law of its ways. The rule is the docstring."""
    return lambda ways: Law(name, str(ways.__doc__), harm, ways)


@law("fresh accumulators", harm="keys and windows would leak into each other's answers")
def fresh(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """create_accumulator must return a new accumulator each time."""

    def newer() -> Any:
        worker.new(copy.deepcopy(together(parts)))
        return worker.one_pass([])

    def older() -> Any:
        first = worker.fn.create_accumulator()
        worker.new(copy.deepcopy(together(parts)))
        return worker.ask(first)

    def empty() -> Any:
        answer = worker.one_pass([])
        kept = copy.deepcopy(answer)  # the answer may be the very accumulator that is shared
        return kept if exactly(kept, answer) else answer

    if not together(parts):
        return  # nothing could leak
    yield Way("a new accumulator when {} exists", [together(parts)], newer, [], empty)
    yield Way("an empty accumulator, older than {},", [together(parts)], older, [], empty)


@law("inputs are left alone", harm="other steps that read the same collection would see altered elements")
def inputs_stay(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """add_input must not change its input."""
    items, before = copy.deepcopy(together(parts)), copy.deepcopy(together(parts))
    stored = pickler.dumps(items)

    def after() -> Any:
        worker.new(items)
        # The bytes of what caches something inside itself may change while it stays the same to ==.
        return before if pickler.dumps(items) == stored or exactly(items, before) else items

    yield Way("the inputs after {}", [together(parts)], after, items, lambda: before, is_answer=False)


@law("repeatable", harm="a bundle that is retried would answer otherwise than at first")
def repeatable(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """The same inputs must give the same answer again."""
    yield Way("{}, a second time,", [together(parts)], partial(worker.one_pass, together(parts)), together(parts))


@law(
    "empty answers",
    harm="CombineGlobally would fail on an empty collection, and state that is read before its first element",
)
def empty_answers(worker: Worker, _: Parts, __: random.Random) -> Iterator[Way]:
    """extract_output must answer for an accumulator without inputs."""

    def answered() -> Any:
        worker.one_pass([])
        return FINE

    yield Way("{}", [[]], answered, [], lambda: FINE, is_answer=False)


@law("zero", harm="answers would change whenever a worker happens to see no element")
def zero(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """Merging with empty accumulators must change nothing."""
    items = together(parts)
    cases: tuple[Parts, ...] = ([[], []], [items], [[], items], [items, []])
    for shown in cases:
        yield Way(_merge_of(shown), shown, partial(worker.merged, shown), together(shown))


@law(
    "asking changes nothing",
    harm="CombiningValueStateSpec, which asks one accumulator at every read, would answer otherwise the second time",
)
def asking_twice(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """extract_output must answer the same when it is asked again."""

    def twice() -> Any:
        accumulator = worker.new(together(parts))
        worker.ask(accumulator)
        return worker.ask(accumulator)

    yield Way("{}, asked a second time,", [together(parts)], twice, together(parts))


@law("merging is one pass", harm="the answer would depend on how the runner happens to cut the data into bundles")
def one_pass(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """Inputs added in parts and merged must answer as inputs added one after another."""
    yield Way(_merge_of(parts), parts, partial(worker.merged, parts), together(parts))
    *first, last = parts

    def goes_on() -> Any:
        return worker.ask(worker.add(worker.merge(*worker.each(first)), last))

    if first:
        yield Way(f"{_merge_of(first)}, and then to it {{}},", parts, goes_on, together(parts))


@law("associativity", harm="the answer would depend on which workers' results happen to meet first")
def associative(worker: Worker, parts: Parts, chance: random.Random) -> Iterator[Way]:
    """Accumulators must give the same answer however their merging is grouped."""

    def grouped(grouping: Grouping) -> Any:
        return worker.new(parts[grouping]) if isinstance(grouping, int) else worker.merge(*map(grouped, grouping))

    def answer(grouping: Grouping) -> Any:
        return worker.ask(grouped(grouping))

    indexes: Sequence[Grouping] = range(len(parts))
    from_the_left = functools.reduce(lambda left, right: (left, right), indexes)
    from_the_right = functools.reduce(lambda right, left: (left, right), reversed(indexes))
    for grouping in (from_the_left, from_the_right, _grouping(indexes, chance)):
        yield Way(_text_of(grouping), parts, partial(answer, grouping), together(parts))


def _grouping(indexes: Sequence[int], chance: random.Random) -> Grouping:
    if len(indexes) == 1:
        return indexes[0]
    cut = chance.randrange(1, len(indexes))
    return _grouping(indexes[:cut], chance), _grouping(indexes[cut:], chance)


def _text_of(grouping: Grouping) -> str:
    return "{}" if isinstance(grouping, int) else f"merge({', '.join(map(_text_of, grouping))})"


@law("order of inputs", harm="the answer would depend on the order in which elements happen to arrive")
def order_of_inputs(worker: Worker, parts: Parts, chance: random.Random) -> Iterator[Way]:
    """Inputs must give the same answer in any order."""
    items = together(parts)
    for shown in (items[::-1], chance.sample(items, len(items))):
        yield Way("{}", [shown], partial(worker.one_pass, shown), items)


@law("commutativity", harm="the answer would depend on which worker happens to be first")
def commutative(worker: Worker, parts: Parts, chance: random.Random) -> Iterator[Way]:
    """Accumulators must give the same answer merged in any order."""
    for shown in (parts[::-1], chance.sample(parts, len(parts))):
        yield Way(_merge_of(shown), shown, partial(worker.merged, shown), together(parts))


@law("add_inputs is add_input", harm="the answer would depend on which of the two the runner calls")
def in_bulk(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """add_inputs must answer as add_input for each input, for any iterable of inputs."""

    def bulk() -> Any:
        accumulator = worker.fn.create_accumulator()
        for part in parts:
            accumulator = worker.fn.add_inputs(accumulator, Streamed(part))
        return worker.ask(accumulator)

    yield Way(f"add_inputs for {', '.join(['{}'] * len(parts))}", parts, bulk, together(parts))


@law(
    "merged accumulators are left alone",
    harm="accumulators that the runner still holds would be corrupted, and elements lost or counted twice",
)
def merged_stay(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """merge_accumulators may change no accumulator but the first."""

    def after(number: int) -> Any:
        accumulators = worker.each(parts)
        merged = worker.merge(*accumulators)
        worker.add(worker.merge(merged, worker.new(together(parts))), together(parts))  # nor may what is done to it
        return worker.ask(accumulators[number])

    for number, part in enumerate(parts[1:], start=1):
        text = f"argument {number + 1} of {_merge_of(parts)}, when the merged one has gone on,"
        yield Way(text, parts, partial(after, number), part)


@law(
    "any iterable merges",
    harm="it would work in small tests, and fail in state, or on a key with more accumulators than Beam sends at once",
)
def any_iterable(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """merge_accumulators must take any iterable, not only a list."""

    def streamed() -> Any:
        return worker.ask(worker.fn.merge_accumulators(Streamed(worker.each(parts))))

    yield Way(f"merge(an iterable of {', '.join(['{}'] * len(parts))})", parts, streamed, together(parts))


@law(
    "compacting changes nothing",
    harm="answers would change because accumulators are compacted before they are sent to another worker",
)
def compacting(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """What compact returns must answer and go on as the accumulator did."""
    yield from _through("compact", worker.fn.compact, worker, parts)


@law(
    "coder round trip",
    harm="answers would change because accumulators travel between workers, and are kept in state, as bytes",
)
def travelling(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """An accumulator must answer and go on as before after it was encoded and decoded."""

    def encoded(accumulator: Any) -> Any:
        worker.coder.encode(accumulator)
        return accumulator

    def compacted(accumulator: Any) -> Any:
        return worker.travel(worker.fn.compact(accumulator))

    # Beam merges before it asks what was not compacted: its own TopCombineFn with a key relies on that.
    yield from _through("decoded", worker.travel, worker, parts, asked=False)
    yield from _through("once encoded", encoded, worker, parts)
    yield from _through("compacted and decoded", compacted, worker, parts)


def _through(
    name: str, step: Callable[[Any], Any], worker: Worker, parts: Parts, *, asked: bool = True
) -> Iterator[Way]:
    """Ways on which accumulators pass through a step that may change no answer."""
    items, (first, *others) = together(parts), parts
    later = together(others)
    if asked:
        yield Way(f"{name}({{}})", [items], lambda: worker.ask(step(worker.new(items))), items)
    stepped = ", ".join([f"{name}({{}})"] * len(parts))
    yield Way(f"merge({stepped})", parts, lambda: worker.ask(worker.merge(*map(step, worker.each(parts)))), items)
    if later:
        text = f"{name}({{}}), and then to it {{}},"
        yield Way(text, [first, later], lambda: worker.ask(worker.add(step(worker.new(first)), later)), items)


@law(
    "state goes on",
    harm="CombiningValueStateSpec does both: it would fail on its first element, or answer wrongly after a read",
)
def in_state(worker: Worker, parts: Parts, _: random.Random) -> Iterator[Way]:
    """Merging nothing must give an empty accumulator, and one that was asked must go on taking inputs."""
    first, later = parts[0], together(parts[1:])

    def goes_on() -> Any:
        accumulator = worker.new(first)
        worker.ask(accumulator)
        return worker.ask(worker.add(accumulator, later))

    yield Way("merge()", [], partial(worker.merged, []), [])
    yield Way("{}, asked, and then to it {},", [first, later], goes_on, together(parts))


def _merge_of(parts: Parts) -> str:
    return f"merge({', '.join(['{}'] * len(parts))})"


# The plainest first: a CombineFn that breaks one law often breaks others by it.
LAWS = (
    inputs_stay,
    repeatable,
    empty_answers,
    zero,
    asking_twice,
    one_pass,
    associative,
    order_of_inputs,
    commutative,
    in_bulk,
    merged_stay,
    any_iterable,
    compacting,
    travelling,
)
