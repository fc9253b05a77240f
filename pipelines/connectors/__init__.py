"""Sources and sinks, chosen by the address that a user writes: `read(uri, decode)` and `write(uri)`.

    a file, a glob, a directory    JSONL or text (also gzipped), Avro, Parquet, by the ending of the name
    sample:tweets.jsonl            a file that comes with the package
    -                              standard input, or standard output
    stderr:                        standard error (to write)
    watch:logs/                    files as they appear in a directory (to read, on runners that stream)
    kafka: pubsub: socket: stdin: jetstream: replay: generate:    systems that are read live
    kafka: pubsub: sqlite: postgresql:                            systems that are written to

Each system has a file of its own here, which says how its addresses are written; a new one adds a line to the tables.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import apache_beam as beam

from pipelines.connectors import read_files, run_state, same_schema, standard_streams
from pipelines.connectors.addresses import parse_address, yes_or_no
from pipelines.connectors.avro_values import AvroValues, avro_of
from pipelines.connectors.decoding import ReadSplits
from pipelines.connectors.feeds import LiveInput
from pipelines.connectors.fields import names_of_fields
from pipelines.connectors.formats import Format, suffix_of
from pipelines.connectors.live_decoding import AsBatches, AsRecords
from pipelines.connectors.manifests import WriteListedParts
from pipelines.connectors.parts import Parts
from pipelines.connectors.read_batches import ReadBatches
from pipelines.connectors.read_live import Pace, ReadLive, pace_of
from pipelines.connectors.read_native import met_by
from pipelines.connectors.same_schema import Change
from pipelines.connectors.write_files import WriteFile, WriteParts
from transforms.parsing import Payload
from transforms.schemas import Record
from transforms.tables import Field
from transforms.watermarks import FromStamps, Watermark

__all__ = ["beside", "field_names", "has_end", "kept", "layout_like", "read", "read_batches", "watermark_of", "write"]

# Systems that are read live, by the beginning of their addresses, and the modules that know them.
_LIVE = {
    "generate": "generate",
    "jetstream": "jetstream",
    "kafka": "kafka",
    "pubsub": "pubsub",
    "replay": "replay",
    "socket": "tcp",
    "stdin": "stdin",
    "watch": "watch_files",
}

# Systems that are written to.
_SINKS = {"kafka": "kafka", "postgresql": "sql", "pubsub": "pubsub", "sqlite": "sql"}


def _system(uri: str, systems: Mapping[str, str]) -> ModuleType | None:
    """The module of a system: it has `input_of` where it is read, and `write_to` where it is written to."""
    name = systems.get(urlsplit(uri).scheme)
    return importlib.import_module(f"pipelines.connectors.{name}") if name else None


def _live(uri: str) -> tuple[LiveInput, Pace] | None:
    """The live system of an address, and its pace; None where what is read ends by itself."""
    system = _system(uri, _LIVE)
    if system is None:
        return None
    uri, pace = pace_of(uri)
    uri, avro = avro_of(uri)
    live = system.input_of(uri)
    return (AvroValues(live, **avro) if avro else live), pace


def _kept(live: LiveInput) -> LiveInput:
    """A live system of a run, which can be read again where the run keeps a state."""
    state = run_state.current()
    return live.kept_in(state.log) if state else live


def has_end(uri: str) -> bool:
    """Whether what is read from an address ends by itself."""
    return urlsplit(uri).scheme not in _LIVE


def read(
    uri: str, decode: Callable[[Payload], Any], limit: int | None = None, *, stamped: bool = False
) -> beam.PTransform:
    """Reads records: `.records` with their event times, `.rejects`, and `.read`, the count of both.

    `decode` turns one payload into a record, or raises ValueError to reject it; its return annotation is the type of
    the collection. With `limit`, reading stops after that many records. With `stamped`, `.records` are for a
    Gate with `watermark_of` the address: pairs of the watermark that the source told, in microseconds, and a record.
    Input that ends by itself has no watermark, and nothing of it is late.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 record, got {limit}; leave it out to read everything")
    if found := _live(uri):
        live, pace = found
        return ReadLive(_kept(live), AsRecords.by(decode), pace, limit, stamped=stamped)
    if uri == "-":
        return ReadSplits([standard_streams.STDIN], standard_streams.rows_of, decode, limit, stamped=stamped)
    return ReadSplits(read_files.find_splits(_file_uri(uri)), read_files.rows_of, decode, limit, stamped=stamped)


def watermark_of(uri: str, pipeline: beam.Pipeline) -> Watermark:
    """How a Gate knows the watermark of records that were read from an address with `stamped`."""
    found = _live(uri)
    return met_by(found[0], pipeline) if found else FromStamps()


