"""What belongs together by key in a window: DStreams' join, leftOuterJoin, rightOuterJoin and fullOuterJoin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

import apache_beam as beam

from transforms.windowing import answers_once, require_replacing

How: TypeAlias = Literal["inner", "left", "right", "full"]


class JoinPerWindow(beam.PTransform):
    """Every left with every right value of a key in a window: (lefts, rights) -> [tuple[K, tuple[A | None, B | None]]].

    Takes two collections of pairs, in the same windows. Values without a partner in their window are told with None in
    its place: those of the left with how="left", of the right with "right", of both with "full", none with "inner".
    Sessions are those of both collections together.

    A window's pairs are told when it answers, all of them each time. So where it answers more than once, panes must
    accumulate: otherwise values of two panes would never meet, and ValueError is raised. State is all values of the
    open windows; those of one key and window must fit into memory.
    """

    def __init__(self, how: How = "inner") -> None:
        super().__init__()
        self._left, self._right = outer_sides(how)

    def expand(self, sides: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        lefts, rights = sides
        for side in sides:
            if not answers_once(side.windowing):
                require_replacing(side.windowing, "joins what comes in several panes")
        joined = (lefts, rights) | "Together" >> beam.CoGroupByKey()
        return joined | "Join" >> beam.FlatMap(_pairs, self._left, self._right).with_output_types(
            joined_type(lefts, rights, self._left, self._right)
        )


def outer_sides(how: How) -> tuple[bool, bool]:
    """Whether lefts, and rights, are told that have no partner; raises ValueError for no kind of join.

    >>> outer_sides("left")
    (True, False)
    """
    if how not in get_args(How):
        raise ValueError(f"a join must be {' or '.join(get_args(How))}, got {how!r}")
    return how in {"left", "full"}, how in {"right", "full"}


def joined_type(lefts: beam.PCollection, rights: beam.PCollection, left: bool, right: bool) -> Any:
    """The type of pairs: of a side that may be missing, optional."""
    (key, a), (_, b) = (getattr(side.element_type, "tuple_types", (Any, Any)) for side in (lefts, rights))
    optional, pair = beam.typehints.Optional, beam.typehints.Tuple
    return pair[key, pair[optional[a] if right else a, optional[b] if left else b]]


def _pairs(joined: tuple[Any, tuple[Iterable[Any], Iterable[Any]]], left: bool, right: bool) -> Iterator[Any]:
    key, sides = joined
    lefts, rights = map(list, sides)
    if left and not rights:
        rights = [None]
    if right and not lefts:
        lefts = [None]
    for pair in product(lefts, rights):
        yield key, pair
