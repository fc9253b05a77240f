"""Answers as Arrow arrays, one for each sketch: estimates as structs, quantiles and frequent items as lists of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from transforms.sketches.estimate import Estimate
from transforms.sketches.sketch import Sketch

ESTIMATE = pa.struct({name: pa.float64() for name in Estimate.__dataclass_fields__})
_FIELDS = tuple(Estimate.__dataclass_fields__)


def estimate_array(value: ArrayLike, low: ArrayLike, high: ArrayLike, confidence: ArrayLike) -> pa.StructArray:
    """Estimates from their parts: a struct of value, low, high and confidence."""
    parts = np.broadcast_arrays(np.asarray(value, np.float64), low, high, confidence)
    return pa.StructArray.from_arrays([pa.array(part.astype(np.float64)) for part in parts], _FIELDS)


def list_array(sizes: NDArray[Any], label: str, labels: pa.Array, estimates: pa.StructArray) -> pa.ListArray:
    """Lists of estimates, each with what it is of: the answer about sketch i has `sizes[i]` of them."""
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    items = pa.StructArray.from_arrays([labels, *estimates.flatten()], [label, *_FIELDS])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items)


def answer_array(answers: Sequence[Any]) -> pa.Array:
    """Answers of any kind as an array; sketches as sealed bytes, and what has no rule here as Arrow has it.

    >>> answer_array([{0.5: Estimate.exact(2.0)}, {}]).to_pylist()
    [[{'q': 0.5, 'value': 2.0, 'low': 2.0, 'high': 2.0, 'confidence': 1.0}], []]
    """
    first = next((answer for answer in answers if answer is not None), None)
    if isinstance(first, Estimate):
        return _estimates(answers)
    if isinstance(first, Sketch):
        return pa.array([answer.to_bytes() for answer in answers], pa.large_binary())
    if isinstance(first, dict | list) and all(isinstance(e, Estimate) for _, e in _pairs(answers)):
        pairs = _pairs(answers)
        sizes = np.array([len(answer) for answer in answers])
        label, kind = ("q", pa.float64()) if isinstance(first, dict) else ("item", None)
        return list_array(
            sizes, label, pa.array([of for of, _ in pairs], kind), _estimates([estimate for _, estimate in pairs])
        )
    return pa.array(answers)


def _pairs(answers: Sequence[Any]) -> list[tuple[Any, Any]]:
    return [pair for answer in answers for pair in (answer.items() if isinstance(answer, dict) else answer)]


def _estimates(answers: Sequence[Estimate]) -> pa.StructArray:
    return estimate_array(*([getattr(answer, name) for answer in answers] for name in _FIELDS))
