"""How far the answers of an approximate CombineFn lie from exact ones, in seeded trials."""

from __future__ import annotations

import copy
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from transforms.sketches import Estimate
from transforms.testing.laws import LawBroken
from transforms.testing.worker import Items, Parts, at_work, named

_ALLOWANCE = 0.001  # the chance to blame bounds that keep their confidence, for each question
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What the trials reached: the share within the allowed error, the worst error, and quantiles of the errors."""

    rate: float
    worst: float
    worst_seed: int  # make_inputs(worst_seed) are the inputs of the worst trial
    quantiles: Mapping[float, float]
    coverage: float | None  # the share of Estimates whose bounds held the truth; None where there were no Estimates


def relative_error(answer: Any, truth: Any) -> float:
    """The distance of a number or an Estimate from the truth, as a share of the truth; of dicts, the largest.

    >>> relative_error(98.0, 100), relative_error({"a": 1, "b": 3}, {"a": 1, "b": 2})
    (0.02, 0.5)
    """
    if isinstance(truth, Mapping):
        return max((relative_error(answer[key], value) for key, value in truth.items()), default=0.0)
    distance = abs(float(answer) - float(truth))
    return distance / abs(float(truth)) if truth else (math.inf if distance else 0.0)


def check_accuracy(
    combine_fn: Any,
    exact: Callable[[Items], Any],
    make_inputs: Callable[[int], Iterable[Any]],
    *,
    allowed: float,
    rate: float,
    trials: int = 50,
    seed: int = 0,
    error: Callable[[Any, Any], float] = relative_error,
) -> Accuracy:
    """Checks that at least `rate` of the trials come within `allowed` of the truth, and that bounds keep their word.

    Trial number t takes the inputs `make_inputs(seed + t)`, adds them in up to four parts that it merges, and compares
    the answer with `exact(inputs)` by `error(answer, truth)`. Estimates, and dicts of Estimates, must hold the truth
    between their bounds as often as their confidence says, less an allowance: bounds are blamed when ones that keep
    their confidence would miss so often in fewer than 1 of 1,000 such checks. Certain bounds (confidence 1) may never
    miss.

    Raises LawBroken with the rate that was reached, the worst error, and the seed that repeats the worst trial.

    >>> from apache_beam.transforms.combiners import CountCombineFn
    >>> check_accuracy(CountCombineFn(), len, lambda seed: range(seed), allowed=0.0, rate=1.0).rate
    1.0
    """
    if trials < 1 or not 0 < rate <= 1 or not allowed >= 0:
        raise ValueError(
            f"there must be at least 1 trial, a rate above 0 and at most 1, and an allowed error of at least 0, "
            f"got trials={trials}, rate={rate}, allowed={allowed}"
        )
    fn, name = named(copy.deepcopy(combine_fn))
    bounds = _Bounds()
    errors = []
    with at_work(fn) as worker:
        for number in range(seed, seed + trials):
            inputs = list(make_inputs(number))
            truth = exact(inputs)
            answer = worker.merged(_cut(inputs, number))
            errors.append(float(error(answer, truth)))
            bounds.see(answer, truth, number)
    worst = max(range(trials), key=lambda trial: (math.isnan(errors[trial]), errors[trial]))
    quantiles = dict(zip(_QUANTILES, map(float, np.quantile(errors, _QUANTILES, method="higher")), strict=True))
    near = sum(found <= allowed for found in errors)
    reached = Accuracy(near / trials, errors[worst], seed + worst, quantiles, bounds.coverage)
    if reached.rate < rate:
        raise LawBroken(
            f"{name} is not as accurate as allowed: {near} of {trials} trials are within {allowed:g} of "
            f"the truth ({reached.rate:.1%}), and {rate:.1%} must be\n"
            f"  the worst error is {reached.worst:.4g}, of make_inputs({reached.worst_seed}); the median "
            f"{quantiles[0.5]:.4g}\n  to repeat the worst trial: trials=1, seed={reached.worst_seed}",
            "accuracy",
            [],
        )
    bounds.check(name)
    return reached


def _cut(inputs: Items, seed: int) -> Parts:
    chance = random.Random(seed)  # noqa: S311  chance, no secret
    cuts = sorted(chance.randint(0, len(inputs)) for _ in range(3))
    return [inputs[start:end] for start, end in pairwise([0, *cuts, len(inputs)])]


class _Bounds:
    """Whether each question's bounds held the truth, by trial."""

    def __init__(self) -> None:
        self._held: dict[tuple[Any, float], list[tuple[bool, int, Estimate, float]]] = defaultdict(list)

    def see(self, answer: Any, truth: Any, seed: int, question: Any = None) -> None:
        if isinstance(answer, Estimate):
            held = bool(answer.low <= truth <= answer.high)
            self._held[question, answer.confidence].append((held, seed, answer, truth))
        elif isinstance(answer, Mapping) and isinstance(truth, Mapping):
            for key in answer.keys() & truth.keys():
                self.see(answer[key], truth[key], seed, key)

    @property
    def coverage(self) -> float | None:
        seen = [held for trials in self._held.values() for held, *_ in trials]
        return sum(seen) / len(seen) if seen else None

    def check(self, name: str) -> None:
        for (question, confidence), trials in self._held.items():
            missed = [trial for trial in trials if not trial[0]]
            if missed and _at_least(len(missed), len(trials), 1 - confidence) < _ALLOWANCE:
                _, seed, answer, truth = missed[0]
                allowed = (
                    "which may never miss"
                    if confidence == 1
                    else "which miss so often in fewer than 1 of 1,000 such checks"
                )
                asked = "" if question is None else f" of {question!r}"
                raise LawBroken(
                    f"{name} states bounds{asked} that do not hold: {len(missed)} of {len(trials)} trials have the "
                    f"truth outside of bounds of confidence {confidence:g}, {allowed}\n"
                    f"  for example {answer.low:g} to {answer.high:g} where the truth is {truth:g}\n"
                    f"  to repeat it: trials=1, seed={seed}",
                    "bounds",
                    [],
                )


def _at_least(misses: int, trials: int, chance: float) -> float:
    """The probability of at least so many misses."""
    fewer = (math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(misses))
    return max(0.0, 1.0 - math.fsum(fewer))
