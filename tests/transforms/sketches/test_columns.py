"""Columns of numbers: the same from every holder, and nothing else passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches.columns import finite_column, float_column, number_column

WHOLE = {
    "uint8": np.array([1, 2, 4], np.uint8),
    "uint64": np.array([1, 2, 4], np.uint64),
    "Arrow": pa.array([1, 2, 4], pa.int16()),
    "Arrow in chunks": pa.chunked_array([[1], [2, 4]]),
    "a sliced Arrow array": pa.array([9, 1, 2, 4]).slice(1),
    "a tuple": (1, 2, 4),
    "a range of steps": np.arange(10)[1:5:1][[0, 1, 3]],
    "big-endian": np.array([1, 2, 4], ">i4"),
}
BROKEN = {
    "float32": np.array([0.5, 2], np.float32),
    "Arrow": pa.array([0.5, 2.0]),
    "a list": [0.5, 2],
    "objects": np.array([0.5, 2], object),
    "every other": np.array([0.5, 9.0, 2.0])[::2],
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_are_int64(name: str) -> None:
    column = number_column(WHOLE[name])
    assert column.dtype == np.int64
    assert column.tolist() == [1, 2, 4]
    assert float_column(WHOLE[name]).tolist() == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("name", BROKEN)
def test_other_numbers_are_float64(name: str) -> None:
    column = number_column(BROKEN[name])
    assert column.dtype == np.float64
    assert column.tolist() == [0.5, 2.0]


def test_numbers_beyond_64_bits_are_floats() -> None:
    assert number_column([2**63, 1]).tolist() == [2.0**63, 1.0]
    assert number_column([2**70, -(2**70)]).tolist() == [2.0**70, -(2.0**70)]


def test_an_empty_column_of_any_type_is_empty() -> None:
    for empty in ([], (), np.empty(0, np.int32), pa.array([], pa.string()), pa.chunked_array([], pa.int64())):
        assert number_column(empty).size == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, math.nan], "NaN"),
        (pa.array([1.0, math.nan]), "NaN"),
        ([1.0, None], "None"),
        (pa.array([1.0, None]), "1 nulls"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "masked"),
        (["a"], "only numbers"),
        ([True], "only numbers"),
        (pa.array([True]), "only numbers"),
        (np.array(["2026-01-01"], "M8[D]"), "only numbers"),
        ([2**70, True], "only numbers"),
        ([2**70, "a"], "only numbers"),
        ([1j], "only numbers"),
        ([[1.0], [2.0]], "one column"),
        (5.0, "one column"),
        ([10**400], "fit a float64"),
    ],
)
def test_what_is_no_column_of_numbers_is_refused(values: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        number_column(values)


def test_infinity_has_an_order_but_no_size() -> None:
    assert float_column([math.inf]).tolist() == [math.inf]
    with pytest.raises(ValueError, match="cannot add infinity"):
        finite_column([1.0, -math.inf])
