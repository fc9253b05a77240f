"""Tallies: every record counts once, in the window where anyone would look for it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms import tallies
from transforms.schemas import WrittenFile
from transforms.tallies import Aside, CountByWindow, CountWrittenByWindow, Tally, bound_of, moment_of, tallies_of
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import AllTime, parse_window

NOON = 1_000_000
FOREVER = 2**63 - 1


def timed(time: float) -> TimestampedValue:
    return TimestampedValue(f"at {time}", time)


def summed(told: list[Tally]) -> Counter[tuple[float, float]]:
    total: Counter[tuple[float, float]] = Counter()
    for tally in told:
        total[tally.start / 1e6, tally.end / 1e6] += tally.records
    return total


@pytest.mark.parametrize(
    ("window", "size", "step"),
    [("10s", 10, 10), ("1m/20s", 60, 20), ("session 7s", 7, 7)],  # of sessions, pieces of their gap
)
@pytest.mark.parametrize("together", [7, 100_000])
def test_every_record_counts_once_in_the_last_window_that_holds_it(
    in_process: Any, window: str, size: int, step: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "_TOGETHER", together)
    chance = random.Random(1)
    times = [NOON + chance.uniform(0, 200) for _ in range(500)]
    expected = Counter((time // step * step, time // step * step + size) for time in times)
    with in_process() as pipeline:
        records = pipeline | beam.Create(times) | beam.Map(timed) | ApplyWindow(WindowPolicy("1h"))
        counted = records | CountByWindow(parse_window(window)) | beam.combiners.ToList()
        assert_that(counted | beam.Map(summed), equal_to([expected]))


def test_rows_of_batches_count_and_what_is_aside_counts_by_its_own_time(in_process: Any) -> None:
    noon = datetime.fromtimestamp(NOON, UTC)
    batch = pa.RecordBatch.from_pydict({"at": pa.array([noon] * 3, pa.timestamp("ms", tz="UTC"))})
    aside = "record", Aside(noon, noon, noon, datetime.fromtimestamp(NOON + 500, UTC))
    window = parse_window("10s")
    with in_process() as pipeline:
        rows = pipeline | beam.Create([batch, batch.slice(0, 0), batch.slice(1)]) | CountByWindow(window, "at")
        assert_that(
            rows | "R" >> beam.combiners.ToList() | beam.Map(summed), equal_to([{(NOON, NOON + 10): 5}]), "rows"
        )
        late = pipeline | "Late" >> beam.Create([aside]) | "L" >> CountByWindow(window)
        assert_that(late, equal_to([Tally(NOON * 10**6, (NOON + 10) * 10**6, 1)]), "late")
        timeless = pipeline | "Timeless" >> beam.Create(["without a time"]) | "T" >> CountByWindow(window)
        assert_that(timeless, equal_to([]), "timeless")


def test_a_tally_stands_at_the_end_of_its_window_or_when_its_records_were_told() -> None:
    times = np.array([1, 9, 12]) * 10**6
    (one, two) = tallies_of(parse_window("10s"), times, np.array([1, 9, 500]) * 10**6)
    assert (one.value, one.timestamp.micros) == (Tally(0, 10**7, 2), 10**7 - 1)
    assert (two.value, two.timestamp.micros) == (Tally(10**7, 2 * 10**7, 1), 500 * 10**6)
    (all_of_them,) = tallies_of(AllTime(), times, times)
    assert all_of_them.value == Tally(-FOREVER, FOREVER, 3)


def test_when_a_record_is_told_does_not_follow_from_those_that_come_with_it() -> None:
    """A run that goes on after a crash sees other bundles: what was told of windows that are over is not told again."""
    chance = random.Random(8)
    times = np.array([chance.randrange(100) for _ in range(400)]) * 10**6
    told = np.array([chance.choice([0, 150, 160, 300]) for _ in times]) * 10**6

    def tallied(size: int) -> Counter[tuple[int, int]]:
        total: Counter[tuple[int, int]] = Counter()
        for first in range(0, times.size, size):
            part = slice(first, first + size)
            for tally in tallies_of(parse_window("10s"), times[part], told[part]):
                total[tally.value.start, tally.timestamp.micros] += tally.value.records
        return total

    assert tallied(1) == tallied(7) == tallied(400)
    assert tallied(400).total() == 400


def test_files_count_in_the_windows_that_they_are_named_after(in_process: Any) -> None:
    with in_process() as pipeline:
        files = pipeline | beam.Create([TimestampedValue(WrittenFile("a", 3), NOON + 1)]) | beam.Map(lambda file: file)
        cut = files | ApplyWindow(WindowPolicy("10s")) | CountWrittenByWindow()
        assert_that(cut, equal_to([Tally(NOON * 10**6, (NOON + 10) * 10**6, 3)]), "cut")
        assert_that(files | "Whole" >> CountWrittenByWindow(), equal_to([Tally(-FOREVER, FOREVER, 3)]), "whole")


def test_times_that_no_calendar_has_become_the_last_that_one_has() -> None:
    assert moment_of(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert moment_of(2**62).year == 9999
    assert moment_of(-(2**62)).year == 1
    assert bound_of(FOREVER) is bound_of(-FOREVER) is None
    assert bound_of(10**6) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
