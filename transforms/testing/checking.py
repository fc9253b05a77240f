"""Checks the laws of a CombineFn on growing inputs, and reports the smallest that break one."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

from apache_beam.internal import pickler

from transforms.testing import laws, processes
from transforms.testing.closeness import exactly
from transforms.testing.laws import Law, LawBroken, Way
from transforms.testing.worker import Items, Parts, Worker, at_work, named, together

Equal: TypeAlias = Callable[[Any, Any], bool]

_ATTEMPTS = 1000  # to make a counterexample smaller
_SHOWN = 12  # inputs of an accumulator in a message


def check_laws(
    combine_fn: Any,
    examples: Iterable[Any],
    *,
    equal: Equal = exactly,
    seed: int = 0,
    trees: int = 50,
    other_processes: bool = True,
    in_state: bool = False,
) -> None:
    """Checks that a CombineFn gives one answer, however Beam cuts, orders, merges, stores and sends its inputs.

    `combine_fn` is what you would give to `beam.CombinePerKey`; `examples` are ten or twenty inputs that it may see,
    some of them alike if that can happen. Each law is tried on `trees` random cuts of random examples, drawn by `seed`.
    Answers are compared with `equal`, == unless you give another: `within(relative=…)` for approximate ones, a function
    of your own where order does not count. `other_processes=False` leaves the law of other processes unchecked (it
    takes a second or two); `in_state=True` adds what only a CombiningValueStateSpec needs.

    Raises LawBroken, an AssertionError, with the smallest inputs found that break a law; ValueError without examples;
    and whatever the CombineFn raises when it is given the examples one after another.

    >>> from apache_beam.transforms.combiners import MeanCombineFn
    >>> check_laws(MeanCombineFn(), [1, 2, 6], other_processes=False)
    >>> def newest(values):
    ...     return list(values)[-1:]
    >>> check_laws(newest, [1, 2], other_processes=False)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    transforms.testing.laws.LawBroken: newest breaks the law "order of inputs" …
    """
    given = copy.deepcopy(list(examples))
    if not given:
        raise ValueError("examples must hold at least one input, got none: give inputs that the CombineFn may see")
    if trees < 1:
        raise ValueError(f"trees must be at least 1, got {trees}; use 50")
    fn, name = named(combine_fn)
    check = _Check(name, equal, seed, list(_cases(given, trees, random.Random(seed))))  # noqa: S311  chance, no secret
    check.ways(processes.pickling, [processes.can_be_sent(fn)], Worker(fn))
    copies = pickler.dumps(fn)  # as Beam makes them, before setup
    with at_work(pickler.loads(copies)) as sent, at_work(fn) as worker:
        check.ways(laws.repeatable, laws.repeatable.ways(worker, [[]], None), worker)
        for parts in check.cases:  # before any other law, and each once: what leaks once leaks into all that follows
            check.ways(laws.fresh, laws.fresh.ways(worker, parts, None), worker, parts)
        worker.one_pass(copy.deepcopy(given))  # an error of this is no broken law
        for law in laws.LAWS:
            check.law(law, worker)
        if in_state:
            check.law(laws.in_state, worker)
        check.law(processes.pickling, worker, sent)
        if other_processes:
            check.ways(processes.elsewhere, processes.elsewhere.ways(worker, pickler.loads(copies), given), worker)


def _cases(examples: Items, trees: int, chance: random.Random) -> Iterator[Parts]:
    """Inputs from one example to all of them, cut into up to four parts; a part may be empty."""
    for tree in range(1, trees + 1):
        size = math.ceil(len(examples) * (tree / trees) ** 2)
        items = chance.choices(examples, k=size) if tree < trees else examples
        cuts = sorted(chance.randint(0, size) for _ in range(chance.randint(0, 3)))
        yield [items[start:end] for start, end in pairwise([0, *cuts, size])]


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    equal: Equal
    seed: int
    cases: list[Parts]

    def law(self, law: Law, *workers: Worker) -> None:
        """Raises LawBroken for the first case that breaks the law, made as small as can be."""

        def broken_by(parts: Parts) -> LawBroken | None:
            chance = random.Random(self.seed)  # noqa: S311  chance, no secret
            return self._broken(law, law.ways(*workers, parts, chance), workers[0], parts)

        for parts in self.cases:
            found = broken_by(parts)
            if found:
                raise _smallest(found, broken_by)

    def ways(self, law: Law, ways: Iterable[Way], worker: Worker, parts: Sequence[Items] = ()) -> None:
        """Raises LawBroken for the first way that does not end at the right answer."""
        found = self._broken(law, ways, worker, list(parts))
        if found:
            raise found

    def _broken(self, law: Law, ways: Iterable[Way], worker: Worker, parts: Parts) -> LawBroken | None:
        for way in ways:
            expected = _outcome(way.expected or partial(worker.one_pass, way.items))
            got = _outcome(way.answer)
            if isinstance(expected, _Raised) or got is expected or (way.is_answer and self._same(got, expected)):
                continue
            items = together(parts)
            if items and isinstance(got, _Raised) and isinstance(_outcome(partial(worker.one_pass, items)), _Raised):
                continue  # these inputs have no answer in one pass either, which no law demands of all inputs
            return LawBroken(self._message(law, way, got, expected), law.name, parts or list(way.shown))
        return None

    def _same(self, got: Any, expected: Any) -> bool:
        if isinstance(got, _Raised):
            return False
        try:
            return bool(self.equal(got, expected))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"equal must say True or False of two answers, and cannot for {type(got).__name__} and "
                f"{type(expected).__name__}: pass an equal= that compares what matters in them"
            ) from error

    def _message(self, law: Law, way: Way, got: Any, expected: Any) -> str:
        lines = [
            f'{self.name} breaks the law "{law.name}": {law.rule}',
            f"  {way.text.format(*map(_added, way.shown))} gives",
            f"    {_short(got)}",
            "  instead of" if way.expected else f"  instead of what {_added(way.items)} gives",
            f"    {_short(expected)}",
            f"In a pipeline, {law.harm}.",
        ]
        return "\n".join(lines + _advice(got, expected))


class _Raised:
    """An error in the place of an answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __repr__(self) -> str:
        return f"{type(self._error).__name__}: {self._error}".removesuffix(": ")


