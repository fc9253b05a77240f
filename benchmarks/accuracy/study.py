"""A study of one sketch: what was read in each trial, and what all trials come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIZES = (*(digit * 10**power for power in range(1, 6) for digit in (1, 2, 5)), 10**6)
DEVIATIONS = (-3, -2, -1, 0, 1, 2, 3)
_SHARES = [NormalDist().cdf(deviation) for deviation in DEVIATIONS]

Column = NDArray[Any]


class Reading(NamedTuple):
    """What one sketch answered at one length of the stream."""

    errors: Column
    memory: int | None  # bytes held; None where a library does not say
    stored: int  # bytes


@dataclass(frozen=True)
class Study:
    """Trials of one sketch, and of its peers on the same streams.

    `trial(chance, sizes)` yields a length and, for each series by name, its reading there. As many trials reach a
    length as `items` of stream pay for, and no more than `most`.
    """

    sketch: str
    parameters: str
    error: str  # what is measured, in words
    trial: Callable[[np.random.Generator, tuple[int, ...]], Iterator[tuple[int, dict[str, Reading]]]]
    items: int = 10**8
    most: int = 2_000

    def trials(self, size: int, share: float) -> int:
        """How many trials reach this length."""
        return max(2, round(share * min(self.most, self.items // size)))

    def run(self, seed: int, share: float = 1.0) -> list[dict[str, Any]]:
        """All trials, as one record of columns for each series."""
        read: dict[str, dict[int, list[Reading]]] = defaultdict(lambda: defaultdict(list))
        for number in range(self.trials(SIZES[0], share)):
            sizes = tuple(size for size in SIZES if number < self.trials(size, share))
            chance = np.random.default_rng([seed, number])
            for size, readings in self.trial(chance, sizes):
                for series, reading in readings.items():
                    read[series][size].append(reading)
        about = {"sketch": self.sketch, "parameters": self.parameters, "error": self.error}
        return [{**about, "series": series, **_columns(by_size)} for series, by_size in read.items()]


def parts(stream: Column, sizes: tuple[int, ...]) -> Iterator[tuple[int, Column]]:
    """Each length, and the items that come to it since the one before."""
    for start, end in zip((0, *sizes), sizes, strict=False):
        yield end, stream[start:end]


def _columns(by_size: dict[int, list[Reading]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = defaultdict(list)
    for size, readings in by_size.items():
        errors = np.concatenate([reading.errors for reading in readings])
        memory = [reading.memory for reading in readings if reading.memory is not None]
        columns["n"].append(size)
        columns["trials"].append(len(readings))
        columns["rms"].append(_short(float(np.sqrt(np.mean(errors**2)))))
        columns["quantiles"].append([_short(float(error)) for error in np.quantile(errors, _SHARES)])
        columns["memory"].append(round(float(np.median(memory))) if memory else None)
        columns["stored"].append(round(float(np.median([reading.stored for reading in readings]))))
    return dict(columns)


def _short(number: float) -> float:
    return float(f"{number:.4g}")
