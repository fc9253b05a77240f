"""Deduplicate: what comes again within a time, exactly."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest

from transforms.repeats import Deduplicate
from transforms.windowing import ApplyWindow, WindowPolicy

if TYPE_CHECKING:
    from tests.transforms.conftest import Held, Tell


def told_apart(items: beam.PCollection, **options: Any) -> beam.PCollection:
    both = items | Deduplicate(lambda item: item[0], **({"within": "2s"} | options))
    fresh = both.fresh | "Fresh" >> beam.Map(lambda item: ("fresh", item[1]))
    return (fresh, both.repeated | "Repeated" >> beam.Map(lambda item: ("repeated", item[1]))) | beam.Flatten()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_item_is_fresh_unless_one_of_its_id_was_fresh_that_near(tell: Tell, held: Held, seed: int) -> None:
    chance = random.Random(seed)
    items = [(chance.randrange(0, 20_000, 250) / 1000, (chance.choice("abc"), number)) for number in range(40)]
    fresh: dict[str, list[float]] = {}
    expected = []
    for time, (key, number) in items:
        repeated = any(abs(time - then) <= 2 for then in fresh.setdefault(key, []))
        fresh[key] += [] if repeated else [time]
        expected.append((time, None, ("repeated" if repeated else "fresh", number)))
    assert len({answer for _, _, (answer, _) in expected}) == 2
    steps = [moment / 4 for moment in range(1, 100)]
    tell([*items, *steps], told_apart, expected)
    assert (held.cells(), held.timers()) == (0, 0)


def test_times_are_forgotten_when_the_watermark_is_beyond_them(tell: Tell, held: Held) -> None:
    story = [(1.0, ("a", 1)), 2.0, (1.5, ("a", 2)), 3.5, (1.5, ("a", 3)), 4.0, 5.0]
    tell(story, told_apart, [(1.0, None, ("fresh", 1)), (1.5, None, ("repeated", 2)), (1.5, None, ("fresh", 3))])
    assert (held.cells(), held.timers()) == (0, 0)


def test_with_a_lateness_late_repeats_are_still_found(tell: Tell) -> None:
    story = [(1.0, ("a", 1)), 3.5, (1.5, ("a", 2)), 5.5, 6.0]
    tell(
        story,
        lambda items: told_apart(items, lateness="2s"),
        [(1.0, None, ("fresh", 1)), (1.5, None, ("repeated", 2))],
    )


def test_windows_are_apart(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 1)), (0.6, ("a", 2)), (1.5, ("a", 3)), 1.0, 2.0, 3.0, 4.0]
    tell(
        story,
        lambda items: told_apart(items | ApplyWindow(WindowPolicy("1s"))),
        [(0.5, 1, ("fresh", 1)), (0.6, 1, ("repeated", 2)), (1.5, 2, ("fresh", 3))],
    )
    assert (held.cells(), held.timers()) == (0, 0)


@pytest.mark.parametrize(
    ("options", "window", "message"),
    [
        ({"within": 0}, "all", "within must be longer than 0 seconds"),
        ({"id_type": object}, "all", "the form of its bytes must be known"),
        ({}, "session 5m", "windows that merge have no state"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], window: str, message: str) -> None:
    items = beam.Pipeline(runner="FnApiRunner") | beam.Create([("a", 1)]) | ApplyWindow(WindowPolicy(window))
    with pytest.raises(ValueError, match=message):
        told_apart(items, **options)
