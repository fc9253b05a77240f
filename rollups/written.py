"""Answers as columns of a table and as JSON: a number, an estimate with its bounds, or a list of either."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from transforms.sketches import Estimate


def answer_columns(answer: Any) -> tuple[float | None, float | None, float | None, str | None]:
    """The columns value, low, high and answer: a number or an Estimate has the first three, the rest the last.

    >>> answer_columns(Estimate(5.0, 4.0, 6.0, 0.95)), answer_columns(3)
    ((5.0, 4.0, 6.0, None), (3.0, 3.0, 3.0, None))
    """
    if isinstance(answer, Estimate):
        return answer.value, answer.low, answer.high, None
    if answer is None or isinstance(answer, int | float):
        number = None if answer is None or math.isnan(answer) else float(answer)
        return number, number, number, None
    return None, None, None, _text(as_json(answer))


def _text(answer: Any) -> str:
    try:
        return orjson.dumps(answer).decode()
    except TypeError:  # items that JSON has no word for, such as bytes, and integers that are too long for it
        return json.dumps(answer, default=str)


def as_json(answer: Any) -> Any:
    """An answer as JSON has it: bounds beside values, quantiles by their rank, frequent items in order.

    >>> as_json({0.5: Estimate.exact(2.0)})
    {'0.5': {'value': 2.0, 'low': 2.0, 'high': 2.0}}
    >>> as_json([("a", Estimate.exact(7.0))])
    [{'item': 'a', 'count': 7.0, 'low': 7.0, 'high': 7.0}]
    """
    match answer:
        case Estimate(value, low, high):
            return {"value": value, "low": low, "high": high}
        case dict():
            return {f"{rank:g}": as_json(estimate) for rank, estimate in answer.items()}
        case list():
            return [{"item": item, "count": of.value, "low": of.low, "high": of.high} for item, of in answer]
        case float() if math.isnan(answer):
            return None
    return answer
