"""The page of a store: headline figures, series, lists, groups, cost and ledger, in one HTML file without a network.

Numbers carry their exact value in `data-value`, and what they answer in `data-measure`, `data-from`, `data-to`,
`data-where`, `data-at`, `data-item` and `data-bound` of themselves, of the head of their column, or of what holds them,
so that each can be asked of the store again; those that are not an answer of it say in `data-source` what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import charts, figures, numbers
from reports.figures import Group, Groups, Line, Panel, Reader
from reports.holdings import Accounts, holdings_of
from reports.rankings import Ranked, Ranking, rankings_of
from reports.steps import Steps, cut
from rollups.query import rfc3339
from transforms.sketches import Estimate

if TYPE_CHECKING:
    from rollups import Store

_RISES = 24  # that are listed
_WINDOWS = 24  # of the ledger that are listed
_KEYS_OF_LANGUAGE = re.compile(r"(.*[._])?lang(uage)?", re.IGNORECASE)
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_UNTOLD = {"und", "mul", "mis", "zxx"}  # tags that name no language
_RATES = ((timedelta(seconds=1), "second"), (timedelta(minutes=1), "minute"), (timedelta(hours=1), "hour"))


class Rise(Protocol):
    """An item that is more frequent than was to be expected; `group` are the values of keys, by name or in order."""

    @property
    def group(self) -> Mapping[str, Any] | tuple[Any, ...]: ...
    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...
    @property
    def item(self) -> Any: ...
    @property
    def count(self) -> int: ...
    @property
    def expected(self) -> float: ...
    @property
    def score(self) -> float: ...


class Page(NamedTuple):
    """A page, and the rows of the store that could not be read: what needs them is left out, and said there, too."""

    html: str
    damaged: list[str]


def report_page(
    store: Store,
    *,
    title: str = "Rollups",
    start: datetime | None = None,
    end: datetime | None = None,
    step: timedelta | None = None,
    rises: Sequence[Rise] | None = None,
    accounts: Accounts | None = None,
) -> Page:
    """A page about [start, end), all that is stored unless bounds are given, in pieces of `step`, or of a round length.

    `rises` are listed in a section of their own, the highest score first; `accounts` are the ledgers of the runs that
    wrote the store. The same store gives the same page, byte for byte. Raises ValueError for bounds and steps that
    are not those of windows.
    """
    steps = cut(store, start, end, step)
    shown: dict[str, Any] = {"title": title, "accounts": accounts, "holdings": holdings_of(store), "steps": steps}
    if steps:
        reader = Reader(store, steps)
        shown |= {
            "panels": figures.panels(reader, figures.numbers_of(store)),
            "rankings": rankings_of(reader, figures.lists_of(store)),
            "keys": [figures.groups_of(reader, key) for key in store.by],
            "rises": None if rises is None else sorted(rises, key=lambda rise: -rise.score)[:_RISES],
            "size": figures.size_of(store),
            "counted": figures.adds_up(store, figures.size_of(store)),
            "damaged": reader.damaged,
            "windows": (steps.end - steps.start) // steps.window,
        }
    html = _environment(steps, list(store.by)).get_template("page.html.j2").render(shown)
    return Page(html, shown.get("damaged", []))


def _environment(steps: Steps | None, keys: Sequence[str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": numbers.shown, "exact": numbers.exact, "percent": numbers.percent, "size": numbers.size,
        "duration": numbers.duration, "each": numbers.each, "text": numbers.text_of, "identity": numbers.identity,
        "moment": numbers.moment, "rfc3339": rfc3339, "title_of": figures.title_of, "short_of": figures.short_of,
    }  # fmt: skip
    environment.globals |= {
        "swatch": charts.swatch, "rate": rate, "tongue": tongue, "shown_windows": _WINDOWS,
        "columns_of_panel": columns_of_panel, "columns_of_ranking": columns_of_ranking,
        "columns_of_groups": columns_of_groups, "where_of": where_of,
        "pairs_of": lambda rise: pairs_of(rise.group, keys),
    }  # fmt: skip
    clock = Clock.of(steps) if steps else Clock()
    environment.filters |= {"when": clock, "at": clock.at, "range": range_of}
    if steps:
        environment.globals |= {
            "chart": lambda panel, about="": draw_panel(panel, steps, clock, about),
            "spark": lambda ranked: draw_trail(ranked, steps, clock),
        }
    return environment


@dataclass(frozen=True)
class Clock:
    """Writes when a piece begins: its date where the range has several days, its seconds where pieces have some."""

    date: bool = True
    time: bool = True
    seconds: bool = True

    @classmethod
    def of(cls, steps: Steps) -> Clock:
        """As the pieces of a range need it."""
        several = steps.first.date() != (steps.end - timedelta(microseconds=1)).date()
        days = not any(begin.hour or begin.minute for begin, _ in steps.bounds) and not steps.step % timedelta(days=1)
        return cls(several or days, not days, bool(steps.step % timedelta(minutes=1)))

    def at(self, moment: datetime) -> str:
        """As a part of a sentence: at 12:00, or on 1 Mar 12:00."""
        return f"{'on' if self.date else 'at'} {self(moment)}"

    def __call__(self, moment: datetime) -> str:
        date = f"{moment.day} {moment:%b}" if self.date else ""
        return f"{date} {numbers.clock(moment, seconds=self.seconds) if self.time else ''}".strip()


def range_of(steps: Steps) -> str:
    """From when to when, a date that is the same said once."""
    same = steps.start.date() == steps.end.date()
    return f"{numbers.moment(steps.start)} to {numbers.clock(steps.end) if same else numbers.moment(steps.end)}"


def draw_panel(panel: Panel, steps: Steps, clock: Clock, about: str) -> charts.Chart:
    """The chart of a measure, or of a group of it where `about` says which: that one without labels of its axes."""
    said = "; ".join(_said(line, steps, clock) for line in panel.lines) or "no value"
    label = f"{panel.title}{' of ' if about else ''}{about}, every {numbers.each(steps.step)}: {said}"
    return charts.draw(panel.lines, steps, from_zero=panel.from_zero, label=label, ticks=not about)


def draw_trail(ranked: Ranked, steps: Steps, clock: Clock) -> Markup:
    """How the count of an item went, small."""
    line = Line("", ranked.trail, None)
    label = f"{numbers.text_of(ranked.item)}: {_said(line, steps, clock)}"
    return charts.draw([line], steps, from_zero=True, label=label, ticks=False).svg


def _said(line: Line, steps: Steps, clock: Clock) -> str:
    """What a line shows, for those who cannot see it."""
    name = f"{line.name} " if line.name else ""
    known = [point for point in line.points if point]
    if line.peak is None:
        return f"{name}no value"
    highest, when = max(point.value for point in known), clock.at(steps.bounds[line.peak][0])
    return f"{name}highest {numbers.shown(highest)} {when}, last {numbers.shown(known[-1].value)}"


class Column(NamedTuple):
    """A column of a table of numbers over time."""

    name: str
    attributes: Mapping[str, str]  # what its numbers answer
    points: Sequence[Estimate | None]


def columns_of_panel(panel: Panel) -> list[Column]:
    """A column for each line."""
    return [
        Column(line.name or panel.title, {"data-at": line.at} if line.at else {}, line.points) for line in panel.lines
    ]


def columns_of_ranking(ranking: Ranking) -> list[Column]:
    """A column for each item."""
    return [
        Column(numbers.text_of(ranked.item), {"data-item": numbers.identity(ranked.item)}, ranked.trail)
        for ranked in ranking.items
    ]


def columns_of_groups(groups: Groups) -> list[Column]:
    """A column for each group."""
    return [
        Column(numbers.text_of(group.value), {"data-where": where_of(group)}, group.panel.lines[0].points)
        for group in groups.shown
        if group.panel
    ]


def where_of(group: Group) -> str:
    """The keys of a group, as data."""
    return json.dumps(group.where)


def pairs_of(group: Mapping[str, Any] | tuple[Any, ...], keys: Sequence[str]) -> list[tuple[Any, str | None]]:
    """The values of a group with the language that each names, if any."""
    named = dict(group) if isinstance(group, Mapping) else dict(zip(keys, group, strict=False))
    return [(value, tongue(key, value)) for key, value in named.items()]


def rate(count: float, length: timedelta) -> tuple[float, str]:
    """How many in the shortest unit of time that has one at least.

    >>> rate(1800, timedelta(hours=1)), rate(3, timedelta(days=1))
    ((30.0, 'minute'), (3.0, 'day'))
    """
    for unit, name in _RATES:
        if count * unit >= length:
            return count / (length / unit), name
    return count / (length / timedelta(days=1)), "day"


def tongue(key: str, value: Any) -> str | None:
    """The language tag that the value of a key is, where it is one.

    >>> tongue("lang", "ja"), tongue("user.language", "pt-BR"), tongue("lang", "und"), tongue("device", "ja")
    ('ja', 'pt-BR', None, None)
    """
    if not isinstance(value, str) or not _KEYS_OF_LANGUAGE.fullmatch(key) or value in _UNTOLD:
        return None
    return value if _TAG.fullmatch(value) else None
