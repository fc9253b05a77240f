"""Conditions: what rows they keep, against an oracle row by row, and what they refuse."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.conditions import Condition, KeepRows

if TYPE_CHECKING:
    from tests.conftest import NewPipeline

Row: TypeAlias = dict[str, Any]
Told: TypeAlias = tuple[str, Callable[[Row], Any]]  # a part of a condition, and what it is worth for a row

NUMBERS, TEXTS = ("n", "m"), ("t", "u.v")
WORDS = ["", "a", "ab", "Ab", "b'c", 'x"y', "日本"]
ROWS = st.lists(
    st.fixed_dictionaries(
        {"n": st.none() | st.integers(-3, 3), "m": st.none() | st.sampled_from([-1.5, 0.0, 2.0])}
        | {name: st.none() | st.sampled_from(WORDS) for name in TEXTS}
        | {"b": st.none() | st.booleans()}
    ),
    max_size=8,
)


def strict(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of what is missing, nothing is known."""
    return lambda *values: None if None in values else function(*values)


def both(one: Any, other: Any) -> Any:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def of(function: Callable[..., Any], *parts: Told) -> Callable[[Row], Any]:
    return lambda row: function(*(value(row) for _, value in parts))


numbers: st.SearchStrategy[Told] = st.recursive(
    st.sampled_from(NUMBERS).map(lambda name: (name, lambda row: row[name]))
    | st.integers(-3, 3).map(lambda n: (str(n), lambda _: n)),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda t: (f"({t[0][0]} {t[1]} {t[2][0]})", of(strict(OPERATORS[t[1]]), t[0], t[2]))
    ),
    max_leaves=4,
)
texts: st.SearchStrategy[Told] = st.sampled_from(TEXTS).map(
    lambda name: (name, lambda row: row[name])
) | st.sampled_from(TEXTS).map(lambda name: (f"lower({name})", of(strict(str.lower), (name, lambda row: row[name]))))
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
}


def compared(of_kind: st.SearchStrategy[Told], values: st.SearchStrategy[Told]) -> st.SearchStrategy[Told]:
    return st.tuples(of_kind, st.sampled_from(["==", "!=", "<", ">="]), of_kind | values).map(
        lambda t: (f"{t[0][0]} {t[1]} {t[2][0]}", of(strict(OPERATORS[t[1]]), t[0], t[2]))
    )


words: st.SearchStrategy[Told] = st.sampled_from(WORDS).map(lambda word: (repr(word), lambda _: word))
simple: st.SearchStrategy[Told] = st.one_of(
    compared(numbers, numbers),
    compared(texts, words),
    st.just(("b", lambda row: row["b"])),
    st.sampled_from([*NUMBERS, *TEXTS]).map(lambda name: (f"{name} is None", lambda row: row[name] is None)),
    st.tuples(texts, st.sampled_from(WORDS)).map(
        lambda t: (f"contains({t[0][0]}, {t[1]!r})", of(strict(lambda text: t[1] in text), t[0]))
    ),
    st.tuples(texts, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)).map(
        lambda t: (f"{t[0][0]} not in {t[1]!r}", of(strict(lambda text: text not in t[1]), t[0]))
    ),
)
conditions: st.SearchStrategy[Told] = st.recursive(
    simple,
    lambda inner: (
        st.tuples(inner, inner).map(lambda t: (f"({t[0][0]} and {t[1][0]})", of(both, *t)))
        | st.tuples(inner, inner).map(
            lambda t: (f"({t[0][0]} or {t[1][0]})", lambda row: negated(both(*(negated(v(row)) for _, v in t))))
        )
        | inner.map(lambda t: (f"not ({t[0]})", of(negated, t)))
    ),
    max_leaves=6,
)
negated = strict(lambda value: not value)


@settings(deadline=None)
@given(condition=conditions, rows=ROWS)
def test_rows_fulfil_a_condition_as_an_oracle_says(condition: Told, rows: list[Row]) -> None:
    text, oracle = condition
    nested = [{**row, "u": {"v": row["u.v"]}} for row in rows]
    u = pa.struct([("v", pa.string())])
    schema = pa.schema([("n", pa.int64()), ("m", pa.float64()), ("t", pa.string()), ("u", u), ("b", pa.bool_())])
    mask = Condition(text, {"b": "boolean"}).mask(pa.RecordBatch.from_pylist(nested, schema))
    assert mask.to_pylist() == [oracle(row) for row in rows]


def kept(text: str, *values: Any, name: str = "x", **more: Any) -> list[Any]:
    rows = pa.RecordBatch.from_pydict({name: pa.array(values)})
    return [value for value, keep in zip(values, Condition(text, **more).mask(rows).to_pylist(), strict=True) if keep]


