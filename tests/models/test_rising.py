"""What is rising: found soon where it was planted, and nothing else, over a day with its own rhythm."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import nbinom

from models.rising import Rise, Rising, surprise

SCORE = 6.0
WIDTH = 10  # panes of a minute, so that windows are ten minutes


def simulated(seed: int, hours: int = 16) -> tuple[dict[str, int], dict[int, list[Rise]]]:
    """Where trends were planted, and what was told: records and many words have a daily rhythm of their own."""
    rng = np.random.default_rng(seed)
    words = 4000
    usual = 1 / np.arange(1, words + 1) ** 1.05
    phase, swing = rng.uniform(0, 24, words), np.where(rng.random(words) < 0.3, rng.uniform(0, 0.8, words), 0)
    new = {f"new{n}": (int(rng.integers(180, hours * 60 - 60)), 0.03) for n in range(3)}
    # Words that are always there, and become eight times as frequent.
    known = {f"w{word}": (int(rng.integers(180, hours * 60 - 60)), 8.0) for word in rng.integers(30, 100, 3)}
    follow, told = Rising(width=WIDTH, half_life=60), {}
    for pane in range(hours * 60):
        hour = pane / 60
        records = int(rng.poisson(150 * (1 + 0.7 * math.sin(2 * math.pi * (hour - 8) / 24))))
        rate = usual * (1 + swing * np.sin(2 * np.pi * (hour - phase) / 24))
        rate *= 8 / rate.sum()
        for item, (start, times) in known.items():
            rate[int(item[1:])] *= times if start <= pane < start + 40 else 1
        counts = np.minimum(rng.poisson(np.minimum(rate, 0.6) * records), records)
        items = {f"w{word}": int(counts[word]) for word in np.flatnonzero(counts)}
        for item, (start, share) in new.items():
            if start <= pane < start + 40 and (count := rng.binomial(records, share)):
                items[item] = int(count)
        told[pane] = follow.step(pane, items, records, least=SCORE)
    return {item: start for item, (start, _) in [*new.items(), *known.items()]}, told


@pytest.mark.parametrize("seed", range(5))
def test_planted_trends_are_found_within_a_window_and_false_alarms_are_rare(seed: int) -> None:
    planted, told = simulated(seed)
    found: dict[str, int] = {}
    alarms: list[int] = []
    last: dict[str, int] = {}
    for pane, rises in told.items():
        for rise in rises:
            start = planted.get(rise.item)
            if start is not None and start <= pane < start + 40 + WIDTH:
                found.setdefault(rise.item, pane - start)
            elif pane - last.get(rise.item, -WIDTH) >= WIDTH:  # what rises for a while is one alarm
                alarms.append(pane)
            last[rise.item] = pane
    assert found.keys() == planted.keys()
    assert max(found.values()) <= WIDTH
    assert max(Counter(pane // 60 for pane in alarms).values(), default=0) <= 1


def test_scores_are_the_tail_of_the_predictive_distribution() -> None:
    counts, past = np.array([0.0, 1.0, 12.0, 40.0]), np.array([0.5, 3.5, 10.5, 900.0])
    records, past_records, surest = 200.0, 1500.0, 25.0
    worth = np.minimum(past, surest)
    exposure = past_records * worth / past
    expected = -nbinom.logsf(counts - 1, worth, exposure / (exposure + records)) / math.log(10)
    scores = surprise(counts, past, records, past_records, surest=surest)
    assert scores == pytest.approx(expected, abs=1e-8)


def test_a_busier_hour_is_no_rise_and_nothing_rises_while_nothing_is_known() -> None:
    follow = Rising(width=5, half_life=30)
    assert all(rise.score == 0 for pane in range(5) for rise in follow.step(pane, {"rain": 50, "sun": 1}, 100))
    for pane in range(5, 60):
        follow.step(pane, {"rain": 50, "sun": 5}, 100)
    assert follow.step(60, {"rain": 500, "sun": 50}, 1000, least=2) == []


def test_panes_that_are_left_out_are_time_that_passes() -> None:
    one, other = (Rising(width=3, half_life=10) for _ in range(2))
    for pane in range(20):
        for follow in (one, other):
            follow.step(pane, {"goal": 4}, 100)
    for pane in range(20, 200):
        one.step(pane, {}, 0)
    assert one.step(200, {"goal": 9}, 100) == other.step(200, {"goal": 9}, 100)
    # What was usual a hundred half-lives ago is no longer known, so that nothing can rise.
    assert other.step(2000, {"goal": 9}, 100)[0].score == pytest.approx(0, abs=1e-6)


def test_it_goes_on_where_its_bytes_were_told() -> None:
    rng = np.random.default_rng(7)
    panes = [(pane, {f"w{n}": int(c) for n, c in enumerate(rng.poisson(3, 50)) if c}, 100) for pane in range(0, 900, 3)]
    whole, parts = Rising(width=9, half_life=12), Rising(width=9, half_life=12)
    for pane in panes:
        expected = whole.step(*pane)
        parts = Rising(width=9, half_life=12).restore(parts.to_bytes())
        assert parts.step(*pane) == expected


def test_nothing_rises_for_having_been_forgotten() -> None:
    follow = Rising(width=1, half_life=50, capacity=20)
    for pane in range(100):
        follow.step(pane, {f"w{n}": 40 - n // 2 for n in range(80)}, 100)  # the last ones are forgotten
    assert follow.step(100, {f"w{n}": 40 - n // 2 for n in range(80)}, 100, least=2) == []
    assert [rise.item for rise in follow.step(101, {"w79": 100}, 100, least=2)] == ["w79"]


def test_panes_out_of_order_and_odd_parameters_are_refused() -> None:
    follow = Rising()
    follow.step(5, {}, 1)
    with pytest.raises(ValueError, match="panes must come in order of time, got 5 after 5"):
        follow.step(5, {}, 1)
    with pytest.raises(ValueError, match="width and capacity must be at least 1, got 0 panes"):
        Rising(width=0)
    with pytest.raises(ValueError, match="half_life and spread must be above 0"):
        Rising(half_life=0)