def read_batches(uri: str, fields: Sequence[Field], *, stamped: bool = False) -> beam.PTransform:
    """Reads the columns of `fields`, the event time first, as Arrow batches: `.records`, `.rejects`, `.read`, in rows.

    With `stamped`, `.records` are pairs of what the watermark was before each row and a batch, for a Gate with
    `watermark_of` the address; of live input only.
    """
    if found := _live(uri):
        live, pace = found
        return ReadLive(_kept(live), AsBatches(tuple(fields)), pace, stamped=stamped)
    return ReadBatches(_file_uri(uri), fields)


def field_names(uri: str) -> list[str]:
    """What the fields of the first row of files are called, those of fields as well."""
    return names_of_fields(_file_uri(uri.partition("?")[0].removeprefix("watch:")))


def layout_like(uri: str, output: str, added: type[Record], change: Change) -> Format | None:
    """How rows of Avro or Parquet files are laid out in one more of their kind, with columns `added`; None for others.

    Raises ValueError where `output` needs a schema and nothing that is read has one; see `same_schema.layout_like`.
    """
    if suffix_of(output) not in {".avro", ".parquet"}:
        return None
    if not has_end(uri) or uri == "-":
        raise ValueError(f"{output!r} gets the schema of the files that are read, and {uri!r} is none: write .jsonl")
    return same_schema.layout_like(read_files.find_splits(_file_uri(uri)), output, added, change)


def _file_uri(uri: str) -> str:
    """The address of files, samples in their place; ValueError where it is none, or its file system is missing."""
    if uri.startswith("sample:"):
        return str(resources.files("pipelines") / "samples" / uri.removeprefix("sample:"))
    _require_file_system(uri)
    return uri


def write(
    uri: str, suffix: str = ".jsonl", shards: int = 1, *, once: bool = True, layout: Format | None = None
) -> beam.PTransform:
    """Writes a collection and tells what was written: PCollection[T] -> PCollection[WrittenFile].

    A name with a known ending becomes one file, of a bounded collection; any other name is a directory, whose part
    files end in `suffix`. Where a run keeps its state, a run that goes on leaves out windows that were told before,
    unless they are to be told more than `once`. `layout` is that of one file whose rows are no records of a type.
    """
    return kept(_sink(uri, suffix, shards, layout), once=once)


def kept(sink: beam.PTransform, *, once: bool = True) -> beam.PTransform:
    """A sink that a run's state waits for, where the run keeps one; see `write`."""
    state = run_state.current()
    return state.kept(sink, once=once) if state else sink


def _sink(uri: str, suffix: str, shards: int, layout: Format | None) -> beam.PTransform:
    if uri == "-":
        return standard_streams.WriteStream("stdout")
    if uri == "stderr:":
        return standard_streams.WriteStream("stderr")
    if system := _system(uri, _SINKS):
        sink: beam.PTransform = system.write_to(uri)
        return sink
    if urlsplit(uri).scheme in _LIVE:
        raise ValueError(f"nothing can be written to {uri!r}: it is a source only")
    _require_file_system(uri)
    place = uri.partition("?")[0]
    if not place.endswith("/") and suffix_of(place) is not None:
        return WriteFile(uri, layout)
    _, how = parse_address(uri, {"by": str, "manifests": yes_or_no})
    write_parts = WriteListedParts if how.get("manifests") else WriteParts
    return write_parts(Parts(place.rstrip("/"), suffix, shards, how.get("by")))


# What to install for the files of a scheme, and the module that shows whether it is installed.
_EXTRAS = {"gs": ("gcp", "google.cloud.storage"), "s3": ("aws", "boto3")}


def _require_file_system(uri: str) -> None:
    scheme, separator, _ = uri.partition("://")
    if not separator:
        return
    if scheme not in _EXTRAS:
        raise ValueError(f"there is no file system for {uri!r}: use a path, or one of {', '.join(_EXTRAS)}://")
    extra, module = _EXTRAS[scheme]
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"{uri!r} needs more than is installed: pip install 'streamsketch[{extra}]'") from error


def beside(uri: str, name: str) -> str:
    """The address for what accompanies an output, such as its rejects.

    Beside a system there is only the console; beside SQLite there is a place.

    >>> beside("out/ja.jsonl", "rejects.jsonl"), beside("out/tweets/", "rejects.jsonl"), beside("-", "rejects.jsonl")
    ('out/ja.rejects.jsonl', 'out/tweets.rejects', 'stderr:')
    >>> beside("sqlite:out/ja.db?table=tweets", "rejects.jsonl"), beside("kafka://host/ja", "rejects.jsonl")
    ('out/ja.db.rejects', 'stderr:')
    """
    uri = uri.partition("?")[0].removeprefix("sqlite:")
    if uri == "-" or urlsplit(uri).scheme in _SINKS:
        return "stderr:"
    suffix = suffix_of(uri)
    if uri.endswith("/") or suffix is None:
        return f"{uri.rstrip('/')}.{name.removesuffix(suffix_of(name) or '')}"
    return f"{uri[: -len(suffix)]}.{name}"
