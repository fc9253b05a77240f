"""The ledger: it balances, or it says by how much it does not."""

from __future__ import annotations

import logging
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from transforms.accounting import Account, CountRecords, CountWritten, Ledger
from transforms.schemas import WrittenFile
from transforms.windowing import ApplyWindow, WindowPolicy


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
