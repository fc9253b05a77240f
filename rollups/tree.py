"""The tree of windows: spans of one, two, four, … windows side by side, of which a few cover any range.

Windows are numbered by their start divided by their size, from 1970 on. The span `(level, place)` holds the 2^level
windows from place * 2^level on, and lies in the span `(level + 1, place // 2)`, as in a segment tree (Bentley 1977).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """2^level windows side by side."""

    level: int
    place: int

    @property
    def first(self) -> int:
        """The number of its first window."""
        return self.place << self.level

    @property
    def end(self) -> int:
        """The number of the first window after it."""
        return (self.place + 1) << self.level

    @property
    def parent(self) -> Span:
        """The span twice as long that holds it."""
        return Span(self.level + 1, self.place >> 1)

    @property
    def children(self) -> tuple[Span, Span]:
        """The two halves of it."""
        return Span(self.level - 1, self.place << 1), Span(self.level - 1, (self.place << 1) + 1)


def height(first: int, end: int) -> int:
    """The lowest level of which two spans side by side hold all windows from `first` to before `end`.

    >>> height(0, 10_000), height(5, 6)
    (13, 0)
    """
    level = 0
    while ((end - 1) >> level) - (first >> level) > 1:
        level += 1
    return level


def cover(first: int, end: int, top: int, usable: Callable[[Span], bool] = lambda _: True) -> Iterator[Span]:
    """Spans that hold the windows from `first` to before `end`, each once, in order: the longest up to level `top`.

    There are at most two of each level below the top. A span that is not `usable` is told as its halves; windows always
    are usable.

    >>> [(span.first, span.end) for span in cover(3, 9, top=3)]
    [(3, 4), (4, 8), (8, 9)]
    """
    while first < end:
        # How long a span may begin here, and how long it may be.
        level = min(top, (end - first).bit_length() - 1, (first & -first).bit_length() - 1 if first else top)
        span = Span(level, first >> level)
        yield from _usable(span, usable)
        first = span.end


def _usable(span: Span, usable: Callable[[Span], bool]) -> Iterator[Span]:
    if span.level == 0 or usable(span):
        yield span
    else:
        for half in span.children:
            yield from _usable(half, usable)


def above(windows: Iterable[int], top: int) -> Iterator[Span]:
    """The spans of each level up to `top` that hold any of some windows: what is to be rebuilt when these change.

    >>> list(above([4, 5, 9], top=2))
    [Span(level=1, place=2), Span(level=1, place=4), Span(level=2, place=1), Span(level=2, place=2)]
    """
    places = set(windows)
    for level in range(1, top + 1):
        places = {place >> 1 for place in places}
        for place in sorted(places):
            yield Span(level, place)
