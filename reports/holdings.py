"""What the answers cost and how good they are: bytes that are stored for each measure, and the stated error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from reports.figures import title_of
from reports.numbers import percent
from transforms.sketches import Count, HeavyHitters, HyperLogLog, Kll, LogHistogram, Moments, Total

if TYPE_CHECKING:
    from rollups import Store

_REGISTER = math.sqrt(3 * math.log(2) - 1)  # standard error of a HyperLogLog, over the root of its registers


@dataclass(frozen=True)
class Holding:
    """What is stored of a measure."""

    measure: str
    title: str
    sketch: str
    parameters: Mapping[str, Any]
    error: str
    leaves: int  # sketches of windows
    leaf_bytes: int
    nodes: int  # sketches of longer spans, merged of these
    node_bytes: int

    @property
    def bytes(self) -> int:
        """In all."""
        return self.leaf_bytes + self.node_bytes


@dataclass(frozen=True)
class Account:
    """Where records went: read = the sum of all others."""

    counts: Mapping[str, int]
    start: datetime | None = None
    end: datetime | None = None

    @property
    def read(self) -> int:
        """Records that came in."""
        return self.counts.get("read", 0)

    @property
    def went(self) -> dict[str, int]:
        """Where they went; what nothing went to is left out."""
        return {name: count for name, count in self.counts.items() if count and name != "read"}

    @property
    def missing(self) -> int:
        """Records that are nowhere; below 0 where some are counted twice."""
        return self.read - sum(self.went.values())


@dataclass(frozen=True)
class Accounts:
    """The ledger of each run, and of windows where it was written by window."""

    runs: Sequence[Account]
    windows: Sequence[Account] = ()

    @property
    def total(self) -> Account:
        """Of all runs."""
        names = dict.fromkeys(name for run in self.runs for name in run.counts)
        return Account({name: sum(run.counts.get(name, 0) for run in self.runs) for name in names})

    @property
    def names(self) -> list[str]:
        """What counts of windows there are that say something."""
        return [name for name in self.total.counts if any(window.counts.get(name) for window in self.telling)]

    @property
    def telling(self) -> list[Account]:
        """Windows that did not use all that they read."""
        return [window for window in self.windows if window.read != window.counts.get("used", 0)]


def holdings_of(store: Store) -> list[Holding]:
    """What is stored of each measure, in the whole store."""
    held = {
        table: {measure: (int(count), int(size or 0)) for measure, count, size in store.database.execute(statement)}
        for table, statement in (
            ("leaves", "SELECT measure, COUNT(*), SUM(LENGTH(sketch)) FROM leaves GROUP BY measure"),
            ("nodes", "SELECT measure, COUNT(*), SUM(LENGTH(sketch)) FROM nodes GROUP BY measure"),
        )
    }
    return [
        Holding(
            name, title_of(name), type(empty).__name__,
            {name: value for name, value in empty.parameters.items() if name != "hash"},
            error_of(empty, question.arguments),
            *held["leaves"].get(store.number_of(name), (0, 0)), *held["nodes"].get(store.number_of(name), (0, 0)),
        )
        for name, (empty, question) in store.measures.items()
    ]  # fmt: skip


def error_of(sketch: Any, arguments: Sequence[Any] = ()) -> str:
    """The error that a sketch states of itself, in a line.

    >>> error_of(HyperLogLog(12), (0.95,)), error_of(Count())
    ('±3.2 % of the number with 95 % confidence; exact up to 512', 'exact')
    """
    for kind, say in _ERRORS.items():
        if isinstance(sketch, kind):
            return say(sketch, arguments)
    return "as its bounds say"


def _of_hyperloglog(sketch: Any, arguments: Sequence[Any]) -> str:
    confidence = arguments[0] if arguments else 0.95
    registers = 2 ** sketch.parameters["precision"]
    error = NormalDist().inv_cdf((1 + confidence) / 2) * _REGISTER / math.sqrt(registers)
    return f"±{percent(error)} of the number with {percent(confidence)} confidence; exact up to {registers // 8:,}"


def _exact(*_: Any) -> str:
    return "exact"


_ERRORS: dict[type, Callable[[Any, Sequence[Any]], str]] = {
    Count: _exact,
    Total: _exact,
    Moments: lambda *_: "exact up to rounding",
    HyperLogLog: _of_hyperloglog,
    HeavyHitters: lambda sketch, _: (
        f"counts are sure to {percent(1 / (sketch.parameters['capacity'] + 1))} of the total; "
        f"exact up to {sketch.parameters['capacity']:,} different items"
    ),
    Kll: lambda sketch, _: (
        f"±{percent(2.296 / sketch.parameters['k'] ** 0.9723)} of the rank with 99 % confidence; "
        f"exact up to {sketch.parameters['k']:,} values"
    ),
    LogHistogram: lambda sketch, _: f"±{percent(sketch.relative_error)} of the value, for certain",
}
