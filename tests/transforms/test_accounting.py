"""The ledger: it balances, or it says by how much it does not."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from hypothesis import given
from hypothesis import strategies as st

from transforms.accounting import Account, AccountByWindow, CountRecords, CountWritten, Ledger, WindowLedger
from transforms.schemas import WrittenFile
from transforms.tallies import Tally
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy

NOON = 1_000_020  # the beginning of a minute


@given(st.lists(st.integers(0, 10**12), min_size=6, max_size=6))
def test_what_went_somewhere_is_not_missing(went: list[int]) -> None:
    assert Ledger(sum(went), *went).missing == 0
    assert Ledger(sum(went) + 3, *went).missing == 3
    assert "3 MISSING" in str(Ledger(sum(went) + 3, *went))
    assert "1 TOO MANY" in str(Ledger(sum(went), went[0] + 1, *went[1:]))


def test_counts_in_pieces_and_in_windows_make_one_ledger(in_process: Any) -> None:
    with in_process() as pipeline:
        read = pipeline | "Read" >> beam.Create([3, 4])
        used = pipeline | "Used" >> beam.Create([5]) | ApplyWindow(WindowPolicy("10s"))
        files = pipeline | "Files" >> beam.Create([WrittenFile("a", 1), WrittenFile("b", 1)]) | CountWritten()
        none = pipeline | "None" >> beam.Create([]) | CountRecords()
        ledger = {"read": read, "used": used, "rejected": files, "filtered": none} | Account()
        assert_that(ledger, equal_to([Ledger(read=7, used=5, rejected=2)]))


def test_a_ledger_that_does_not_balance_is_an_error_in_the_log(
    in_process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), in_process() as pipeline:
        pieces = {name: pipeline | name >> beam.Create([count]) for name, count in {"read": 2, "used": 1}.items()}
        _ = pieces | Account()
    assert "does not balance: 2 read, but 1 used: 1 MISSING" in caplog.text


def tally(second: int, records: int) -> Tally:
    return Tally(second * 10**6, (second + 10) * 10**6, records)


def test_each_window_has_a_ledger_and_their_sum_is_that_of_all(in_process: Any) -> None:
    with in_process() as pipeline:
        read = pipeline | "Read" >> beam.Create([tally(0, 3), tally(10, 1), tally(0, 2)])
        used = pipeline | "Used" >> beam.Create([tally(10, 1), tally(0, 1)]) | ApplyWindow(WindowPolicy("1h"))
        late = pipeline | "Late" >> beam.Create([tally(0, 4)])
        ledgers = {"read": read, "used": used, "late": late} | AccountByWindow()
        first, second, third = (datetime(1970, 1, 1, 0, 0, at, tzinfo=UTC) for at in (0, 10, 20))
        expected = [
            WindowLedger(read=5, used=1, late=4, window_start=first, window_end=second),
            WindowLedger(read=1, used=1, window_start=second, window_end=third),
        ]
        assert_that(ledgers, equal_to(expected))
        assert str(expected[0] + expected[1]) == "6 read = 2 used + 4 late"


def test_a_window_that_does_not_balance_is_an_error_in_the_log(
    in_process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), in_process() as pipeline:
        pieces = {
            name: pipeline | name >> beam.Create([tally(10, count)]) for name, count in {"read": 2, "used": 3}.items()
        }
        _ = pieces | AccountByWindow()
    assert "window from 1970-01-01 00:00:10+00:00 to" in caplog.text
    assert "does not balance: 2 read, but 3 used: 1 TOO MANY" in caplog.text


def test_over_a_stream_a_ledger_must_say_when_it_is_told() -> None:
    stream = beam.Pipeline(runner="FnApiRunner") | TestStream()
    with pytest.raises(ValueError, match="must say when it is told, got no `told` window: give one, for example told="):
        _ = {"read": stream} | AccountByWindow()
    with pytest.raises(ValueError, match="must say when it is told, got no `told` window: give one"):
        _ = {"read": stream} | "InAll" >> Account()


def test_over_a_stream_a_ledger_comes_in_pieces_that_sum_to_it() -> None:
    arrivals = TestStream(coder=FastPrimitivesCoder())
    for start in (NOON, NOON + 60):
        arrivals = arrivals.add_elements([TimestampedValue((name, 3), start + 1) for name in ("read", "used")])
        arrivals = arrivals.advance_watermark_to(start + 30)
        arrivals = arrivals.add_elements([TimestampedValue(("read", 1), start + 31)]).advance_watermark_to(start + 60)
        arrivals = arrivals.add_elements([TimestampedValue(("late", 1), start + 59)])  # told after its minute
    arrivals = arrivals.advance_watermark_to(NOON + 1000).advance_watermark_to_infinity()
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        told = pipeline | arrivals
        counts = {
            name: told
            | f"Is {name}" >> beam.Filter(lambda count, name: count[0] == name, name)
            | f"How many {name}" >> beam.Values()
            for name in ("read", "used", "late")
        }
        ledgers = counts | Account(WindowPolicy("1m", allowed_lateness="1m")) | ForgetTime()
        on_time, late = Ledger(read=4, used=3), Ledger(late=1)
        assert_that(ledgers, equal_to([on_time, late, on_time, late]))
