"""Answers any range of time from a store of rollups, by any of its keys.

    python -m pipelines query tweets.db --last 6h --by lang --measure count --step 1h

Times are RFC 3339, or days in UTC; --last ends with the latest window. A range is widened to whole windows. In JSON a
line is an object: keys, from, to, and each measure, an estimate with its bounds.

    python -m pipelines query tweets.db --last 20m --measure count --compare previous

says what each measure is now, what it was before, and its change; of distinct counts how many are new and how many are
in both, so that --where lang=ja --compare lang=en tells how far two audiences overlap.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from pipelines.launch import RunError
from pipelines.options import Options as BaseOptions
from pipelines.options import UsageError, option
from pipelines.ranges import read_range
from pipelines.results import in_one_line, table
from rollups import Store
from rollups.comparing import Comparisons, compare
from rollups.query import Answer, Answers, rfc3339
from transforms.windows import parse_duration

_MICRO = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUTH = {"true": True, "false": False}
_READ: dict[str, Callable[[str], Any]] = {"text": str, "integer": int, "real": float, "boolean": _TRUTH.__getitem__}


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Which store to ask, for what, and how answers are shown."""

    store: str = option("the file of the store, or postgresql://user@host/name", bare=True)
    from_: str = option("the begin of the range (default: the first window)", default="")
    to: str = option("the end of the range (default: the end of the latest window)", default="")
    last: str = option("the length of a range that ends with the latest window, as 6h", default="")
    by: str = option("the keys to group by, as lang,device", default="")
    where: tuple[str, ...] = option("the value of a key, as lang=ja, or lang= where it is missing", default=())
    measure: tuple[str, ...] = option("a measure to answer (default: all)", default=())
    step: str = option("answer for each piece of the range of this length, as 1h", default="")
    open: bool = option("answer windows that are not over yet, too, with what is known by now", default=False)
    compare: tuple[str, ...] = option(
        "with what: previous (the range before), some time ago as 7d, a range as 2026-03-01/2026-03-02, or other keys "
        "as lang=en",
        default=(),
    )
    format: Literal["table", "json", "csv", "parquet"] = option("how answers are shown", default="table")
    output: str = option("a file for the answers, which parquet needs (default: the console)", default="")

    def __post_init__(self) -> None:
        if self.last and (self.from_ or self.to):
            raise ValueError("--last is a range of its own: leave out --from and --to")
        if self.format == "parquet" and not self.output:
            raise ValueError("parquet is no text: give --output, a file")


