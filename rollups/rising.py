"""What was rising at any time: the same as on the wire, from the stored counts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from models.rising import Rising
from rollups.query import EPOCH

if TYPE_CHECKING:
    from rollups.store import Store

_HALF_LIVES = 10  # of the past that is read: what is before is worth a thousandth


@dataclass(frozen=True, slots=True)
class StoredRise:
    """An item that rose in the window from `start` to before `end`."""

    group: Mapping[str, Any]
    start: datetime
    end: datetime
    item: str
    count: int
    expected: float
    score: float


def find_rises(
    store: Store,
    measure: str,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    width: int = 10,
    half_life: timedelta = timedelta(hours=1),
    least: float = 6.0,
) -> list[StoredRise]:
    """What rose in windows of `width` stored ones that end in (start, end], in order of time, the highest score first.

    `measure` is one of the most frequent items (`top:…`), of which a record has each once at most. For groups of the
    key columns `by`; all time that is stored unless bounds are given. Scores are those of `models.rising`.
    """
    window = timedelta(microseconds=store.window)
    panes = half_life / window
    earlier = None if start is None else start - math.ceil(_HALF_LIVES * panes) * window
    rising: dict[tuple[Any, ...], Rising] = {}
    rises: list[StoredRise] = []
    for answer in store.query(measures=["count", measure], by=by, where=where, start=earlier, end=end, step=window):
        group = tuple(answer.group.values())
        known = rising.setdefault(group, Rising(width=width, half_life=panes))
        records: Any = answer.sketches["count"]
        frequent: Any = answer.sketches[measure]
        told = known.step(
            (answer.start - EPOCH) // window,
            {str(item): count for item, count in frequent.lower_counts().items()},
            records.count,
            least=least,
        )
        if start is None or answer.end > start:
            rises += [
                StoredRise(answer.group, answer.end - width * window, answer.end, *astuple(rise)) for rise in told
            ]
    return rises


def always_there(
    store: Store, measure: str, *, by: Sequence[str] = (), parts: int = 12, **asked: Any
) -> dict[tuple[Any, ...], set[Any]]:
    """Stop words, from the data itself: the items of each group that every part of the range has.

    The range is cut into `parts` of whole windows; in fewer than three, nothing is always there. `asked` is what
    `query` takes: `start`, `end`, `where`.
    """
    window = timedelta(microseconds=store.window)
    whole = store.query(measures=[], start=asked.get("start"), end=asked.get("end"))
    if not whole.steps:
        return {}
    ((start, end),) = whole.steps
    step = -(-(end - start) // (window * parts)) * window
    answers = store.query(measures=[measure], by=by, step=step, **asked)
    if len(answers.steps) < 3:
        return {}
    seen: dict[tuple[Any, ...], Counter[Any]] = defaultdict(Counter)
    for answer in answers:
        frequent: Any = answer.sketches[measure]
        seen[tuple(answer.group.values())].update(frequent.lower_counts().keys())
    return {
        group: {item for item, times in counts.items() if times == len(answers.steps)} for group, counts in seen.items()
    }
