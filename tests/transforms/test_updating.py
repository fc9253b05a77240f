"""UpdateStateByKey: states carried from window to window, whatever the order of arrival."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.updating import UpdateStateByKey

if TYPE_CHECKING:
    from tests.transforms.conftest import Held, Tell

NOON = 1_000_000


def remember(values: list[int], before: tuple[int, int] | None) -> tuple[int, int] | None:
    """Sum and silent windows; a value below zero removes the key, and order matters."""
    total, silences = before or (0, 0)
    for value in values:
        if value < 0:
            return None
        total = total * 3 % 1009 + value
    return total, 0 if values else silences + 1


def add_up(values: list[int], before: int | None) -> int | None:
    return None if -1 in values else (before or 0) + sum(values)


def reference(
    records: list[tuple[float, tuple[str, int]]], width: int, timeout: float, every: bool
) -> list[tuple[int, tuple[str, Any]]]:
    """Every key through all windows, one by one."""
    windows: dict[str, dict[int, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for time, (key, value) in records:
        windows[key][int(time // width + 1) * width].append((time, value))
    told = []
    for key, of_key in windows.items():
        state, last = None, 0
        for end in range(width, max(of_key) + int(timeout) + 2 * width, width):
            if state is not None and end > last + timeout:
                state = None
            if end in of_key:
                last = end
                state = remember([value for _, value in sorted(of_key[end])], state)
            elif state is not None and every:
                state = remember([], state)
            else:
                continue
            if state is not None:
                told.append((end, (key, state)))
    return told


def ended(answer: Any, window: Any = beam.DoFn.WindowParam) -> tuple[int, Any]:
    return int(window.end) - NOON, answer


@pytest.mark.parametrize("tell_when", ["every window", "changes"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_states_are_those_of_going_through_all_windows_in_order(
    in_process: Callable[..., Any], seed: int, tell_when: Any
) -> None:
    chance = random.Random(seed)
    records = [
        (chance.randrange(200_000) / 1000, (chance.choice("abcdefgh"), chance.randrange(-1, 9))) for _ in range(80)
    ]
    expected = reference(records, 5, 12, tell_when == "every window")
    assert len(expected) > 40
    with in_process() as pipeline:
        pairs = pipeline | timed(*records)
        states = pairs | UpdateStateByKey(remember, state=tuple[int, int], window="5s", timeout=12, tell=tell_when)
        assert_that(states | beam.Map(ended), equal_to(expected))


def timed(*pairs: tuple[float, tuple[str, int]]) -> beam.Create:
    stamped = [TimestampedValue(pair, NOON + time) for time, pair in pairs]
    return beam.Create(stamped).with_output_types(tuple[str, int])


def add_up_every_second(pairs: beam.PCollection, **options: Any) -> beam.PCollection:
    options = {"state": int, "window": "1s", "timeout": "2s"} | options
    return pairs | UpdateStateByKey(add_up, **options)


def test_a_key_is_told_in_each_window_until_its_timeout_and_then_nothing_of_it_is_held(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 1)), 1.0, 2.0, 3.0, 4.0, 5.0, (5.5, ("a", 10)), 6.0, 7.0, 8.0, 9.0]
    tell(
        story,
        add_up_every_second,
        [
            (0.999999, 1, ("a", 1)),
            (1.999999, 2, ("a", 1)),
            (2.999999, 3, ("a", 1)),
            (5.999999, 6, ("a", 10)),
            (6.999999, 7, ("a", 10)),
            (7.999999, 8, ("a", 10)),
        ],
    )
    assert (held.cells(), held.timers()) == (0, 0)


def test_what_arrives_out_of_order_is_taken_in_the_order_of_its_windows(tell: Tell) -> None:
    story = [(2.5, ("a", 100)), (0.5, ("a", 1)), (1.5, ("a", -1)), (0.2, ("a", 10)), 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    tell(
        story,
        lambda pairs: add_up_every_second(pairs, tell="changes"),
        [(0.999999, 1, ("a", 11)), (2.999999, 3, ("a", 100))],
    )


def test_what_is_late_is_taken_within_the_lateness_and_dropped_after_it(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 1)), 1.0, 1.4, (0.6, ("a", 10)), 2.4, (0.7, ("a", 100)), 3.4, 4.4, 5.4, 6.4]
    tell(
        story,
        lambda pairs: add_up_every_second(pairs, window="1s, lateness 1s"),
        [(0.999999, 1, ("a", 11)), (1.999999, 2, ("a", 11)), (2.999999, 3, ("a", 11))],
    )
    assert (held.cells(), held.timers()) == (0, 0)


def test_a_removed_key_begins_anew_and_holds_nothing(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 1)), 1.0, (1.5, ("a", -1)), 2.0, (2.5, ("a", 5)), 3.0, (3.5, ("a", -1)), 4.0, 5.0]
    tell(story, add_up_every_second, [(0.999999, 1, ("a", 1)), (2.999999, 3, ("a", 5))])
    assert (held.cells(), held.timers()) == (0, 0)


def test_initial_states_with_a_time_are_told_from_it_on_and_others_from_their_first_value(
    in_process: Callable[..., Any],
) -> None:
    with in_process() as pipeline:
        initial = pipeline | "Initial" >> beam.Create(
            [TimestampedValue(("timed", 100), NOON + 0.5), ("waiting", 1000), ("never", 1)]
        ).with_output_types(tuple[str, int])
        pairs = pipeline | timed((3.5, ("waiting", 1)), (1.5, ("timed", 1)))
        states = add_up_every_second(pairs, initial=initial, timeout="1s") | beam.Map(ended)
        expected = [(1, 100), (2, 101), (3, 101)]
        assert_that(
            states,
            equal_to(
                [(end, ("timed", state)) for end, state in expected] + [(end, ("waiting", 1001)) for end in (4, 5)]
            ),
        )


def test_states_go_from_one_calendar_day_to_the_next(in_process: Callable[..., Any]) -> None:
    midnight = 1_774_738_800  # of the Sunday in Paris that has 23 hours, 2026-03-29
    with in_process() as pipeline:
        pairs = pipeline | timed((midnight - 1 - NOON, ("a", 1)), (midnight + 23 * 3600 - 1 - NOON, ("a", 10)))
        states = add_up_every_second(pairs, window="day Europe/Paris", timeout="1d")
        ends = states | beam.Map(lambda answer, window=beam.DoFn.WindowParam: (int(window.end) - midnight, answer[1]))
        assert_that(ends, equal_to([(0, 1), (23 * 3600, 11), (47 * 3600, 11)]))


def test_keys_come_and_go_and_leave_nothing(tell: Tell, held: Held) -> None:
    story: list[Any] = []
    for wave in range(8):
        story += [*[(wave + 0.5, (f"{wave} {key}", 1)) for key in range(25)], wave + 1.0]
    answers = [(round(wave + 0.999999, 6), wave + 1, (f"{wave} {key}", 1)) for wave in range(8) for key in range(25)]
    tell(
        [*story, 9.0, 10.0, 11.0],
        lambda pairs: add_up_every_second(pairs, timeout=0, tell="changes"),
        answers,
    )
    assert (held.cells(), held.timers()) == (0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "10s/5s"}, "windows must lie side by side"),
        ({"window": "session 5m"}, "windows must lie side by side"),
        ({"window": "10s, early every 5s"}, "told once for each window"),
        ({"timeout": -1}, "timeout must be at least 0 seconds, got -1"),
        ({"tell": "never"}, "tell must be 'every window' or 'changes', got 'never'"),
        ({"state": object}, "the form of its bytes must be known"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    pairs = beam.Pipeline(runner="FnApiRunner") | beam.Create([("a", 1)])
    with pytest.raises(ValueError, match=message):
        add_up_every_second(pairs, **options)
