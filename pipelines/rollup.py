"""Measures any events by window and key, and keeps the sketches in a store that answers any range of time later.

    python -m pipelines rollup --input sample:tweets.jsonl --event-time created_at --by lang --store tweets.db

Events are rows of Parquet or Avro, JSON objects, or lines of an access log (host, user, time, method, path, status,
bytes, referrer, agent); a field of a field is named user.id, each item of a list counts.
Keys are text unless they say otherwise: --by lang,device:integer. Measures: count, sum:bytes, mean:bytes, min:bytes,
max:bytes, distinct:user@0.02, top:page=20, quantiles:latency=0.5,0.99, loghist:latency=0.5,0.99, where after @ stands
the error. The same run again changes nothing; other input adds to what is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import cast

import apache_beam as beam
from rich.console import Console

from pipelines.connectors import read_batches
from pipelines.connectors.write_store import WriteStore
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from pipelines.results import in_one_line, table
from rollups import Store, StoredMeasure
from transforms.accounting import CountRows
from transforms.columnar import MeasureBatches
from transforms.combining import SketchCombineFn
from transforms.exact import count
from transforms.measures import Measure, parse_measures
from transforms.sketches import Question
from transforms.tables import Field, Kind
from transforms.windowing import WindowPolicy
from transforms.windows import Fixed, to_micros

_NUMERIC = {"sum", "mean", "min", "max", "quantiles", "loghist"}


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to measure, by what, and where to keep it."""

    input: str = option("where events come from: a file, a glob, a directory")
    output: str = option("what rejects and ledgers are beside (default: the store)", default="")
    event_time: str = option("the field that holds the event time")
    by: str = option("the fields that make a key, as lang,device:integer", default="")
    measure: tuple[str, ...] = option("what to measure, as distinct:user@0.01; given once for each", default=())
    window: WindowPolicy = option("the size of windows", default=WindowPolicy("10s"))
    store: str = option("the file of the store, or postgresql://user@host/name")
    contribution: str = option("what this run adds to or replaces (default: made of the input's address)", default="")
    rebuild: bool = option("replace what this contribution has written, whatever it counted", default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.window.window, Fixed):
            raise ValueError(
                f"a store keeps windows of one size, got {self.window.window}: any range is asked for later"
            )
        made = hashlib.blake2b(self.input.encode(), digest_size=8).hexdigest()
        object.__setattr__(self, "contribution", self.contribution or made)
        object.__setattr__(self, "output", self.output or ("rollup" if "://" in self.store else self.store))
        super().__post_init__()

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
        """What is kept of each measure: its sketch. Records are counted in any case."""
        asked = {"count": Measure(None, count())} | parse_measures(self.measure)
        return {
            name: Measure(measure.column, SketchCombineFn(measure.combine_fn.make)) for name, measure in asked.items()
        }


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads events, measures each window and key, and writes the sketches behind."""
    events = pipeline | "Read" >> read_batches(options.input, fields_of(options))
    create_store(options)
    _ = (
        events.records
        | "Measure"
        >> MeasureBatches(
            by=list(options.keys), measures=options.measures, windows=options.window, event_time=options.event_time
        )
        | "Write" >> WriteStore(options.store, options.contribution, rebuild=options.rebuild)
    )
    write_ledger(options, events, used=events.records | "CountUsed" >> CountRows())


def fields_of(options: Options) -> list[Field]:
    """The fields that are needed, and what their values must be; ValueError where one must be two things."""
    kinds: dict[str, Kind] = {options.event_time: "time"}
    for name, kind in options.keys.items():
        _agree(kinds, name, kind)
    for name, measure in options.measures.items():
        if measure.column is not None:
            number = name.partition(":")[0] in _NUMERIC
            _agree(kinds, measure.column, "number" if number else "any")
    return [Field(path, kind) for path, kind in kinds.items()]


def _agree(kinds: dict[str, Kind], path: str, kind: Kind) -> None:
    known = kinds.setdefault(path, kind)
    if {known, kind} == {"any", "number"}:
        kinds[path] = "number"
    elif kind not in (known, "any"):
        raise ValueError(f"the field {path} is used as {known} and as {kind}: it can be one of them")


def create_store(options: Options) -> None:
    """Makes the store, or sees that the one that is there is alike."""
    asked = {"count": Measure(None, count())} | parse_measures(options.measure)
    fns = {name: measure.combine_fn for name, measure in asked.items()}
    measures = {name: StoredMeasure(fn.make(), cast("Question", fn.answer)) for name, fn in fns.items()}
    Store.create(options.store, window=options.size, by=options.keys, measures=measures).close()


def report(options: Options, console: Console) -> None:
    """Merges windows into longer spans, and shows what there is of all time."""
    with Store(options.store) as store:
        store.settle()
        bounds, answers = store.bounds(), store.query()
    if bounds is None:
        console.print("no window yet")
        return
    title = f"{bounds[1] - bounds[0]:,} windows of {options.window} in {options.store}"
    values = answers.rows[0].values.items()
    console.print(table(title, "measure", "of all time", rows=[(name, in_one_line(value)) for name, value in values]))
