"""Slides and the queues below them, beside totals that are taken anew from all panes."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from transforms.slides import Grid, Slides, Tell
from transforms.two_stacks import Merging, Subtracting, TwoStacks
from transforms.windows import Sliding


class Bag(Merging[Counter[str]]):
    """Totals that name all they hold, and are changed in place: the harshest there are."""

    def __init__(self, *, subtracts: bool) -> None:
        self.subtracts = subtracts
        self.merges = 0

    def merge(self, total: Counter[str], other: Counter[str]) -> Counter[str]:
        self.merges += 1
        total.update(other)
        return total

    def subtract(self, total: Counter[str], other: Counter[str]) -> Counter[str]:
        assert self.subtracts
        assert other <= total
        total -= other
        return total

    def copy(self, total: Counter[str]) -> Counter[str]:
        return Counter(total)


@pytest.mark.parametrize("subtracts", [True, False])
def test_a_queue_holds_what_was_pushed_and_not_popped(subtracts: bool) -> None:
    chance = random.Random(1)
    merging = Bag(subtracts=subtracts)
    queue = (Subtracting if subtracts else TwoStacks)(merging)
    inside: list[Counter[str]] = []
    for number in range(600):
        if inside and chance.random() < 0.45:
            queue.pop(inside.pop(0))
        else:
            inside.append(Counter({str(number): 1}))
            queue.push(inside[-1])
        if inside:
            assert queue.total() == sum(inside, Counter())
    assert merging.merges < 5 * 600, "a push costs a few merges, however long the queue is"


@pytest.mark.parametrize(("size", "period"), [(30, 10), (25, 10), (10, 10), (7, 3), (9, 6)])
def test_a_pane_stays_in_the_windows_that_hold_its_time(size: int, period: int) -> None:
    grid = Grid(size, period)
    for begin in range(-60, 60, grid.pane):
        first, after = grid.stay(begin + grid.pane)
        holding = [
            start + size for start in range(-120, 120, period) if start <= begin and begin + grid.pane <= start + size
        ]
        assert list(range(first, after, period)) == holding


KEYS = [b"a", b"b"]


@dataclass
class Story:
    """What arrived and what was told, key by key; a record is its own name."""

    size: int
    arrived: list[tuple[bytes, int, str]] = field(default_factory=list)
    told: dict[bytes, dict[int, Counter[str]]] = field(default_factory=lambda: {key: {} for key in KEYS})

    def holds(self, key: bytes, end: int) -> Counter[str]:
        """What a window holds of all that arrived."""
        return Counter(name for owner, time, name in self.arrived if owner == key and end - self.size <= time < end)

    def answer(self, key: bytes, end: int, tell: Tell) -> Counter[str]:
        """What is known of a window from what was told: of itself, or of the last change before it."""
        told = self.told[key]
        if tell == "every window":
            return told.get(end, Counter())
        return told[max(change for change in told if change <= end)] if min(told, default=end + 1) <= end else Counter()


@pytest.mark.parametrize("tell", ["every window", "changes"])
@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize("seed", range(40))
def test_windows_tell_what_they_hold_whatever_the_order_of_arrival(seed: int, subtracts: bool, tell: Tell) -> None:
    """What is late corrects all windows within the lateness and no other; what is forgotten is made again of panes."""
    chance = random.Random(seed)
    size, period = chance.choice([(30, 10), (25, 10), (10, 10), (7, 3), (9, 6), (40, 4)])
    lateness = chance.choice([0, 5, 10, 33])
    window = Sliding(size / 1e6, period / 1e6)
    pane = Grid.of(window).pane
    story = Story(size)
    slides = Slides(window, Bag(subtracts=subtracts), tell, lateness)
    now = chance.randrange(-100, 0)
    slides.skip(now)
    for step in range(60):
        for number in range(chance.randrange(5) if step < 50 else 0):
            key, time, name = chance.choice(KEYS), now + chance.randrange(-lateness - 30, 60), f"{step}.{number}"
            story.arrived.append((key, time, name))
            slides.add([(key, (time // pane + 1) * pane, Counter([name]))])
        before, now = now, now + chance.choice([1, 5, 10, 10, 20, 70])
        for end, told in slides.tells(now):
            assert end <= now
            lives = end + lateness >= now or (tell == "changes" and end + period > now)
            assert end > before or lives, "a window must not be told when it is too old"
            for key, totals in told:
                assert totals or tell == "changes"
                story.told[key][end] = Counter(*totals)
        for key in KEYS:
            for end in range(size + (before - lateness - size) // period * period, now + 1, period):
                if end > before or end + lateness >= now:
                    assert story.answer(key, end, tell) == story.holds(key, end), (key, end)
        if chance.random() < 0.2:
            panes = list(slides.panes)
            slides = Slides(window, Bag(subtracts=subtracts), tell, lateness)
            slides.add(panes)
            slides.skip(now)
    deque(slides.tells(now + 1000), maxlen=0)
    assert not len(slides)
    assert slides.due is None


def test_a_window_is_told_once_unless_something_came_to_it() -> None:
    slides = Slides(Sliding(30e-6, 10e-6), Bag(subtracts=True), lateness=100)
    slides.add([(b"a", 10, Counter("x")), (b"b", 10, Counter("y"))])
    assert [(end, len(told)) for end, told in slides.tells(50)] == [(10, 2), (20, 2), (30, 2)]
    slides.add([(b"b", 20, Counter("z"))])
    assert list(slides.tells(55)) == [
        (20, [(b"b", [Counter("yz")])]),
        (30, [(b"b", [Counter("yz")])]),
        (40, [(b"b", [Counter("z")])]),
    ]
    assert list(slides.tells(60)) == []


def test_changes_are_told_where_panes_enter_and_leave() -> None:
    slides = Slides(Sliding(1000e-6, 10e-6), Bag(subtracts=False), "changes")
    slides.add([(b"a", 10, Counter("x")), (b"a", 200, Counter("y"))])
    told = [(end, [Counter(total) for total in totals]) for end, [(_, totals)] in slides.tells(10_000)]
    assert told == [(10, [Counter("x")]), (200, [Counter("xy")]), (1010, [Counter("y")]), (1200, [])]


@pytest.mark.parametrize("subtracts", [True, False])
def test_the_cost_of_a_window_does_not_grow_with_its_size(subtracts: bool) -> None:
    def merges(size: int) -> int:
        merging = Bag(subtracts=subtracts)
        slides = Slides(Sliding(size * 1e-6, 1e-6), merging)
        slides.add((b"a", end, Counter()) for end in range(1, 5_000))
        deque(slides.tells(5_000), maxlen=0)
        return merging.merges

    assert merges(2000) <= 1.1 * merges(50)
