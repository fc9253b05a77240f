"""Measures as text: each kind reads, and what is none is refused with an example."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.measures import parse_measure, parse_measures


@pytest.mark.parametrize(
    ("text", "name", "items", "answer"),
    [
        ("count", "count", ["a", "a"], 2),
        ("sum:bytes", "sum:bytes", [1, 2], 3),
        ("mean:bytes", "mean:bytes", [1, 2], 1.5),
        ("min:bytes", "min:bytes", [1, 2], 1.0),
        ("max:bytes", "max:bytes", [1, 2], 2.0),
    ],
)
def test_exact_measures_answer(text: str, name: str, items: list[Any], answer: object) -> None:
    parsed, measure = parse_measure(text)
    sketch = measure.combine_fn.make()
    sketch.add_many(items)
    assert (parsed, measure.combine_fn.answer(sketch)) == (name, answer)  # type: ignore[misc]


def test_errors_and_arguments_choose_the_sketch() -> None:
    def made(text: str) -> Any:
        return parse_measure(text)[1].combine_fn.make()

    assert made("distinct:user@0.1").parameters["precision"] < made("distinct:user@0.01").parameters["precision"]
    assert made("loghist:latency=0.5@0.001").relative_error < made("loghist:latency=0.5").relative_error
    assert made("top:page=5").parameters != made("top:page=50").parameters


def test_names_are_kind_and_column_and_occur_once() -> None:
    assert list(parse_measures(["count", "distinct:user.id@0.02", "quantiles:latency=0.5,0.99"])) == [
        "count", "distinct:user.id", "quantiles:latency"
    ]  # fmt: skip
    with pytest.raises(ValueError, match="one measure top:page, got another one: 'top:page=3'"):
        parse_measures(["top:page=20", "top:page=3"])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must begin with one of count, sum"),
        ("median:latency", "must begin with one of count, sum"),
        ("distinct", "needs a column, for example distinct:latency"),
        ("count:user", "takes no column"),
        ("sum:bytes=3", "takes nothing after ="),
        ("mean:bytes@0.1", "has no error to choose"),
        ("distinct:user@lots", "cannot read the measure .* for example distinct:user@0.02"),
        ("distinct:user@7", "error must be between 0 and 1.* for example distinct:user@0.02"),
        ("quantiles:latency=fast", "cannot read the measure .* for example quantiles:latency=0.5,0.99"),
        ("quantiles:latency=50", "ranks must lie between 0 and 1"),
        ("top:page=0", "n must be at least 1"),
    ],
)
def test_what_is_no_measure_is_refused_with_an_example(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_measure(text)
