"""Measures any events by window and key, and keeps the sketches in a store that answers any range of time later.

    python -m pipelines rollup --input sample:tweets.jsonl --event-time created_at --by lang --store tweets.db

Events are rows of Parquet or Avro, JSON objects, or lines of an access log (host, user, time, method, path, status,
bytes, referrer, agent); a field of a field is named user.id, each item of a list counts.
Keys are text unless they say otherwise: --by lang,device:integer. Measures: count, sum:bytes, mean:bytes, min:bytes,
max:bytes, distinct:user@0.02, top:page=20, quantiles:latency=0.5,0.99, loghist:latency=0.5,0.99, where after @ stands
the error. --where 'status >= 500 and startswith(path, "/api/")' keeps some events. The same run again changes nothing;
other input adds to what is there.

With --input watch:events/ --window "10s, lateness 10m, early every 5s" it measures files as they appear in a directory
and writes windows as they are told, until Ctrl-C; late events go to a place beside the store. --live shows the last
windows, and with --state DIR a run that was killed goes on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import cast

import apache_beam as beam
from rich.console import Console
from rich.table import Table

from pipelines.connectors import beside, field_names, has_end, kept, read, read_batches, watermark_of, write
from pipelines.connectors.write_store import WriteStore, create_store, require_reach, sketches_of
from pipelines.fields import fields_beside, read_fields, tell_fields, write_fields
from pipelines.last_windows import last_windows
from pipelines.ledger import write_aside, write_ledger
from pipelines.options import JobOptions, option
from pipelines.results import in_one_line, table
from rollups import Store
from transforms.accounting import CountRows
from transforms.columnar import MeasureBatches
from transforms.conditions import Condition, KeepRows
from transforms.events import raw_decoder
from transforms.exact import count
from transforms.lateness import Gate
from transforms.measures import Measure, parse_measures
from transforms.tables import Field, Kind
from transforms.tallies import CountByWindow
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import Fixed, to_micros

_NUMERIC = {"sum", "mean", "min", "max", "quantiles", "loghist"}


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to measure, by what, and where to keep it."""

    input: str = option("where events come from: a file, a glob, a directory, or a live source such as watch:DIRECTORY")
    output: str = option("what rejects and ledgers are beside (default: the store)", default="")
    late: str = option("where events go whose windows were over (default: beside the output)", default="")
    event_time: str = option("the field that holds the event time")
    by: str = option("the fields that make a key, as lang,device:integer", default="")
    measure: tuple[str, ...] = option("what to measure, as distinct:user@0.01; given once for each", default=())
    where: str = option("which events are measured, as status >= 500 (default: all)", default="")
    window: WindowPolicy = option("the size of windows, as 10s or '10s, lateness 10m'", default=WindowPolicy("10s"))
    store: str = option("the file of the store, or postgresql://user@host/name")
    contribution: str = option("what this run adds to or replaces (default: made of the input's address)", default="")
    raw: str = option(
        "a directory that keeps all events as they came, in Parquet, a file a day (default: none)", default=""
    )
    live: bool = option("show the last windows in a table while they close", default=False)
    rebuild: bool = option("replace what this contribution has written, whatever it counted", default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.window.window, Fixed):
            raise ValueError(
                f"a store keeps windows of one size, got {self.window.window}: any range is asked for later"
            )
        accumulating = WindowPolicy(
            self.window.window,
            allowed_lateness=self.window.allowed_lateness,
            early=self.window.early,
            late=self.window.late,
            accumulation="accumulating",  # what is written replaces what was written before
        )
        object.__setattr__(self, "window", accumulating)
        if self.raw and not has_end(self.input):
            raise ValueError(f"events are kept raw where their input ends, got {self.input}: it is a directory of them")
        made = hashlib.blake2b(self.input.encode(), digest_size=8).hexdigest()
        object.__setattr__(self, "contribution", self.contribution or made)
        object.__setattr__(self, "output", self.output or ("rollup" if "://" in self.store else self.store))
        super().__post_init__()
        object.__setattr__(self, "late", self.late or beside(self.output, "late.jsonl"))

    @property
    def size(self) -> int:
        """Of windows, in microseconds."""
        return to_micros(cast("Fixed", self.window.window).size)

    @property
    def keys(self) -> dict[str, Kind]:
        """The type of each key column."""
        pairs = [name.partition(":") for name in self.by.split(",") if name]
        return {name.strip(): kind.strip() or "text" for name, _, kind in pairs}  # type: ignore[misc]

    @property
    def measures(self) -> dict[str, Measure]:
        """What is measured. Records are counted in any case."""
        return {"count": Measure(None, count())} | parse_measures(self.measure)

    @property
    def condition(self) -> Condition | None:
        """Which events are measured, where it is not all."""
        return Condition(self.where, measured_fields(self)) if self.where else None

    @property
    def fields(self) -> str:
        """Where it is told which fields were missing."""
        return fields_beside(self.ledger)


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads events, measures each window and key, and writes the sketches behind."""
    fields = fields_of(options)
    if has_end(options.input):
        events = pipeline | "Read" >> read_batches(options.input, fields)
        rows = events.records
    else:
        events = pipeline | "Read" >> read_batches(options.input, fields, stamped=True)
        met = watermark_of(options.input, pipeline)
        gate = events.records | "Gate" >> Gate(options.window, met, event_time=options.event_time)
        rows = gate.in_time
        write_aside("Late", options.late, gate.late, options.window)
    write_fields(options.fields, rows, options.window)
    used = {"used": rows}
    if condition := options.condition:
        parted = rows | "Where" >> KeepRows(condition)
        used = {"used": parted.kept, "filtered": parted.filtered}
    if options.raw:
        keep_raw(pipeline, options)
    require_reach(options.store, pipeline)
    create_store(options.store, window=options.size, by=options.keys, measures=options.measures)
    _ = (
        used["used"]
        | "Measure"
        >> MeasureBatches(
            by=list(options.keys),
            measures=sketches_of(options.measures),
            windows=options.window,
            event_time=options.event_time,
        )
        | "Write" >> kept(WriteStore(options.store, options.contribution, rebuild=options.rebuild))
    )
    if has_end(options.input):
        write_ledger(options, events, **{name: of | f"Count_{name}" >> CountRows() for name, of in used.items()})
    else:
        window = options.window.window
        tallies = {name: of | f"Count_{name}" >> CountByWindow(window, options.event_time) for name, of in used.items()}
        tallies |= {"read": gate.read, "late": gate.late | "Count_late" >> CountByWindow(window, options.event_time)}
        write_ledger(options, events, tallies, options.window)


def keep_raw(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads the events once more and writes them as they are: their time, and all else as JSON."""
    raw = pipeline | "ReadRaw" >> read(options.input, raw_decoder(options.event_time))
    days = raw.records | "Day" >> ApplyWindow(WindowPolicy("1d"))
    _ = days | "WriteRaw" >> write(f"{options.raw.rstrip('/')}/", ".parquet")