def _outcome(answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except Exception as error:  # noqa: BLE001  whatever a CombineFn raises is what came out
        return _Raised(error)


def _smallest(found: LawBroken, broken_by: Callable[[Parts], LawBroken | None]) -> LawBroken:
    """Drops parts and inputs for as long as the law stays broken."""
    attempts = 0
    while attempts < _ATTEMPTS:
        for parts in _smaller(found.parts):
            attempts += 1
            broken = broken_by(parts)
            if broken:
                found = broken
                break
        else:
            break
    return found


def _smaller(parts: Parts) -> Iterator[Parts]:
    """The parts without one of them; with one of them empty, less one half, one quarter, down to one input."""
    for number, part in enumerate(parts):
        before, after = parts[:number], parts[number + 1 :]
        if before or after:
            yield before + after
        step = len(part)
        while step:
            for start in range(0, len(part), step):
                yield [*before, part[:start] + part[start + step :], *after]
            step //= 2


def _added(items: Items) -> str:
    more = [f"… {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return f"add({', '.join([*map(_short, items[:_SHOWN]), *more])})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _advice(got: Any, expected: Any) -> list[str]:
    if isinstance(got, float) and isinstance(expected, float) and math.isclose(got, expected, rel_tol=1e-6):
        return ["The two differ as rounding does: if that is all, pass equal=within(relative=1e-9)."]
    if repr(got) == repr(expected):
        return ["Both print alike: if they are alike, pass an equal= of your own, because == tells them apart."]
    if isinstance(got, list) and isinstance(expected, list) and sorted(map(repr, got)) == sorted(map(repr, expected)):
        return ["The two hold the same in another order: if order does not count, pass an equal= that sorts both."]
    return []