def run(options: Options, flags: list[str], console: Console) -> None:
    """Asks the store and shows the answers; fails, after the rest was shown, where rows of it are damaged."""
    if flags:
        raise UsageError(f"query runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    try:
        with Store(options.store) as store:
            start, end = read_range(store, options.from_, options.to, options.last, told_by="query")
            asked: dict[str, Any] = {
                "measures": list(options.measure) or None,
                "start": start,
                "end": end,
                "by": [name.strip() for name in options.by.split(",") if name],
                "where": dict(_condition(store, text) for text in options.where),
                "step": timedelta(seconds=parse_duration(options.step)) if options.step else None,
                "open": options.open,
            }
            other = _other(store, options.compare, asked)
            answers = compare(store, other, **asked) if other else store.query(**asked)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    if answers.open_windows and not options.open:
        _note(f"windows that are not over yet are left out: {answers.open_windows:,} of them; --open includes them")
    if options.format == "table":
        console.print(_comparisons(answers) if isinstance(answers, Comparisons) else _table(answers))
    else:
        _tell(answers, options)
    if answers.damaged:
        raise RunError("\n".join(["answers that need these are left out:", *answers.damaged]))


def _other(store: Store, texts: Sequence[str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked otherwise where answers are to be compared."""
    conditions = dict(_condition(store, text) for text in texts if "=" in text)
    other: dict[str, Any] = {"where": {**asked["where"], **conditions}} if conditions else {}
    times, bounds = [text for text in texts if "=" not in text], store.bounds()
    if len(times) > 1:
        raise ValueError(f"there must be one time to compare with, got {' and '.join(times)}")
    if not times or not bounds:
        return other
    window = timedelta(microseconds=store.window)
    first, last = _EPOCH + bounds[0] * window, _EPOCH + bounds[1] * window
    start, end = asked["start"] or first, asked["end"] or last
    if "/" in times[0]:
        one, _, two = times[0].partition("/")
        begin, stop = read_range(store, one, two, "", told_by="query")
        start, end = begin or first, stop or last
    else:
        ago = end - start if times[0] == "previous" else timedelta(seconds=parse_duration(times[0]))
        start, end = start - ago, end - ago
    if start < first:
        _note(f"the first window begins at {rfc3339(first)}: nothing is known from {rfc3339(start)} until then")
    return {**other, "start": start, "end": end}


def _note(text: str) -> None:
    print(f"query: {text}", file=sys.stderr)  # noqa: T201  beside the answers, which may be piped


def _condition(store: Store, text: str) -> tuple[str, Any]:
    """The key and value of a condition such as lang=ja."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"a condition must be like lang=ja, got {text!r}")
    kind = store.by.get(name, "text")
    try:
        return name, _READ[kind](value) if value else None
    except (ValueError, KeyError) as error:
        raise ValueError(f"the key {name} is of the type {kind}, got {value!r}") from error


def _table(answers: Answers) -> Table:
    rows = [{**row.group, "from": rfc3339(row.start), "to": rfc3339(row.end), **row.values} for row in answers]
    cells = [tuple(in_one_line(value) for value in row.values()) for row in rows]
    return table(f"{len(rows):,} answers from {answers.reads:,} sketches", *(rows[0] if rows else ()), rows=cells)


def _comparisons(compared: Comparisons) -> Table:
    """A row for each group and measure, and where there are several steps for each of them."""
    rows = []
    ranges = {(*_bounds(row.now), *_bounds(row.before)) for row in compared}
    for row in compared:
        times = {"from": rfc3339(row.now.start), "before": rfc3339(row.before.start)} if len(ranges) > 1 else {}
        for name, change in row.changes.items():
            told = {"change": change.why or change.change, "new": change.new, "both": change.both}
            values = {"now": change.now, "was": change.before, **told}
            cells = {name: "" if value is None else in_one_line(value) for name, value in values.items()}
            rows.append({**row.group, **times, "measure": name, **cells})
    title = f"{len(compared):,} comparisons from {compared.reads:,} sketches"
    if len(ranges) == 1:
        title = "{} to {}, compared with {} to {}".format(*next(iter(ranges)))
    return table(title, *(rows[0] if rows else ()), rows=[tuple(row.values()) for row in rows])


def _bounds(answer: Answer) -> tuple[str, str]:
    return rfc3339(answer.start), rfc3339(answer.end)


def _tell(answers: Answers | Comparisons, options: Options) -> None:
    if options.format == "parquet":
        pq.write_table(answers.to_arrow(), options.output)
        return
    text = "".join(_json_lines(answers) if options.format == "json" else _csv(answers))
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _json_lines(answers: Answers | Comparisons) -> Iterator[str]:
    for row in answers:
        yield orjson.dumps(row.as_json()).decode() + "\n"


def _csv(answers: Answers | Comparisons) -> Iterator[str]:
    """A column for each number: bounds as `distinct:user.low`, quantiles as `quantiles:ms.0.5`; lists are JSON."""
    rows = [dict(_flat(row.as_json())) for row in answers]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield text.getvalue()


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        place = before.removesuffix(".") if name == "value" else before + name
        if isinstance(value, dict):
            yield from _flat(value, f"{place}.")
        else:
            yield place, orjson.dumps(value).decode() if isinstance(value, list) else value