def fields_of(options: Options) -> list[Field]:
    """The fields that are needed, the time first, and what their values must be."""
    kinds = measured_fields(options)
    if condition := options.condition:
        for path, kind in condition.fields.items():
            _agree(kinds, path, kind)
    return [Field(path, kind) for path, kind in kinds.items()]


def measured_fields(options: Options) -> dict[str, Kind]:
    """The kinds of what is measured, and by what; ValueError where one must be two things."""
    kinds: dict[str, Kind] = {options.event_time: "time"}
    for name, kind in options.keys.items():
        _agree(kinds, name, kind)
    for name, measure in options.measures.items():
        if measure.column is not None:
            _agree(kinds, measure.column, "number" if name.partition(":")[0] in _NUMERIC else "any")
    return kinds


# Kinds that one field can be at once, and what it then is.
_BOTH: dict[frozenset[Kind], Kind] = {
    frozenset({"number", "numeric"}): "real",
    frozenset({"number", "real"}): "real",
    frozenset({"numeric", "real"}): "real",
    frozenset({"number", "integer"}): "integer",
    frozenset({"numeric", "integer"}): "integer",
}


def _agree(kinds: dict[str, Kind], path: str, kind: Kind) -> None:
    known = kinds.setdefault(path, kind)
    if kind in (known, "any"):
        return
    if known == "any":
        kinds[path] = kind
    elif both := _BOTH.get(frozenset({known, kind})):
        kinds[path] = both
    else:
        raise ValueError(f"the field {path} is used as {known} and as {kind}: it can be one of them")


def view(options: Options) -> Table:
    """What --live shows."""
    return last_windows(options.store)


def report(options: Options, console: Console) -> None:
    """Merges windows into longer spans, and shows what there is of all time."""
    with Store(options.store) as store:
        store.settle()
        bounds, answers = store.bounds(), store.query()
    if bounds is None:
        console.print("no window yet")
        return
    title = f"{bounds[1] - bounds[0]:,} windows of {options.window.window} in {options.store}"
    values = answers.rows[0].values.items()
    console.print(table(title, "measure", "of all time", rows=[(name, in_one_line(value)) for name, value in values]))
    tell_fields("rollup", read_fields(options.fields), lambda: field_names(options.input), console)
