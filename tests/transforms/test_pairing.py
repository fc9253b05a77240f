"""JoinWithin: pairs that are near in time, each once, whatever the order of arrival."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest

from transforms.pairing import JoinWithin

if TYPE_CHECKING:
    from tests.transforms.conftest import Held, Tell

Sided = tuple[str, tuple[str, int]]


def join(how: Any = "inner", **options: Any) -> Any:
    def joined(sided: beam.PCollection) -> beam.PCollection:
        sides = tuple(
            sided
            | f"Of {side}" >> beam.Filter(lambda one, side=side: one[0] == side)
            | f"Pair {side}" >> beam.Values().with_output_types(tuple[str, int])
            for side in ("left", "right")
        )
        return sides | JoinWithin(**({"after": "2s", "before": "1s", "how": how} | options))

    return joined


def reference(records: list[tuple[float, Sided]], how: str) -> list[tuple[float, None, Any]]:
    """All pairs, tried one by one."""
    lefts, rights = ([(time, *pair) for time, (of, pair) in records if of == side] for side in ("left", "right"))
    near = [(a, b) for a in lefts for b in rights if a[1] == b[1] and -1 <= b[0] - a[0] <= 2]
    told = [(max(a[0], b[0]), None, (a[1], (a[2], b[2]))) for a, b in near]
    alone_left = [a for a in lefts if all(a is not of for of, _ in near)]
    alone_right = [b for b in rights if all(b is not of for _, of in near)]
    if how in ("left", "full"):
        told += [(round(a[0] + 2.001, 3), None, (a[1], (a[2], None))) for a in alone_left]
    if how in ("right", "full"):
        told += [(round(b[0] + 1.001, 3), None, (b[1], (None, b[2]))) for b in alone_right]
    return told


@pytest.mark.parametrize("how", ["inner", "left", "right", "full"])
def test_pairs_are_all_that_are_near_whatever_the_order_of_arrival(tell: Tell, held: Held, how: str) -> None:
    chance = random.Random(7)
    records: list[tuple[float, Sided]] = [
        (chance.randrange(0, 20_000, 500) / 1000, (chance.choice(("left", "right")), (chance.choice("abcd"), number)))
        for number in range(40)
    ]
    expected = reference(records, how)
    assert len(expected) > 10
    # The watermark passes every time at which something may be over.
    steps = [moment / 4 for moment in range(1, 100)]
    tell([*records, *steps], join(how), expected, tuple[str, tuple[str, int]])
    assert (held.cells(), held.timers()) == (0, 0)


def test_a_click_finds_its_impression_at_once_and_bounds_are_included(tell: Tell) -> None:
    story = [
        (1.0, ("left", ("a", 1))),
        (3.0, ("right", ("a", 2))),
        (3.001, ("right", ("a", 3))),
        (0.0, ("right", ("a", 4))),
        5.0, 6.0, 7.0,
    ]  # fmt: skip
    tell(story, join(), [(3.0, None, ("a", (1, 2))), (1.0, None, ("a", (1, 4)))], tuple[str, tuple[str, int]])


def test_what_is_late_finds_a_partner_within_the_lateness_only(tell: Tell, held: Held) -> None:
    story = [
        (1.0, ("left", ("a", 1))),
        3.5,
        (2.0, ("right", ("a", 2))),
        5.5,
        6.5,
        (2.0, ("right", ("a", 3))),
        9.0,
        12.0,
    ]
    tell(story, join("full", lateness="3s"), [(2.0, None, ("a", (1, 2))), (6.001, None, ("a", (None, 3)))],
         tuple[str, tuple[str, int]])  # fmt: skip
    assert (held.cells(), held.timers()) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"after": -1}, "after must be at least 0 seconds, got -1; exchange the sides"),
        ({"how": "outer"}, "a join must be inner or left or right or full, got 'outer'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        JoinWithin(**({"after": "2s"} | options))


def test_keys_of_two_types_are_refused() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    lefts = pipeline | "Lefts" >> beam.Create([("a", 1)])
    rights = pipeline | "Rights" >> beam.Create([(1, 1)])
    with pytest.raises(ValueError, match="both sides must have keys of one type"):
        (lefts, rights) | JoinWithin("1s")