def test_what_can_be_said() -> None:
    assert kept("2 <= x < 5", 1, 2, 4.5, 5, None) == [2, 4.5]
    assert kept("x % 3 == 1 and x / 2 > 1", 1, 4, -2, 7) == [4, 7]
    assert kept("length(x) > 2", "ab", "日本語", None) == ["日本語"]
    assert kept("startswith(x, '/api') or endswith(x, '.js')", "/api/1", "/", "/a.js") == ["/api/1", "/a.js"]
    assert kept("matches(x, '^[0-9]+$')", "12", "1a") == ["12"]
    assert kept("x is not None", 0, None, 2) == [0, 2]
    assert kept('field("x-id") == "a"', "a", "b", name="x-id") == ["a"]
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert kept("x >= '2026-03-01T12:00:00Z'", noon, noon.replace(hour=11), kinds={"x": "time"}) == [noon]
    assert kept("x < '2026-03-02'", noon, noon.replace(day=2), kinds={"x": "time"}) == [noon]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("status = 500", "must be like status >= 500 .* to compare, write =="),
        ("", "must be like status >= 500"),
        ("__import__('os').system('true')", "is not understood"),
        ("x.y()", "is not understood"),
        ("[x for x in y]", "is not understood"),
        ("x if y else z", "is not understood"),
        ("lambda: 1", "is not understood"),
        ("f'{x}' == 'a'", "is not understood"),
        ("x ** 2 > 1", "is not understood"),
        ("open(x)", "is not understood"),
        ("x == None", "is never equal to anything: write `is None`"),
        ("x is 5", "must be None where `is` stands before it"),
        ("x in y", "must be values in brackets"),
        ("x > 5 and x == 'a'", "'a' must be a number, and is a text"),
        ("x > 5 and startswith(x, 'a')", "the field x is used as a number and as a text"),
        ("5", "5 must be true or false, and is a number"),
        ("matches(x, '(')", "is no regular expression"),
        ("lower(x, 'a') == 'b'", "lower takes 1 arguments, got 2"),
        ("contains(x, y)", "must be a text, in quotes"),
        ("x == b'1'", "must be a number, a text, True, False or None"),
        ("not " * 200 + "x", "must be at most 100 levels deep, got one of 202"),
        ("-" * 100_000 + "1 > 0", "must be at most 100 levels deep, got one that is deeper"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_part(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Condition(text)


def test_whole_numbers_of_64_bits_are_told_from_their_neighbours() -> None:
    great = 469_113_283_457_155_073
    assert kept(f"x == {great}", great, great - 1, None) == [great]
    assert kept(f"x in ({great}, -{great})", -great, great + 1) == [-great]
    assert kept("x > 0.5", 2**62, 0, 1) == [2**62, 1]
    assert kept(f"x < {2**70}", 2**62) == [2**62]
    assert kept("x / 2 == 1.5", 3, 2) == [3]  # and not whole numbers divided as such


def test_of_a_column_without_a_value_nothing_is_known() -> None:
    assert kept("x >= 500 or not x < 5", None, None) == []
    empty = pa.record_batch({"x": pa.nulls(2, pa.string())})  # as a field is read that nobody has
    assert Condition("x >= 500").mask(empty).to_pylist() == [None, None]


def test_columns_of_another_kind_are_told() -> None:
    with pytest.raises(ValueError, match="the condition 'x == y' cannot be asked of x: int64, y: string"):
        Condition("x == y").mask(pa.record_batch({"x": [1], "y": ["a"]}))
    condition = Condition("status >= 500")
    with pytest.raises(ValueError, match="the field status must be a number for its condition, got string"):
        condition.mask(pa.record_batch({"status": ["high"]}))
    with pytest.raises(ValueError, match="the field status must be a number for its condition, got string"):
        condition.mask(pa.record_batch({"status": ["503"]}))
    with pytest.raises(ValueError, match="the field status must be a number for its condition, got bool"):
        condition.mask(pa.record_batch({"status": [True]}))
    with pytest.raises(ValueError, match=re.escape("there must be a column status, got path")):
        condition.mask(pa.record_batch({"path": ["/"]}))


def test_rows_are_parted_and_counted(in_process: NewPipeline) -> None:
    batches = [pa.record_batch({"n": [1, 5, None]}), pa.record_batch({"n": [9]}), pa.record_batch({"n": [0]})]
    condition = pickle.loads(pickle.dumps(Condition("n > 2")))  # noqa: S301
    with in_process() as pipeline:
        parted = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch) | KeepRows(condition)
        assert_that(parted.kept | beam.FlatMap(lambda rows: rows.to_pylist()), equal_to([{"n": 5}, {"n": 9}]))
        filtered = parted.filtered | "Rows" >> beam.FlatMap(lambda rows: rows.to_pylist())
        assert_that(filtered, equal_to([{"n": 1}, {"n": None}, {"n": 0}]), label="filtered")
