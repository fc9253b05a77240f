"""ReduceByWindow and CountByWindow: one answer for all values of a window."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.counting import CountByWindow
from transforms.reducing import ReduceByWindow
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000


@pytest.mark.parametrize(
    ("transform", "answer"), [(ReduceByWindow(max), max), (CountByWindow(), len)], ids=["max", "count"]
)
def test_each_window_with_values_has_one_answer(
    in_process: Callable[..., Any], transform: beam.PTransform, answer: Callable[[list[int]], int]
) -> None:
    chance = random.Random(5)
    times = [chance.randrange(60) for _ in range(30)]
    values = [(time, chance.randrange(1000)) for time in times]
    windows: dict[int, list[int]] = {}
    for time, value in values:
        for end in (time // 5 * 5 + 5, time // 5 * 5 + 10):  # those of 10 seconds, every 5, that hold it
            windows.setdefault(end, []).append(value)
    with in_process() as pipeline:
        stamped = pipeline | beam.Create([TimestampedValue(value, NOON + time) for time, value in values])
        answers = stamped | ApplyWindow(WindowPolicy("10s/5s")) | transform
        ends = answers | beam.Map(lambda one, window=beam.DoFn.WindowParam: (int(window.end) - NOON, one))
        assert_that(ends, equal_to([(end, answer(held)) for end, held in windows.items()]))
