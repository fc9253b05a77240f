"""The law kit: CombineFns that break one law each are caught; their correct twins pass, and Beam's own, and ours."""

from __future__ import annotations

import importlib.util
import math
import operator
import os
import random
import re
import statistics
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.transforms.combiners import (
    CountCombineFn,
    MeanCombineFn,
    SingleInputTupleCombineFn,
    ToListCombineFn,
    TopCombineFn,
    ToSetCombineFn,
)

from transforms.distinct import distinct_count
from transforms.sketches import Estimate
from transforms.testing import LawBroken, check_accuracy, check_laws, exactly, within
from transforms.testing.laws import LAWS, commutative, fresh, in_state
from transforms.testing.processes import elsewhere, pickling
from transforms.testing.worker import Worker, together

WORDS = ["ana", "bo", "cy", "ana", "dee", "eve", "flo", "gus"]
NUMBERS = [1, 2, 6, 6, 3, -4, 10]


class Listing(beam.CombineFn):
    """Everything that came, sorted: correct, and the ground of most CombineFns below."""

    def create_accumulator(self) -> list[Any]:
        return []

    def add_input(self, accumulator: list[Any], element: Any) -> list[Any]:
        accumulator.append(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        return [item for accumulator in accumulators for item in accumulator]

    def extract_output(self, accumulator: list[Any]) -> Any:
        return sorted(accumulator)


class Averaging(beam.CombineFn):
    """The mean, from a sum and a count: correct."""

    def create_accumulator(self) -> tuple[float, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[float, int], element: float) -> tuple[float, int]:
        return accumulator[0] + element, accumulator[1] + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        sums, counts = zip(*accumulators, strict=True)
        return sum(sums), sum(counts)

    def extract_output(self, accumulator: tuple[float, int]) -> float:
        return accumulator[0] / accumulator[1] if accumulator[1] else 0.0


class MeanOfMeans(Averaging):
    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        means = [total / count for total, count in accumulators if count]
        return (sum(means) / len(means), 1) if means else (0, 0)


class AsTheyCome(Listing):
    def extract_output(self, accumulator: list[Any]) -> Any:
        return list(accumulator)


class SharedList(Listing):
    def __init__(self) -> None:
        super().__init__()
        self._empty: list[Any] = []

    def create_accumulator(self) -> list[Any]:
        return self._empty


class SharedListThatIsTheAnswer(SharedList):
    def extract_output(self, accumulator: list[Any]) -> Any:
        return accumulator


class CopiedList(SharedList):
    def create_accumulator(self) -> list[Any]:
        return list(self._empty)


class MergeIntoTheSecond(Listing):
    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        first, *others = accumulators
        for other in others:
            other.extend(first)
            first = other
        return first


class MergeIntoTheFirst(Listing):
    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        first, *others = accumulators
        for other in others:
            first.extend(other)
        return first


class SumAndCountCoder(beam.coders.Coder):
    def encode(self, value: tuple[float, int]) -> bytes:
        return struct.pack("<dq", *value)

    def decode(self, encoded: bytes) -> tuple[float, int]:
        total, count = struct.unpack("<dq", encoded)
        return total, count


class SumCoder(SumAndCountCoder):
    def decode(self, encoded: bytes) -> tuple[float, int]:
        return super().decode(encoded)[0], 1


class AveragingWithCoder(Averaging):
    def get_accumulator_coder(self) -> beam.coders.Coder:
        return SumAndCountCoder()


class CoderDropsTheCount(Averaging):
    def get_accumulator_coder(self) -> beam.coders.Coder:
        return SumCoder()


class Total:
    """An accumulator without a coder: Beam pickles it."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return Total, (self.value,)


class RoundedTotal(Total):
    def __reduce__(self) -> Any:
        return RoundedTotal, (round(self.value),)


class Totalling(beam.CombineFn):
    accumulator: type[Total] = Total

    def create_accumulator(self) -> Total:
        return self.accumulator()

    def add_input(self, accumulator: Total, element: float) -> Total:
        return self.accumulator(accumulator.value + element)

    def merge_accumulators(self, accumulators: Iterable[Total]) -> Total:
        return self.accumulator(sum(accumulator.value for accumulator in accumulators))

    def extract_output(self, accumulator: Total) -> float:
        return accumulator.value


class PickleLosesPrecision(Totalling):
    accumulator = RoundedTotal


class Tagging(Listing):
    def add_input(self, accumulator: list[Any], element: list[str]) -> list[Any]:
        return super().add_input(accumulator, sorted(element))


class SortsItsInput(Listing):
    def add_input(self, accumulator: list[Any], element: list[str]) -> list[Any]:
        element.sort()
        return super().add_input(accumulator, list(element))


class ConsumedByAsking(Listing):
    def extract_output(self, accumulator: list[Any]) -> Any:
        return [accumulator.pop(accumulator.index(min(accumulator))) for _ in range(len(accumulator))]


class Gathering(beam.CombineFn):
    """A set of words, of which one comes out."""

    choose: Callable[[str], Any]

    def create_accumulator(self) -> set[str]:
        return set()

    def add_input(self, accumulator: set[str], element: str) -> set[str]:
        return accumulator | {element}

    def merge_accumulators(self, accumulators: Iterable[set[str]]) -> set[str]:
        return set().union(*accumulators)

    def extract_output(self, accumulator: set[str]) -> str:
        return min(accumulator, key=self.choose, default="")


class FirstByName(Gathering):
    choose = staticmethod(str)


class FirstByHash(Gathering):
    choose = staticmethod(hash)


class Summing(Totalling):
    start = 0

    def create_accumulator(self) -> Any:
        return self.start

    def add_input(self, accumulator: Any, element: float) -> Any:
        return accumulator + element

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        return sum(accumulators)

    def extract_output(self, accumulator: Any) -> float:
        return accumulator  # type: ignore[no-any-return]


class StartsAtOne(Summing):
    start = 1


class ForgetsTheFirst(Summing):
    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        first, *others = accumulators
        return sum(others) if others else first


class CompactsToCounts(Listing):
    """A list, which compacting turns into distinct items and their counts."""

    def compact(self, accumulator: list[Any]) -> list[Any]:
        return list(Counter(accumulator).elements())


class CompactsToDistinct(Listing):
    def compact(self, accumulator: list[Any]) -> list[Any]:
        return list(set(accumulator))


TEN = {  # broken: (its law, its twin, examples)
    MeanOfMeans: ("merging is one pass", Averaging, NUMBERS),
    AsTheyCome: ("order of inputs", Listing, NUMBERS),
    SharedList: ("fresh accumulators", CopiedList, NUMBERS),
    MergeIntoTheSecond: ("merged accumulators are left alone", MergeIntoTheFirst, NUMBERS),
    CoderDropsTheCount: ("coder round trip", AveragingWithCoder, NUMBERS),
    PickleLosesPrecision: ("coder round trip", Totalling, [0.5, 0.25, 2.0]),
    SortsItsInput: ("inputs are left alone", Tagging, [["b", "a"], ["c"], ["z", "y", "x"]]),
    ConsumedByAsking: ("asking changes nothing", Listing, NUMBERS),
    StartsAtOne: ("zero", Summing, NUMBERS),
    CompactsToDistinct: ("compacting changes nothing", CompactsToCounts, NUMBERS),
}


@pytest.mark.parametrize("broken", TEN, ids=lambda broken: broken.__name__)
def test_a_broken_law_is_named_with_few_examples_and_the_correct_twin_passes(broken: Any) -> None:
    law, twin, examples = TEN[broken]
    with pytest.raises(LawBroken) as caught:
        check_laws(broken(), examples, other_processes=False)
    assert caught.value.law == law
    assert str(caught.value).startswith(f'{broken.__name__} breaks the law "{law}": ')
    assert sum(map(len, caught.value.parts)) <= 3
    check_laws(twin(), examples, other_processes=False)


@pytest.mark.parametrize("broken", TEN, ids=lambda broken: broken.__name__)
def test_the_smallest_inputs_that_were_found_break_the_law_by_themselves(broken: Any) -> None:
    _, _, examples = TEN[broken]
    with pytest.raises(LawBroken) as first:
        check_laws(broken(), examples, other_processes=False)
    with pytest.raises(LawBroken) as again:
        check_laws(broken(), together(first.value.parts) or [0], other_processes=False)
    assert again.value.law == first.value.law


def test_what_leaks_is_shown_before_it_has_leaked_into_the_checks() -> None:
    with pytest.raises(LawBroken, match=r"when add\(1\) exists gives\s+\[1\]\s+instead of\s+\[\]"):
        check_laws(SharedList(), [1, 1, 1], other_processes=False)


def test_an_answer_that_hangs_on_the_hash_seed_is_caught_in_other_processes() -> None:
    check_laws(FirstByHash(), WORDS, other_processes=False)
    with pytest.raises(LawBroken, match="under another hash seed") as caught:
        check_laws(FirstByHash(), WORDS)
    assert caught.value.law == "other processes"
    check_laws(FirstByName(), WORDS)


class HashedCount(ToSetCombineFn):
    """Counts hashes, which each process makes otherwise."""

    def add_input(self, accumulator: set[int], element: str) -> set[int]:
        return accumulator | {hash(element)}

    def extract_output(self, accumulator: set[int]) -> int:
        return len(accumulator)


def test_accumulators_of_different_processes_must_merge() -> None:
    with pytest.raises(LawBroken, match=r"merge\(add\('ana'\) of one process, add\('ana'\) of another\) gives\s+2"):
        check_laws(HashedCount(), WORDS)


def test_a_combine_fn_that_cannot_be_pickled_breaks_the_law_of_pickling() -> None:
    unpicklable = CountCombineFn()
    unpicklable.stream = (number for number in range(3))  # a generator
    with pytest.raises(LawBroken, match="cannot pickle 'generator' object") as caught:
        check_laws(unpicklable, WORDS, other_processes=False)
    assert caught.value.law == "pickling"


class Scaled(MeanCombineFn):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def extract_output(self, accumulator: Any) -> float:
        return float(super().extract_output(accumulator) * self._scale)


class ScaledAbout(Scaled):
    def __reduce__(self) -> Any:
        return ScaledAbout, (round(self._scale, 1),)


def test_a_copy_for_the_workers_must_answer_as_the_original() -> None:
    with pytest.raises(LawBroken, match="the pickled copy") as caught:
        check_laws(ScaledAbout(0.25), NUMBERS, other_processes=False)
    assert caught.value.law == "pickling"
    check_laws(Scaled(0.25), NUMBERS, equal=within(relative=1e-12), other_processes=False)


class Pairwise(Averaging):
    """Merges any two rightly; of more, only the first and the last."""

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        first, *others = accumulators
        return super().merge_accumulators([first, *others[-1:]])


class NestsWrongly(beam.CombineFn):
    """A count and how often its accumulator was merged; wrong from the second merging on."""

    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[int, int], element: Any) -> tuple[int, int]:
        del element
        return accumulator[0] + 1, accumulator[1]

    def merge_accumulators(self, accumulators: Iterable[tuple[int, int]]) -> tuple[int, int]:
        counts, merges = zip(*accumulators, strict=True)
        return sum(counts), max(merges) + 1

    def extract_output(self, accumulator: tuple[int, int]) -> int:
        return accumulator[0] if accumulator[1] < 2 else -1


class IndexesItsArgument(Summing):
    def merge_accumulators(self, accumulators: Any) -> Any:
        return sum(accumulators[number] for number in range(len(accumulators)))


class BulkCountsDistinct(CountCombineFn):
    def add_inputs(self, accumulator: int, elements: Iterable[Any]) -> int:
        return accumulator + len(set(elements))


class FailsOnNothing(Averaging):
    def extract_output(self, accumulator: tuple[float, int]) -> float:
        return accumulator[0] / accumulator[1]


class Tossing(Summing):
    def extract_output(self, accumulator: Any) -> float:
        return float(accumulator) + random.random()


class TossingForInputs(Tossing):
    def extract_output(self, accumulator: Any) -> float:
        return super().extract_output(accumulator) if accumulator else 0.0


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (ForgetsTheFirst, "zero"),
        (Pairwise, "merging is one pass"),
        (NestsWrongly, "associativity"),
        (IndexesItsArgument, "any iterable merges"),
        (BulkCountsDistinct, "add_inputs is add_input"),
        (FailsOnNothing, "empty answers"),
        (SharedListThatIsTheAnswer, "fresh accumulators"),
        (Tossing, "repeatable"),
        (TossingForInputs, "repeatable"),
    ],
)
def test_the_other_laws_are_caught_as_well(broken: Any, law: str) -> None:
    with pytest.raises(LawBroken) as caught:
        check_laws(broken(), NUMBERS, other_processes=False)
    assert caught.value.law == law


def test_commutativity_is_a_law_of_its_own_although_others_imply_it() -> None:
    ways = list(commutative.ways(Worker(AsTheyCome()), [[1], [2]], random.Random(0)))
    assert ways[0].answer() == [2, 1]
    assert not list(fresh.ways(Worker(AsTheyCome()), [[]], random.Random(0)))


class Noisy(CountCombineFn):
    """Prints, which must not get into what processes tell each other; and counts its setups and teardowns."""

    log: ClassVar[list[str]] = []

    def setup(self) -> None:
        self.log.append("setup")
        self.one = 1
        self.file = (line for line in "what cannot be pickled")

    def add_input(self, accumulator: int, element: Any) -> int:
        del element
        print("counting")  # noqa: T201
        return accumulator + self.one

    def add_inputs(self, accumulator: int, elements: Iterable[Any]) -> int:
        return accumulator + sum(self.one for _ in elements)

    def teardown(self) -> None:
        self.log.append("teardown")
        del self.one


def test_a_combine_fn_works_between_its_setup_and_its_teardown_here_and_elsewhere() -> None:
    Noisy.log.clear()
    check_laws(Noisy(), WORDS)
    assert sorted(Noisy.log) == ["setup", "setup", "teardown", "teardown"]  # of the original and of its copy


class StopsElsewhere(CountCombineFn):
    def __init__(self) -> None:
        super().__init__()
        self.home = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["home"] != os.getpid():
            raise OSError("no such disk here")
        self.__dict__.update(state)


def test_an_error_in_another_process_is_told() -> None:
    with pytest.raises(LawBroken, match=r"work in another process gives\s+OSError: no such disk here") as caught:
        check_laws(StopsElsewhere(), WORDS)
    assert caught.value.law == "other processes"


def test_classes_of_a_module_that_only_the_test_runner_can_import_are_sent_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "by_path_alone.py"
    file.write_text(
        "from apache_beam.transforms.combiners import CountCombineFn\n\n\nclass Count(CountCombineFn):\n    pass\n"
    )
    spec = importlib.util.spec_from_file_location("by_path_alone", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "by_path_alone", module)
    spec.loader.exec_module(module)
    check_laws(module.Count(), WORDS)
    assert not cloudpickle.list_registry_pickle_by_value()


def test_examples_are_left_as_they_were() -> None:
    examples = [["b", "a"]]
    with pytest.raises(LawBroken):
        check_laws(SortsItsInput(), examples, other_processes=False)
    assert examples == [["b", "a"]]


def test_errors_of_the_examples_themselves_come_through() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        check_laws(Summing(), [1, "a"], other_processes=False)


class SpreadOfTwo(Listing):
    """Has no answer for one value, and says 0 for none."""

    def extract_output(self, accumulator: list[Any]) -> Any:
        return statistics.variance(accumulator) if accumulator else 0


def test_inputs_without_an_answer_break_no_law() -> None:
    check_laws(SpreadOfTwo(), NUMBERS, other_processes=False)


@pytest.mark.parametrize(
    ("combine_fn", "examples", "equal"),
    [
        (CountCombineFn(), WORDS, operator.eq),
        (MeanCombineFn(), NUMBERS, exactly),
        (MeanCombineFn(), [1.1, 2.2, 6.3, 6.4], within(relative=1e-12)),
        (MeanCombineFn().for_input_type(int), NUMBERS, exactly),
        (TopCombineFn(2), NUMBERS, exactly),
        (TopCombineFn(2, key=len), ["a", "bb", "ccc"], exactly),
        (SingleInputTupleCombineFn(CountCombineFn(), MeanCombineFn()), NUMBERS, exactly),
        (ToListCombineFn(), NUMBERS, lambda one, other: sorted(one) == sorted(other)),
        (sum, NUMBERS, exactly),
        (distinct_count(), WORDS, exactly),
        (distinct_count(output="sketch"), WORDS, exactly),
        (distinct_count(0.1), [f"user {number}" for number in range(500)], exactly),
    ],
)
def test_beams_own_and_ours_pass(combine_fn: Any, examples: list[Any], equal: Any) -> None:
    check_laws(combine_fn, examples, equal=equal, other_processes=False)


@pytest.mark.parametrize(
    ("combine_fn", "equal"),
    [(TopCombineFn(2), exactly), (distinct_count(), exactly), (MeanCombineFn(), within(relative=1e-12))],
)
def test_beams_own_and_ours_pass_in_other_processes(combine_fn: Any, equal: Any) -> None:
    check_laws(combine_fn, NUMBERS, equal=equal)


def test_state_asks_more_than_combining_does() -> None:
    """Beam's own Mean and Top fail or answer wrongly in a CombiningValueStateSpec, by the runner and by chance."""
    check_laws(distinct_count(), WORDS, in_state=True, other_processes=False)
    check_laws(CountCombineFn(), WORDS, in_state=True, other_processes=False)
    for combine_fn in (MeanCombineFn(), TopCombineFn(2)):
        with pytest.raises(LawBroken) as caught:
            check_laws(combine_fn, NUMBERS, in_state=True, other_processes=False)
        assert caught.value.law == "state goes on"

    class TopOfNothing(TopCombineFn):
        def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
            return super().merge_accumulators([*accumulators] or [(False, [])])

    with pytest.raises(LawBroken, match="asked, and then to it"):
        check_laws(TopOfNothing(2), NUMBERS, in_state=True, other_processes=False)


@pytest.mark.parametrize(
    ("combine_fn", "hint"),
    [
        (MeanCombineFn(), "pass equal=within"),
        (ToListCombineFn(), "pass an equal= that sorts both"),
    ],
)
def test_a_message_tells_when_the_comparison_may_be_to_blame(combine_fn: Any, hint: str) -> None:
    with pytest.raises(LawBroken, match=hint):
        check_laws(combine_fn, [1.1, 2.2, 6.3, 6.4], other_processes=False)


class Odd:
    def __repr__(self) -> str:
        return "Odd()"


def test_answers_that_cannot_be_told_apart_by_eye_get_a_hint() -> None:
    class Answers(Listing):
        def extract_output(self, accumulator: list[Any]) -> Any:
            del accumulator
            return Odd()

    with pytest.raises(LawBroken, match="Both print alike"):
        check_laws(Answers(), NUMBERS, other_processes=False)


class Column(Listing):
    def extract_output(self, accumulator: list[Any]) -> Any:
        return np.array(sorted(accumulator))


def test_arrays_are_compared_whole_and_other_comparisons_must_say_yes_or_no() -> None:
    check_laws(Column(), NUMBERS, other_processes=False)
    with pytest.raises(TypeError, match="equal must say True or False of two answers, and cannot for ndarray"):
        check_laws(Column(), NUMBERS, equal=operator.eq, other_processes=False)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (partial(check_laws, sum, []), "examples must hold at least one input, got none"),
        (partial(check_laws, sum, [1], trees=0), "trees must be at least 1, got 0"),
        (within, "one of the two above it, got absolute=0.0, relative=0.0"),
        (partial(within, relative=-1.0, absolute=2.0), "got absolute=2.0, relative=-1.0"),
        (partial(check_accuracy, sum, sum, range, allowed=0.1, rate=95), "got trials=50, rate=95, allowed=0.1"),
    ],
)
def test_what_cannot_be_checked_is_refused(call: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()


def test_close_answers_are_close_inside_dicts_lists_and_estimates() -> None:
    close = within(absolute=0.5)
    assert close({"a": [1, (2.2, "x")]}, {"a": [1.4, (2, "x")]})
    assert close(Estimate(10, 9, 11, 0.95), Estimate(10.5, 0, 99, 0.95))
    assert close(np.array([1.0, math.nan]), np.array([1.5, math.nan]))
    assert not close([1.0], [1.6])
    assert not close([1.0], [1.0, 1.0])
    assert not close({"a": 1}, {"b": 1})
    assert not close("a", "b")


def users(seed: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(4000) for _ in range(2000)]


def distinct(items: list[int]) -> int:
    return len(set(items))


def test_the_accuracy_of_a_sketch_is_measured_and_its_bounds_hold() -> None:
    reached = check_accuracy(distinct_count(0.05), distinct, users, allowed=0.1, rate=0.95)
    assert reached.rate >= 0.95
    assert reached.quantiles[0.5] < 0.05
    assert 0.15 > reached.worst >= reached.quantiles[0.99]
    assert reached.coverage is not None
    assert reached.coverage > 0.85
    assert check_accuracy(distinct_count(0.05), distinct, users, allowed=0.1, rate=0.95) == reached


def test_too_large_errors_are_reported_with_the_seed_that_repeats_the_worst() -> None:
    measure = partial(check_accuracy, distinct_count(0.05), distinct, users)
    with pytest.raises(LawBroken, match=r"SketchCombineFn is not as accurate as allowed: \d+ of 50 trials") as caught:
        measure(allowed=0.001, rate=0.9)
    text = str(caught.value)
    worst = re.search(r"the worst error is (\S+), of make_inputs\((\d+)\)", text)
    assert worst
    again = measure(allowed=1, rate=1.0, trials=1, seed=int(worst[2]))
    assert f"{again.worst:.4g}" == worst[1]


class Bounded(CountCombineFn):
    """A count whose bounds miss the truth in one of `every` streams."""

    def __init__(self, every: int, confidence: float) -> None:
        super().__init__()
        self._every = every
        self._confidence = confidence

    def extract_output(self, accumulator: int) -> Any:
        off = 0.25 if accumulator % self._every == 0 else 0.0
        return {"n": Estimate(accumulator + off, accumulator + off, accumulator + 1, self._confidence)}


def count(items: Any) -> dict[str, int]:
    return {"n": len(items)}


@pytest.mark.parametrize(("every", "confidence", "holds"), [(20, 0.95, True), (3, 0.95, False), (60, 1.0, False)])
def test_bounds_must_hold_as_often_as_they_say(every: int, confidence: float, holds: bool) -> None:
    measure = partial(
        check_accuracy, Bounded(every, confidence), count, range, allowed=1.0, rate=1.0, trials=100, seed=1
    )
    if holds:
        assert measure().coverage == pytest.approx(1 - 1 / every)
        return
    with pytest.raises(
        LawBroken, match=rf"states bounds of 'n' that do not hold: (?s:.*) trials=1, seed={every}"
    ) as caught:
        measure()
    assert caught.value.law == "bounds"


def test_the_page_shows_what_laws_really_tell() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, re.DOTALL)
    wrong, right, measured, *_ = [text for kind, text in blocks if kind == "python"]
    for law in (fresh, *LAWS, pickling, elsewhere, in_state):
        assert f"| {law.name} | {law.rule.rstrip('.')} | {law.harm} |" in page
    said = next(text for kind, text in blocks if kind == "text")
    names: dict[str, Any] = {"__name__": "example"}
    exec(wrong, names)  # noqa: S102  a page's example is run as it stands
    with pytest.raises(LawBroken) as caught:
        names["test_mean"]()
    assert str(caught.value) == said.strip()
    exec(right, names)  # noqa: S102
    names["test_mean"]()
    exec(measured, names)  # noqa: S102
    names["test_distinct_users"]()
