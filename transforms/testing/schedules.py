"""Seeded schedules: how the same records may arrive, shuffled, bunched and late, between steps of the watermark."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from transforms.schemas import EPOCH
from transforms.testing.stories import Bundle, Step, Story, Wait, Watermark
from transforms.windowing import WindowPolicy
from transforms.windows import Micros, Sessions, Window, to_micros

Record: TypeAlias = tuple[int, Any]  # event time in microseconds, and value

_TICK = 1000  # microseconds: how near the watermark comes to where it must not be
_BUNDLES = (1, 2, 4, 8, 12)
_SHUFFLED = (0.0, 0.1, 0.5, 2.0)  # shares of the time that all records span
_STRAGGLERS = (0.1, 0.3)  # shares of the records
_STAYS = 0.2  # how often the watermark does not go on
_WAITS = (1.0, 30.0, 3600.0)  # seconds


@dataclass(frozen=True, slots=True)
class _Coming:
    """A record, and when it is too late for the first window that holds it, and for the last."""

    record: Record
    first: int
    last: int
    lost: bool = False


def in_time(story: Story, policy: WindowPolicy) -> list[Record]:
    """The records of a story that come before the last window that holds them is over, lateness included."""
    ends = iter(_coming(story.records, policy))
    watermark: int | None = None
    kept = []
    for step in story.steps:
        if isinstance(step, Watermark):
            watermark = step.at
        elif isinstance(step, Bundle):
            came = [next(ends) for _ in step.records]
            kept += [one.record for one in came if watermark is None or watermark < one.last]
    return kept


def schedule(
    records: Sequence[Record], policy: WindowPolicy, seed: str, *, repeats: bool = False, too_late: bool = False
) -> Story:
    """One way in which records may arrive, drawn by a seed, such that none is too late for any window that holds it.

    With `repeats` some come twice. With `too_late` some may come when all of their windows are over.
    """
    chance = random.Random(seed)  # noqa: S311  chance, no secret
    coming = _coming(records, policy)
    if repeats:
        coming += chance.choices(coming, k=chance.randint(1, len(coming)))
    if too_late:
        for place in {
            chance.randrange(len(coming)) for _ in range(math.ceil(chance.choice(_STRAGGLERS) * len(coming)))
        }:
            coming[place] = replace(coming[place], lost=True)
    begin = EPOCH + timedelta(microseconds=min(time for time, _ in records))
    return Story(str(begin.date()), tuple(_steps(_shuffled(coming, chance), policy, chance)))


def _coming(records: Sequence[Record], policy: WindowPolicy) -> list[_Coming]:
    times = np.array([time for time, _ in records], np.int64)
    lateness = to_micros(policy.allowed_lateness)
    lasts = policy.window.last(times)[1]
    ends = zip(records, _first_ends(policy.window, times, lasts).tolist(), lasts.tolist(), strict=True)
    return [_Coming(record, first + lateness, last + lateness) for record, first, last in ends]


def _first_ends(window: Window, times: Micros, lasts: Micros) -> Micros:
    """When the first window that holds a record ends, or earlier; of a session, the first to be merged into it."""
    if not isinstance(window, Sessions):
        # Where windows overlap, the end of a record's pane is at most that of its first window.
        return window.pane_ends(times)
    order = np.argsort(times)
    begins = np.diff(times[order], prepend=times[order][:1]) >= (lasts - times)[order]
    begins[:1] = True
    firsts = np.empty_like(lasts)
    firsts[order] = lasts[order][begins][np.cumsum(begins) - 1]
    return firsts


def _shuffled(coming: list[_Coming], chance: random.Random) -> list[_Coming]:
    """In the order of event times, more or less, but for stragglers, which come shortly before they are too late."""
    times = [one.record[0] for one in coming]
    span = max(times) - min(times) + to_micros(1)
    scale, share = chance.choice(_SHUFFLED) * span, chance.choice(_STRAGGLERS)

    def arrival(one: _Coming) -> float:
        time = one.record[0]
        if one.lost:
            return one.last + chance.uniform(0, span)
        if chance.random() < share:
            return chance.uniform(time, min(one.first, max(times) + span))
        return time + chance.uniform(0, scale)

    return sorted(coming, key=arrival)


def _steps(order: list[_Coming], policy: WindowPolicy, chance: random.Random) -> Iterator[Step]:
    cuts = sorted(chance.sample(range(1, len(order)), min(chance.choice(_BUNDLES), len(order)) - 1))
    clocks = [every.seconds for every in (policy.early, policy.late) if every and every.seconds]
    waits = chance.choice([0.0, 0.5])
    watermark = None
    for start, end in pairwise([0, *cuts, len(order)]):
        yield Bundle(tuple(one.record for one in order[start:end]))
        reached = _reached(order[:end], order[end:], policy, chance)
        if reached is not None and (watermark is None or reached > watermark):
            watermark = reached
            yield Watermark(watermark)
        if chance.random() < waits:
            yield Wait(chance.choice([*_WAITS, *clocks]))


def _reached(came: list[_Coming], rest: list[_Coming], policy: WindowPolicy, chance: random.Random) -> int | None:
    """Where the watermark may go on to: the end of a window, shortly before it, or as far as the rest allows."""
    if not rest or chance.random() < _STAYS:
        return None
    every, lateness = [*came, *rest], to_micros(policy.allowed_lateness)
    latest = max(one.record[0] for one in every) + to_micros(_WAITS[-1])
    farthest = min([one.first - _TICK for one in rest if not one.lost], default=max(one.last for one in rest) + _TICK)
    end = chance.choice(every).first - lateness - chance.choice([0, _TICK])
    reached = min(chance.choice([end, farthest]), farthest, latest)
    if any(one.first <= reached <= one.last for one in rest):  # too late for some windows of a record, not for others
        return None
    return reached // _TICK * _TICK
